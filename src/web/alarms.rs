//! The newest alarms, with what their sensors did around the raise. Imports `alarm`, `state` and
//! `frame`.

use std::path::Path;

use serde::Serialize;

use super::board::Recent;
use crate::alarm::{AlarmEvent, AlarmKind, AlarmRecord, Transition, Verdict};
use crate::frame::Timestamp;
use crate::state::{ALARMS, AlarmLog};

/// Alarms that the page lists.
const LISTED: usize = 50;
/// The newest of them keep their plots.
const PLOTTED: usize = 10;
/// Points before and after the raise.
const BEFORE: usize = 60;
const AFTER: usize = 40;

#[derive(Debug, Default)]
pub struct Alarms(Vec<Entry>);

/// An alarm as the page gets it.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    #[serde(flatten)]
    record: AlarmRecord,
    /// Of its sensors, in their order.
    plots: Vec<Plot>,
}

/// What one sensor did.
#[derive(Debug, Clone, Serialize)]
struct Plot {
    sensor: String,
    /// Milliseconds since 1970
    t: Vec<i64>,
    seen: Vec<f32>,
    expected: Vec<f32>,
}

impl Alarms {
    /// The newest that are kept below `state`; none where that cannot be read.
    pub fn load(state: &Path) -> Self {
        let mut records = AlarmLog::read(&state.join(ALARMS)).unwrap_or_default();
        let entry = |record| Entry {
            record,
            plots: Vec::new(),
        };
        let newest = records.split_off(records.len().saturating_sub(LISTED));
        Alarms(newest.into_iter().map(entry).collect())
    }

    /// Takes an event; gives the alarm as it is now.
    pub fn take(&mut self, event: &AlarmEvent, recent: &Recent) -> &Entry {
        let same = |entry: &Entry| entry.record.is_same(&event.id, event.raised_at);
        let place = match self.0.iter().rposition(same) {
            Some(place) => {
                self.0[place].record.take(event);
                place
            }
            None => {
                let mut record = AlarmRecord::new(event);
                // The first that we hear of it may be a later notice.
                record
                    .sensors
                    .truncate(crate::alarm::attribution::NAMED_SENSORS);
                self.0.push(Entry {
                    record,
                    plots: Vec::new(),
                });
                self.thin_out();
                self.0.len() - 1
            }
        };
        let entry = &mut self.0[place];
        let raised = event.transition == Transition::Raised && event.kind == AlarmKind::Anomaly;
        if raised && entry.plots.is_empty() {
            entry.plots = plots(&entry.record, recent);
        }
        entry
    }

    fn thin_out(&mut self) {
        if self.0.len() > LISTED {
            self.0.remove(0);
        }
        let old = self.0.len().saturating_sub(PLOTTED);
        for entry in &mut self.0[..old] {
            entry.plots = Vec::new();
        }
    }

    /// Adds the newest point to the plots that are not complete.
    pub fn plot(&mut self, recent: &Recent) {
        for entry in &mut self.0 {
            let Entry { record, plots } = entry;
            for plot in plots {
                let after = plot.t.iter().rev();
                let raised = milliseconds(record.raised_at);
                let after = after.take_while(|time| **time > raised).count();
                if after < AFTER {
                    plot.extend(recent, recent.len().saturating_sub(1));
                }
            }
        }
    }

    /// A person said what an alarm was; gives it as it is now.
    pub fn set_verdict(&mut self, id: &str, verdict: Verdict) -> Option<&Entry> {
        let entry = self.0.iter_mut().rfind(|entry| entry.record.id == id)?;
        entry.record.verdict = Some(verdict);
        Some(entry)
    }

    /// All, oldest first.
    pub fn all(&self) -> &[Entry] {
        &self.0
    }
}

fn plots(record: &AlarmRecord, recent: &Recent) -> Vec<Plot> {
    let from = recent.len().saturating_sub(BEFORE);
    let plot = |sensor: &String| {
        let mut plot = Plot {
            sensor: sensor.clone(),
            t: Vec::new(),
            seen: Vec::new(),
            expected: Vec::new(),
        };
        plot.extend(recent, from);
        plot
    };
    record.sensors.iter().map(|one| plot(&one.sensor)).collect()
}

impl Plot {
    /// Adds the points from the place `from` on.
    fn extend(&mut self, recent: &Recent, from: usize) {
        let Some(sensor) = recent.sensor(&self.sensor) else {
            return;
        };
        for point in recent.points().skip(from) {
            let time = milliseconds(point.time);
            if self.t.last().is_none_or(|last| *last < time) {
                self.t.push(time);
                self.seen.push(point.values[sensor]);
                self.expected.push(point.expected[sensor]);
            }
        }
    }
}

pub fn milliseconds(time: Timestamp) -> i64 {
    time.nanos().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::feed::tests::point;
    use super::*;
    use crate::alarm::SensorEvidence;
    use crate::model::manifest::example;

    fn event(id: usize, transition: Transition) -> AlarmEvent {
        let raised = Timestamp::from_seconds(100 + id as i64);
        AlarmEvent {
            id: format!("a{id:03}"),
            kind: AlarmKind::Anomaly,
            transition,
            time: raised,
            raised_at: raised,
            score: 1.0,
            peak_score: 1.0,
            threshold: 1.0,
            sensors: vec![SensorEvidence {
                sensor: "FIT401".to_owned(),
                unit: String::new(),
                seen: Some(1.0),
                expected: Some(2.0),
                from: vec![],
                head: "raw",
                strength: 3.0,
            }],
            model: String::new(),
            degraded: None,
            verdict: None,
        }
    }

    #[test]
    fn a_plot_has_what_was_before_and_after_and_ends() {
        let manifest = Arc::new(example());
        let mut recent = Recent::default();
        let mut alarms = Alarms::default();
        for second in 0..=100 {
            recent.push(point(&manifest, second));
        }
        alarms.take(&event(0, Transition::Raised), &recent);
        for second in 101..300 {
            recent.push(point(&manifest, second));
            alarms.plot(&recent);
        }
        alarms.take(&event(0, Transition::Cleared), &recent);
        let entry = &alarms.all()[0];
        assert!(entry.record.cleared_at.is_some());
        let plot = &entry.plots[0];
        assert_eq!(plot.t.len(), BEFORE + AFTER);
        assert_eq!(plot.seen[0], 41.0);
        assert_eq!(plot.t.last(), Some(&140_000));
        assert_eq!(
            alarms
                .set_verdict("a000", Verdict::Real)
                .unwrap()
                .plots
                .len(),
            1
        );
        assert!(alarms.set_verdict("nope", Verdict::Real).is_none());
    }

    #[test]
    fn old_alarms_lose_their_plots_and_then_their_place() {
        let manifest = Arc::new(example());
        let mut recent = Recent::default();
        recent.push(point(&manifest, 1));
        let mut alarms = Alarms::default();
        for id in 0..LISTED + 5 {
            alarms.take(&event(id, Transition::Raised), &recent);
        }
        assert_eq!(alarms.all().len(), LISTED);
        assert_eq!(alarms.all()[0].record.id, "a005");
        let plotted = alarms.all().iter().filter(|one| !one.plots.is_empty());
        assert_eq!(plotted.count(), PLOTTED);
    }
}
