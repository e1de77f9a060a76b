//! What inference does with samples: it watches, or it learns while there is no model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{Clock, SystemClock};
use crate::frame::{Sample, Timestamp};
use crate::ingest::SensorIndex;
use crate::learn::{LearnError, Learner, Progress};
use crate::message::Message;
use crate::pipeline::{Listener, Stream};

/// A recording that cannot be written is told of at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(3_600);

pub enum Task {
    Watch(Box<Stream>),
    Learn(Box<Learning>),
    /// A model is being fitted elsewhere: samples wait in their queue for it.
    Wait(Option<Progress>),
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
            Task::Wait(progress) => progress.clone(),
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
        match self {
            Task::Learn(learning) if learning.learner.is_complete() => {}
            _ => return None,
        }
        let progress = self.progress();
        match std::mem::replace(self, Task::Wait(progress)) {
            Task::Learn(learning) => Some(learning.learner),
            Task::Watch(_) | Task::Wait(_) => None,
        }
    }
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
