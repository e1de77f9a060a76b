//! Sensors that fell silent, as one alarm: a cable that carries ten sensors is one fault.

use super::id::alarm_id;
use super::{AlarmEvent, AlarmKind, SensorEvidence, Transition};
use crate::frame::Timestamp;

/// What is known of one sensor's reporting at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilentSensor {
    pub sensor: usize,
    /// The last value it reported, in its own unit.
    pub last_value: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct SilentWatch {
    names: Vec<String>,
    units: Vec<String>,
    model: String,
    /// How long all sensors must report before the alarm clears, so that a loose contact is one
    /// alarm and not one a minute.
    clear_after_nanos: i64,
    open: Option<OpenSilence>,
}

#[derive(Debug, Clone)]
struct OpenSilence {
    id: String,
    raised_at: Timestamp,
    named: Vec<usize>,
    evidence: Vec<SensorEvidence>,
    back_since: Option<Timestamp>,
}

impl SilentWatch {
    pub fn new(
        names: Vec<String>,
        units: Vec<String>,
        model: String,
        clear_after_nanos: i64,
    ) -> Self {
        SilentWatch {
            names,
            units,
            model,
            clear_after_nanos,
            open: None,
        }
    }

    /// Takes the sensors that are silent at `time`; gives the alarm event this makes, if any.
    pub fn step(&mut self, time: Timestamp, silent: &[SilentSensor]) -> Option<AlarmEvent> {
        let Some(mut open) = self.open.take() else {
            if silent.is_empty() {
                return None;
            }
            let mut open = OpenSilence {
                id: alarm_id(&self.model, AlarmKind::Silent, time, 0),
                raised_at: time,
                named: Vec::new(),
                evidence: Vec::new(),
                back_since: None,
            };
            self.name_new(&mut open, silent);
            return Some(self.emit(open, time, Transition::Raised));
        };
        if silent.is_empty() {
            let since = *open.back_since.get_or_insert(time);
            if time.nanos_since(since) >= self.clear_after_nanos {
                let event = self.emit(open, time, Transition::Cleared);
                self.open = None;
                return Some(event);
            }
            self.open = Some(open);
            return None;
        }
        open.back_since = None;
        if self.name_new(&mut open, silent) {
            return Some(self.emit(open, time, Transition::Updated));
        }
        self.open = Some(open);
        None
    }

    fn name_new(&self, open: &mut OpenSilence, silent: &[SilentSensor]) -> bool {
        let before = open.named.len();
        for one in silent {
            if !open.named.contains(&one.sensor) {
                open.named.push(one.sensor);
                open.evidence.push(SensorEvidence {
                    sensor: self.names[one.sensor].clone(),
                    unit: self.units[one.sensor].clone(),
                    seen: one.last_value,
                    expected: None,
                    from: Vec::new(),
                    head: "silent",
                    strength: 0.0,
                });
            }
        }
        open.named.len() > before
    }

    fn emit(&mut self, open: OpenSilence, time: Timestamp, transition: Transition) -> AlarmEvent {
        let event = AlarmEvent {
            id: open.id.clone(),
            kind: AlarmKind::Silent,
            transition,
            time,
            raised_at: open.raised_at,
            score: 0.0,
            peak_score: 0.0,
            sensors: open.evidence.clone(),
            model: self.model.clone(),
        };
        self.open = Some(open);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> SilentWatch {
        let names = vec!["LIT101".to_owned(), "FIT101".to_owned()];
        SilentWatch::new(
            names,
            vec![String::new(); 2],
            "m".to_owned(),
            600_000_000_000,
        )
    }

    fn silent(sensor: usize) -> SilentSensor {
        SilentSensor {
            sensor,
            last_value: Some(3.5),
        }
    }

    #[test]
    fn a_broken_cable_is_one_alarm_that_names_all_its_sensors() {
        let mut watch = watch();
        let at = Timestamp::from_seconds;
        assert_eq!(watch.step(at(0), &[]), None);
        let raised = watch.step(at(1), &[silent(0)]).unwrap();
        assert_eq!(raised.transition, Transition::Raised);
        assert!(
            raised.text(3).ends_with("LIT101  silent, last value 3.5"),
            "{}",
            raised.text(3)
        );
        assert_eq!(watch.step(at(2), &[silent(0)]), None);
        let updated = watch.step(at(3), &[silent(0), silent(1)]).unwrap();
        assert_eq!(
            (updated.transition, updated.sensors.len()),
            (Transition::Updated, 2)
        );
        assert_eq!(updated.id, raised.id);
    }

    #[test]
    fn a_loose_contact_stays_one_alarm() {
        let mut watch = watch();
        let mut events = Vec::new();
        for second in 0..3_000 {
            let now: &[SilentSensor] = if second < 1_500 && second / 100 % 2 == 0 {
                &[silent(0)]
            } else {
                &[]
            };
            events.extend(watch.step(Timestamp::from_seconds(second), now));
        }
        let kinds: Vec<Transition> = events.iter().map(|event| event.transition).collect();
        assert_eq!(kinds, [Transition::Raised, Transition::Cleared]);
        assert_eq!(events[1].time, Timestamp::from_seconds(2_100));
    }
}
