//! Sensors that fell silent, as one alarm: a cable that carries ten sensors is one fault.

use serde::{Deserialize, Serialize};

use super::id::alarm_id;
use super::{AlarmEvent, AlarmKind, Confirmed, SensorEvidence, Transition, Verdict};
use crate::frame::Timestamp;

/// What is known of one sensor's reporting at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilentSensor {
    pub sensor: usize,
    /// The last value it reported, in its own unit.
    pub last_value: Option<f64>,
    /// A person muted it: its silence is no news.
    pub muted: bool,
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
    /// Ids and verdicts of earlier alarms, oldest first.
    recent: Vec<(String, Option<Verdict>)>,
    /// Sensors of an alarm of the run before that may not have been heard since.
    unheard: Vec<usize>,
    /// The open alarm is muted until then.
    quiet_until: Option<Timestamp>,
    degraded: Option<String>,
}

/// The open alarm of silent sensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenSilence {
    pub id: String,
    pub raised_at: Timestamp,
    verdict: Option<Verdict>,
    degraded: Option<String>,
    evidence: Vec<SensorEvidence>,
    back_since: Option<Timestamp>,
    /// When the last sensor was added that the notices so far do not name.
    unsaid_since: Option<Timestamp>,
}

/// Ids of this many earlier alarms can be judged.
const RECENT_ALARMS: usize = 16;

impl SilentWatch {
    /// `sensors` `[F]`: name and unit.
    pub fn new(sensors: Vec<(String, String)>, model: String, clear_after_nanos: i64) -> Self {
        SilentWatch {
            sensors,
            model,
            clear_after_nanos,
            open: None,
            recent: Vec::new(),
            unheard: Vec::new(),
            quiet_until: None,
            degraded: None,
        }
    }

    pub fn open(&self) -> Option<&OpenSilence> {
        self.open.as_ref()
    }

    /// What of the service is degraded: alarms that are raised from now on say so.
    pub fn set_degraded(&mut self, degraded: Option<String>) {
        self.degraded = degraded;
    }

    /// Until then the open alarm gives no further notices; its end is told all the same.
    pub fn set_quiet_until(&mut self, until: Option<Timestamp>) {
        self.quiet_until = until;
    }

    /// Records what a person says of the alarm `id`; `None` where it is no alarm of silence.
    pub fn confirm(&mut self, id: &str, verdict: Verdict) -> Option<Confirmed> {
        let (_, kept) = self.recent.iter_mut().find(|(recent, _)| recent == id)?;
        let before = kept.replace(verdict);
        let open = self.open.as_mut().filter(|open| open.id == id);
        let is_on = open.is_some();
        if let Some(open) = open {
            open.verdict = Some(verdict);
        }
        Some(Confirmed {
            verdict,
            before,
            returned: 0.0,
            is_on,
        })
    }

    /// Ids of the alarms that can be judged, newest first.
    pub fn recent_ids(&self) -> impl Iterator<Item = &str> {
        self.recent.iter().rev().map(|(id, _)| id.as_str())
    }

    /// What is to be saved.
    pub fn save(&self) -> SilenceState {
        SilenceState {
            open: self.open.clone(),
            recent: self.recent.clone(),
        }
    }

    /// Takes back what [`SilentWatch::save`] gave. Its sensors count as silent until they are heard.
    pub fn resume(&mut self, saved: SilenceState) {
        self.recent = saved.recent;
        let surplus = self.recent.len().saturating_sub(RECENT_ALARMS);
        self.recent.drain(..surplus);
        self.open = saved.open;
        let Some(open) = &mut self.open else {
            return;
        };
        open.back_since = None;
        let named = |(name, _): &(String, String)| open.evidence.iter().any(|e| e.sensor == *name);
        let sensors = self.sensors.iter().enumerate();
        let unheard = sensors.filter(|(_, sensor)| named(sensor));
        self.unheard = unheard.map(|(index, _)| index).collect();
    }

    /// Whether there may be any of [`SilentWatch::unheard`].
    pub fn waits_for_unheard(&self) -> bool {
        !self.unheard.is_empty()
    }

    /// Those of the run before that may not have been heard since: who has been is taken out by
    /// `is_heard`.
    pub fn unheard(&mut self, is_heard: impl Fn(usize) -> bool) -> &[usize] {
        self.unheard.retain(|sensor| !is_heard(*sensor));
        &self.unheard
    }

    /// Takes the sensors that are silent at `time`; gives the alarm event this makes, if any.
    pub fn step(&mut self, time: Timestamp, silent: &[SilentSensor]) -> Option<AlarmEvent> {
        let Some(mut open) = self.open.take() else {
            if silent.iter().all(|one| one.muted) {
                return None;
            }
            let mut open = OpenSilence {
                id: alarm_id(&self.model, AlarmKind::Silent, time, 0),
                raised_at: time,
                verdict: None,
                degraded: self.degraded.clone(),
                evidence: Vec::new(),
                back_since: None,
                unsaid_since: None,
            };
            if self.recent.len() >= RECENT_ALARMS {
                self.recent.remove(0);
            }
            self.recent.push((open.id.clone(), None));
            self.name_new(&mut open, silent);
            return Some(self.emit(open, time, Transition::Raised));
        };
        // After a restart with a clock that was set back; time never goes back otherwise.
        open.unsaid_since = open.unsaid_since.map(|since| since.min(time));
        // Who was told of and is muted since is silent all the same.
        let counts = |one: &SilentSensor| !one.muted || self.is_named(&open, one.sensor);
        if !silent.iter().any(counts) {
            let since = *open.back_since.get_or_insert(time);
            if time.nanos_since(since) >= self.clear_after_nanos {
                let event = self.emit(open, time, Transition::Cleared);
                self.open = None;
                self.quiet_until = None;
                return Some(event);
            }
            self.open = Some(open);
            return None;
        }
        open.back_since = None;
        if self.name_new(&mut open, silent) {
            open.unsaid_since = Some(time);
        }
        if self.settled(&open).is_some_and(|settled| time >= settled) {
            open.unsaid_since = None;
            return Some(self.emit(open, time, Transition::Updated));
        }
        self.open = Some(open);
        None
    }

    /// When [`SilentWatch::step`] would have something to say although nothing changes.
    pub fn wants_look_at(&self) -> Option<Timestamp> {
        self.open.as_ref().and_then(|open| self.settled(open))
    }

    fn settled(&self, open: &OpenSilence) -> Option<Timestamp> {
        let settled = open.unsaid_since?.add_nanos(SETTLE_NANOS);
        Some(self.quiet_until.map_or(settled, |until| settled.max(until)))
    }

    /// Takes over the open alarm of the watch before a reload.
    pub fn continue_from(&mut self, earlier: SilentWatch) {
        self.open = earlier.open;
        self.recent = earlier.recent;
        self.quiet_until = earlier.quiet_until;
        self.degraded = earlier.degraded;
        let names = earlier.unheard.iter().map(|&old| &earlier.sensors[old].0);
        let place = |name: &String| self.sensors.iter().position(|(mine, _)| mine == name);
        self.unheard = names.filter_map(place).collect();
    }

    /// Ends the open alarm, as nobody will watch on.
    pub fn end(&mut self, time: Timestamp) -> Option<AlarmEvent> {
        let open = self.open.take()?;
        let event = self.emit(open, time, Transition::Cleared);
        self.open = None;
        Some(event)
    }

    /// By name: a reload may have brought a model with the sensors in another order.
    fn is_named(&self, open: &OpenSilence, sensor: usize) -> bool {
        let (name, _) = &self.sensors[sensor];
        open.evidence.iter().any(|named| named.sensor == *name)
    }

    fn name_new(&self, open: &mut OpenSilence, silent: &[SilentSensor]) -> bool {
        let before = open.evidence.len();
        for one in silent.iter().filter(|one| !one.muted) {
            let (sensor, unit) = &self.sensors[one.sensor];
            if !self.is_named(open, one.sensor) {
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
            threshold: 1.0,
            sensors: open.evidence.clone(),
            model: self.model.clone(),
            degraded: open.degraded.clone(),
            verdict: open.verdict,
        };
        self.open = Some(open);
        event
    }
}

/// What of the watch survives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SilenceState {
    pub open: Option<OpenSilence>,
    recent: Vec<(String, Option<Verdict>)>,
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
            muted: false,
        }
    }

    fn muted(sensor: usize) -> SilentSensor {
        SilentSensor {
            muted: true,
            ..silent(sensor)
        }
    }

    #[test]
    fn a_muted_sensor_raises_nothing_but_does_not_end_what_was_told_of_it() {
        let at = Timestamp::from_seconds;
        let mut watch = watch();
        assert_eq!(watch.step(at(0), &[muted(0)]), None);
        let raised = watch.step(at(1), &[muted(0), silent(1)]).unwrap();
        assert_eq!(raised.sensors.len(), 1);
        for second in 2..2_000 {
            assert_eq!(watch.step(at(second), &[muted(0), muted(1)]), None);
        }
        // Its mute ends: it is told as a further one.
        assert_eq!(watch.step(at(2_000), &[silent(0), muted(1)]), None);
        let updated = watch.step(at(2_030), &[silent(0), muted(1)]).unwrap();
        assert_eq!(updated.sensors.len(), 2);
    }

    #[test]
    fn a_muted_alarm_tells_further_sensors_only_when_heard_again() {
        let at = Timestamp::from_seconds;
        let mut watch = watch();
        let raised = watch.step(at(0), &[silent(0)]).unwrap();
        watch.set_quiet_until(Some(at(500)));
        assert_eq!(watch.step(at(10), &[silent(0), silent(1)]), None);
        assert_eq!(watch.wants_look_at(), Some(at(500)));
        assert_eq!(watch.step(at(499), &[silent(0), silent(1)]), None);
        assert!(watch.step(at(500), &[silent(0), silent(1)]).is_some());
        assert_eq!(watch.confirm("zzzz", Verdict::Real), None);
        let confirmed = watch.confirm(&raised.id, Verdict::Real).unwrap();
        assert_eq!((confirmed.is_on, confirmed.before), (true, None));
        watch.step(at(600), &[]);
        let cleared = watch.step(at(1_200), &[]).unwrap();
        assert_eq!(cleared.verdict, Some(Verdict::Real));
        assert!(!watch.confirm(&raised.id, Verdict::Normal).unwrap().is_on);
    }

    #[test]
    fn an_alarm_of_the_run_before_ends_when_its_sensors_are_heard() {
        let at = Timestamp::from_seconds;
        for jump in [0, 365 * 86_400, -365 * 86_400] {
            let mut before = watch();
            let raised = before.step(at(0), &[silent(0)]).unwrap();
            before.step(at(5), &[silent(0), silent(1)]);
            let text = serde_json::to_string(&before.save()).unwrap();
            let mut after = watch();
            after.resume(serde_json::from_str(&text).unwrap());
            assert_eq!(after.save(), before.save());
            assert_eq!(after.unheard(|sensor| sensor == 1), [0]);
            // The further sensor is told of, whatever the clock says.
            let told: Vec<AlarmEvent> = (10..100)
                .filter_map(|second| after.step(at(second + jump), &[silent(0)]))
                .collect();
            assert_eq!(told.len(), 1, "{jump}");
            assert_eq!(told[0].sensors.len(), 2);
            assert_eq!(after.step(at(100 + jump), &[]), None);
            let cleared = after.step(at(700 + jump), &[]).unwrap();
            assert_eq!(
                (cleared.id, cleared.transition),
                (raised.id.clone(), Transition::Cleared)
            );
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
