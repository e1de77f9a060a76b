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

/// How long the list of silent sensors must have stood before it is told again, so that a gateway
/// that dies under fifty sensors is not fifty messages.
const SETTLE_NANOS: i64 = 30 * 1_000_000_000;

#[derive(Debug, Clone)]
pub struct SilentWatch {
    /// `[F]`: name and unit.
    sensors: Vec<(String, String)>,
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
    evidence: Vec<SensorEvidence>,
    back_since: Option<Timestamp>,
    /// When the last sensor was added that the notices so far do not name.
    unsaid_since: Option<Timestamp>,
}

impl SilentWatch {
    /// `sensors` `[F]`: name and unit.
    pub fn new(sensors: Vec<(String, String)>, model: String, clear_after_nanos: i64) -> Self {
        SilentWatch {
            sensors,
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
                evidence: Vec::new(),
                back_since: None,
                unsaid_since: None,
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
            open.unsaid_since = Some(time);
        }
        if settled(&open).is_some_and(|settled| time >= settled) {
            open.unsaid_since = None;
            return Some(self.emit(open, time, Transition::Updated));
        }
        self.open = Some(open);
        None
    }

    /// When [`SilentWatch::step`] would have something to say although nothing changes.
    pub fn wants_look_at(&self) -> Option<Timestamp> {
        self.open.as_ref().and_then(settled)
    }

    /// Id and time of the alarm that is on.
    pub fn open(&self) -> Option<(&str, Timestamp)> {
        let open = self.open.as_ref()?;
        Some((&open.id, open.raised_at))
    }

    /// Takes over the open alarm of the watch before a reload.
    pub fn continue_from(&mut self, earlier: SilentWatch) {
        self.open = earlier.open;
    }

    /// Ends the open alarm, as nobody will watch on.
    pub fn end(&mut self, time: Timestamp) -> Option<AlarmEvent> {
        let open = self.open.take()?;
        let event = self.emit(open, time, Transition::Cleared);
        self.open = None;
        Some(event)
    }

    fn name_new(&self, open: &mut OpenSilence, silent: &[SilentSensor]) -> bool {
        let before = open.evidence.len();
        for one in silent {
            let (sensor, unit) = &self.sensors[one.sensor];
            // By name: a reload may have brought a model with the sensors in another order.
            if !open.evidence.iter().any(|named| named.sensor == *sensor) {
                open.evidence.push(SensorEvidence {
                    sensor: sensor.clone(),
                    unit: unit.clone(),
                    seen: one.last_value,
                    expected: None,
                    from: Vec::new(),
                    head: "silent",
                    strength: 0.0,
                });
            }
        }
        open.evidence.len() > before
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

fn settled(open: &OpenSilence) -> Option<Timestamp> {
    open.unsaid_since.map(|since| since.add_nanos(SETTLE_NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> SilentWatch {
        let sensors = ["LIT101", "FIT101"].map(|name| (name.to_owned(), String::new()));
        SilentWatch::new(sensors.to_vec(), "m".to_owned(), 600_000_000_000)
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
        assert_eq!(
            raised.text(3).split_once(" raised: ").unwrap().1,
            "no values from 1 sensor, 00:00:01 UTC\n  LIT101  silent, last value 3.5"
        );
        assert_eq!(watch.step(at(2), &[silent(0)]), None);
        // Told once the list has stood for a while.
        assert_eq!(watch.step(at(3), &[silent(0), silent(1)]), None);
        assert_eq!(watch.wants_look_at(), Some(at(33)));
        assert_eq!(watch.step(at(32), &[silent(0), silent(1)]), None);
        let updated = watch.step(at(33), &[silent(0), silent(1)]).unwrap();
        assert_eq!(
            (updated.transition, updated.sensors.len()),
            (Transition::Updated, 2)
        );
        assert_eq!(updated.id, raised.id);
        assert!(
            updated
                .text(1)
                .contains("stands for 32 s: no values from 2 sensors by now"),
            "{}",
            updated.text(1)
        );
        assert_eq!(watch.wants_look_at(), None);
    }

    #[test]
    fn an_open_alarm_survives_a_reload_and_can_be_ended() {
        let at = Timestamp::from_seconds;
        let mut before = watch();
        let raised = before.step(at(1), &[silent(0)]).unwrap();
        // The new model knows the sensors in another order.
        let mut sensors = before.sensors.clone();
        sensors.reverse();
        let mut after = SilentWatch::new(sensors, "n".to_owned(), 10_000_000_000);
        after.continue_from(before);
        assert_eq!(after.step(at(2), &[silent(1)]), None, "LIT101 as before");
        assert_eq!(after.step(at(3), &[]), None);
        let cleared = after.clone().step(at(13), &[]).unwrap();
        assert_eq!(
            (cleared.id.as_str(), cleared.transition),
            (raised.id.as_str(), Transition::Cleared)
        );
        let ended = after.end(at(4)).unwrap();
        assert_eq!(ended.transition, Transition::Cleared);
        assert_eq!((after.end(at(5)), after.step(at(5), &[])), (None, None));
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
