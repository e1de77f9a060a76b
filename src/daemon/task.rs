//! What inference does with samples: it watches, or it learns while there is no model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{Clock, SystemClock};
use crate::frame::{Sample, Timestamp};
use crate::ingest::{Ingested, SensorIndex};
use crate::learn::{LearnError, Learner, Progress};
use crate::message::Message;
use crate::pipeline::{Listener, Stream};

/// A recording that cannot be written is told of at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(3_600);

pub enum Task {
    Watch(Box<Stream>),
    Learn(Box<Learning>),
    /// A model is being fitted elsewhere: samples wait in their queue for it.
    Wait(Option<Waiting>),
}

/// What is known of a recording while a model is fitted to it.
pub struct Waiting {
    progress: Progress,
    /// What the samples that wait are of.
    sensors: Arc<SensorIndex>,
}

impl Task {
    pub fn stream(&self) -> Option<&Stream> {
        match self {
            Task::Watch(stream) => Some(stream),
            Task::Learn(_) | Task::Wait(_) => None,
        }
    }

    pub fn stream_mut(&mut self) -> Option<&mut Stream> {
        match self {
            Task::Watch(stream) => Some(stream),
            Task::Learn(_) | Task::Wait(_) => None,
        }
    }

    /// How far learning is, while it learns.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Task::Watch(_) => None,
            Task::Learn(learning) => Some(learning.learner.progress()),
            Task::Wait(waiting) => waiting.as_ref().map(|waiting| waiting.progress.clone()),
        }
    }

    pub fn push(&mut self, sample: Sample, end_of_row: bool, listener: &mut Listener<'_>) {
        match self {
            Task::Watch(stream) => stream.push(sample, end_of_row, listener),
            Task::Learn(learning) => learning.push(sample, end_of_row),
            Task::Wait(_) => {}
        }
    }

    /// `ticks` comes from a clock that never goes back.
    pub fn tick(&mut self, ticks: Timestamp, listener: &mut Listener<'_>) {
        match self {
            Task::Watch(stream) => stream.tick(ticks, SystemClock.now(), listener),
            Task::Learn(learning) => learning.tick(ticks),
            Task::Wait(_) => {}
        }
    }

    /// The learner, once it has enough; then the task is to wait.
    pub fn take_complete(&mut self) -> Option<Learner> {
        let waiting = match self {
            Task::Learn(learning) if learning.learner.is_complete() => Waiting {
                progress: learning.learner.progress(),
                sensors: Arc::clone(&learning.sensors),
            },
            _ => return None,
        };
        match std::mem::replace(self, Task::Wait(Some(waiting))) {
            Task::Learn(learning) => Some(learning.learner),
            Task::Watch(_) | Task::Wait(_) => None,
        }
    }

    /// The samples that waited for `stream`, as its model numbers sensors; those that it does not
    /// have are left out.
    pub fn waited_for(&self, stream: &Stream, samples: &[Ingested]) -> Vec<Ingested> {
        let Task::Wait(Some(waiting)) = self else {
            return Vec::new();
        };
        let names = waiting.sensors.all();
        let place = |name: &String| stream.pipeline().sensor(name);
        let places: Vec<Option<usize>> = names.iter().map(place).collect();
        renumbered(&places, samples)
    }
}

/// `places` by the sensor's number so far.
fn renumbered(places: &[Option<usize>], samples: &[Ingested]) -> Vec<Ingested> {
    let mut kept: Vec<Ingested> = Vec::with_capacity(samples.len());
    let mut begun = false;
    for ingested in samples {
        if let Some(&Some(sensor)) = places.get(ingested.sample.sensor) {
            let mut ingested = *ingested;
            ingested.sample.sensor = sensor;
            kept.push(ingested);
            begun = true;
        } else if ingested.end_of_row && begun {
            // The row ends with one that stays.
            if let Some(last) = kept.last_mut() {
                last.end_of_row = true;
            }
        }
        begun &= !ingested.end_of_row;
    }
    kept
}

/// A learner and the sensors that it hears of.
pub struct Learning {
    learner: Learner,
    sensors: Arc<SensorIndex>,
    told: Option<Instant>,
}

impl Learning {
    pub fn new(learner: Learner, sensors: Arc<SensorIndex>) -> Self {
        Learning {
            learner,
            sensors,
            told: None,
        }
    }

    fn push(&mut self, sample: Sample, end_of_row: bool) {
        if sample.sensor >= self.learner.sensors().len() {
            let known = self.learner.know_sensors(&self.sensors.all());
            self.note(known);
        }
        let pushed = self.learner.push(sample, end_of_row);
        self.note(pushed);
    }

    fn tick(&mut self, ticks: Timestamp) {
        let ticked = self.learner.tick(ticks);
        self.note(ticked);
        for note in self.learner.take_notes() {
            log::info!(target: "learn", "{note}");
        }
    }

    fn note(&mut self, result: Result<(), LearnError>) {
        let Err(error) = result else {
            return;
        };
        if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            self.told = Some(Instant::now());
            log::error!(
                target: "learn",
                MESSAGE_ID = Message::StateUnwritable.id();
                "what is learned from cannot be kept: {error}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_whole_where_a_sensor_is_left_out() {
        let row = |sensors: [usize; 3]| {
            sensors
                .into_iter()
                .enumerate()
                .map(|(at, sensor)| Ingested {
                    sample: Sample {
                        sensor,
                        time: Timestamp::EPOCH,
                        value: sensor as f64,
                    },
                    end_of_row: at == 2,
                })
        };
        let samples: Vec<Ingested> = row([0, 1, 2])
            .chain(row([2, 2, 2]))
            .chain(row([2, 1, 0]))
            .collect();
        let kept = renumbered(&[Some(1), Some(0), None], &samples);
        let kept: Vec<(usize, f64, bool)> = kept
            .iter()
            .map(|one| (one.sample.sensor, one.sample.value, one.end_of_row))
            .collect();
        assert_eq!(
            kept,
            [
                (1, 0.0, false),
                (0, 1.0, true),
                (0, 1.0, false),
                (1, 0.0, true)
            ]
        );
    }
}
