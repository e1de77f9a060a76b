//! What a person muted for a time (ISA-18.2: shelved).
//!
//! Mutes end at a time of the samples' own clock, which never goes back within a run: a wall clock
//! that is set back makes none longer. Imports `frame` only.

use crate::frame::Timestamp;

/// Time that moves on by more than this did not pass: the clock was set, as the aligner has it too.
const LONGEST_STEP_NANOS: i64 = 366 * 86_400 * 1_000_000_000;

/// What can be muted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MuteTarget {
    /// Index of the sensor in the model's list.
    Sensor(usize),
    /// Id of an alarm that stands.
    Alarm(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mute {
    pub target: MuteTarget,
    pub until: Timestamp,
}

#[derive(Debug, Clone, Default)]
pub struct Mutes {
    /// At most one of a target.
    list: Vec<Mute>,
    now: Option<Timestamp>,
}

impl Mutes {
    /// Mutes `target` up to `until`, whatever it was before.
    pub fn add(&mut self, target: MuteTarget, until: Timestamp) {
        self.remove(&target);
        self.list.push(Mute { target, until });
    }

    /// Whether there was such a mute.
    pub fn remove(&mut self, target: &MuteTarget) -> bool {
        let before = self.list.len();
        self.list.retain(|mute| mute.target != *target);
        self.list.len() < before
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mute> {
        self.list.iter()
    }

    /// Until when the sensor is muted.
    pub fn sensor(&self, sensor: usize) -> Option<Timestamp> {
        self.until(|target| *target == MuteTarget::Sensor(sensor))
    }

    /// Until when the alarm is muted.
    pub fn alarm(&self, id: &str) -> Option<Timestamp> {
        self.until(|target| matches!(target, MuteTarget::Alarm(muted) if muted == id))
    }

    fn until(&self, is_meant: impl Fn(&MuteTarget) -> bool) -> Option<Timestamp> {
        let mute = self.list.iter().find(|mute| is_meant(&mute.target));
        mute.map(|mute| mute.until)
    }

    /// The time of the last [`Mutes::advance`].
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Goes on from `now`, a time of the run before.
    pub fn set_now(&mut self, now: Option<Timestamp>) {
        self.now = now;
    }

    /// Lets time pass up to `time`; true when a mute has ended by that. Where the clock was set, what
    /// was left of each mute stays left.
    pub fn advance(&mut self, time: Timestamp) -> bool {
        let before = self.now.replace(time).unwrap_or(time);
        if self.list.is_empty() {
            return false;
        }
        let step = time.nanos_since(before);
        if !(0..=LONGEST_STEP_NANOS).contains(&step) {
            for mute in &mut self.list {
                mute.until = mute.until.add_nanos(step);
            }
        }
        let count = self.list.len();
        self.list.retain(|mute| mute.until > time);
        self.list.len() < count
    }

    /// When the next mute of a sensor ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        let sensors = self.list.iter();
        let sensors = sensors.filter(|mute| matches!(mute.target, MuteTarget::Sensor(_)));
        sensors.map(|mute| mute.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(i64) -> Timestamp = Timestamp::from_seconds;

    #[test]
    fn a_mute_ends_at_its_time_or_early() {
        let mut mutes = Mutes::default();
        assert!(!mutes.advance(AT(0)));
        mutes.add(MuteTarget::Sensor(3), AT(100));
        mutes.add(MuteTarget::Sensor(3), AT(50));
        mutes.add(MuteTarget::Alarm("a7k2".to_owned()), AT(70));
        assert_eq!((mutes.sensor(3), mutes.sensor(2)), (Some(AT(50)), None));
        assert_eq!(mutes.next_end(), Some(AT(50)));
        assert!(!mutes.advance(AT(49)));
        assert!(mutes.advance(AT(50)));
        assert_eq!((mutes.sensor(3), mutes.alarm("a7k2")), (None, Some(AT(70))));
        assert!(mutes.remove(&MuteTarget::Alarm("a7k2".to_owned())));
        assert!(!mutes.remove(&MuteTarget::Alarm("a7k2".to_owned())));
        assert!(mutes.is_empty());
    }

    #[test]
    fn a_clock_that_is_set_leaves_what_was_left() {
        let year = 365 * 86_400;
        for (jump, left) in [(-year, Some(60)), (2 * year, Some(60)), (year, None)] {
            let mut mutes = Mutes::default();
            mutes.set_now(Some(AT(1_000)));
            mutes.add(MuteTarget::Sensor(0), AT(1_060));
            mutes.advance(AT(1_000 + jump));
            // Up to a year the time may have passed: the mute has ended, which hides nothing.
            let end = left.map(|left| AT(1_000 + jump + left));
            assert_eq!(mutes.sensor(0), end, "{jump}");
        }
    }
}
