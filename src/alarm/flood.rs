//! Flood control (ISA-18.2's term): what makes "at most N false alarms a week" hold whatever
//! drifts.
//!
//! Every notice that nobody confirms raises a level that leaks at the budget's rate; above two
//! the bar rises threefold with each further notice. A second set of levels, one a sensor, turns down the
//! sensors behind the notices, so that one nuisance sensor does not deafen the rest.
//!
//! Who confirms an alarm as real takes its notices back out of both (`charge`).

use super::charge::{Charge, trim};
use crate::frame::Timestamp;
use serde::{Deserialize, Serialize};

const SECONDS_A_WEEK: f64 = 7.0 * 86_400.0;
/// Time that moves on by more than this between two samples did not pass: the clock was set, as
/// the aligner has it too.
const LONGEST_STEP_SECONDS: f64 = 366.0 * 86_400.0;
/// The level above which the bar rises. A new appliance starts at it: quiet time earns the credit
/// for two notices in a row, nobody is given it (docs/decisions/0003-flood-credit.md).
const FREE_LEVEL: f64 = 2.0;
/// What a level above that multiplies the bar by (docs/decisions/0003-flood-credit.md).
const GAIN_A_LEVEL: f64 = 3.0;
/// Scores are bounded (z is clipped), so no level comes near this by itself.
const HIGHEST_LEVEL: f64 = 32.0;
/// A notice is charged to at most this many sensors ...
pub(super) const CHARGED_SENSORS: usize = 3;
/// ... that reach this share of the strongest one.
const CHARGED_SHARE: f32 = 0.5;

#[derive(Debug, Clone)]
pub struct FloodControl {
    /// N
    budget: f64,
    /// l
    level: f64,
    /// v `[F]`
    attenuation: Vec<f32>,
    now: Option<Timestamp>,
    /// Of alarms that may still be confirmed, oldest first.
    charges: Vec<Charge>,
}

/// What of flood control survives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FloodState {
    pub level: f64,
    /// `[F]`
    pub attenuation: Vec<f32>,
    pub(super) charges: Vec<Charge>,
}

impl FloodControl {
    /// `budget`: N false alarms a week.
    pub fn new(budget: f64, sensors: usize) -> Self {
        FloodControl {
            budget,
            level: FREE_LEVEL,
            attenuation: vec![0.0; sensors],
            now: None,
            charges: Vec::new(),
        }
    }

    /// Takes over the level of `earlier`, and what each sensor is turned down by where the sensors
    /// are the same ones.
    pub fn continue_from(&mut self, earlier: &FloodControl, same_sensors: bool) {
        self.now = earlier.now;
        self.take_over(
            earlier.level,
            &earlier.attenuation,
            &earlier.charges,
            same_sensors,
        );
    }

    /// What is to be saved.
    pub fn save(&self) -> FloodState {
        FloodState {
            level: self.level,
            attenuation: self.attenuation.clone(),
            charges: self.charges.clone(),
        }
    }

    /// Takes back what [`FloodControl::save`] gave; values that mean nothing are left out. The time
    /// in which nobody watched leaks nothing: how long it was cannot be told from a clock that was
    /// set, and what no frame has shown has earned no credit.
    pub fn resume(&mut self, saved: &FloodState, same_sensors: bool) {
        self.now = None;
        let level = match saved.level.is_finite() {
            true => saved.level.clamp(0.0, HIGHEST_LEVEL),
            false => FREE_LEVEL,
        };
        let meant = |v: &f32| (0.0..=HIGHEST_LEVEL as f32).contains(v);
        let sensors = same_sensors && saved.attenuation.iter().all(meant);
        self.take_over(level, &saved.attenuation, &saved.charges, sensors);
        let sensors = self.attenuation.len();
        self.charges.retain(|charge| charge.is_sound(sensors));
    }

    fn take_over(&mut self, level: f64, attenuation: &[f32], charges: &[Charge], sensors: bool) {
        self.level = level;
        self.charges = charges.to_vec();
        if sensors && self.attenuation.len() == attenuation.len() {
            self.attenuation.copy_from_slice(attenuation);
        } else {
            self.charges.iter_mut().for_each(Charge::forget_sensors);
        }
    }

    /// Lets the levels leak until `time`; time that goes back, or on by more than a year, is a
    /// clock that was set and leaks nothing.
    pub fn advance(&mut self, time: Timestamp) {
        if let Some(before) = self.now {
            let seconds = match time.seconds_since(before) {
                set if set > LONGEST_STEP_SECONDS => 0.0,
                seconds => seconds,
            };
            let weeks = (seconds / SECONDS_A_WEEK).max(0.0);
            self.level = (self.level - self.budget * weeks).max(0.0);
            let leaked = (self.budget / 4.0 * weeks) as f32;
            for v in &mut self.attenuation {
                *v = (*v - leaked).max(0.0);
            }
        }
        self.now = Some(time);
    }

    /// g: how much more than the threshold a score must reach to raise an alarm now.
    pub fn gain(&self) -> f64 {
        let above = self.level - FREE_LEVEL;
        match above > 0.0 {
            true => GAIN_A_LEVEL.powf(above),
            // Nearly always, and asked for each frame: the power need not be taken.
            false => 1.0,
        }
    }

    /// v `[F]`: by how many halvings each sensor is turned down.
    pub fn attenuation(&self) -> &[f32] {
        &self.attenuation
    }

    /// l: 0 is wide open.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Charges a notice of the alarm `id`, with the attenuated `strengths` `[F]` at that moment.
    pub fn charge(&mut self, id: &str, strengths: &[f32]) {
        // Levels only fall between two charges, so what has leaked until now can be told now.
        self.settle();
        self.level += 1.0;
        let mut charge = Charge::new(id);
        let mut charged = [usize::MAX; CHARGED_SENSORS];
        for place in 0..CHARGED_SENSORS {
            let rest = (0..strengths.len()).filter(|i| !charged[..place].contains(i));
            let Some(next) = rest.max_by(|&a, &b| strengths[a].total_cmp(&strengths[b])) else {
                break;
            };
            let first = strengths[if place == 0 { next } else { charged[0] }];
            if strengths[next] <= 0.0 || strengths[next] < CHARGED_SHARE * first {
                break;
            }
            charged[place] = next;
            self.attenuation[next] += 1.0;
            charge.sensors.push((next, 1.0));
        }
        self.charges.push(charge);
    }

    /// Takes what is left of the notices of the alarm `id` out of the level and of the sensors that
    /// were charged for them. Gives by how much the level fell.
    pub fn take_back(&mut self, id: &str) -> f64 {
        self.settle();
        let before = self.level;
        for charge in &mut self.charges {
            if charge.alarm == id && !charge.taken_back {
                charge.taken_back = true;
                self.level = (self.level - charge.level).max(0.0);
                for &(sensor, left) in &charge.sensors {
                    self.attenuation[sensor] = (self.attenuation[sensor] - left).max(0.0);
                }
            }
        }
        before - self.level
    }

    /// Undoes [`FloodControl::take_back`].
    pub fn put_back(&mut self, id: &str) {
        self.settle();
        for charge in &mut self.charges {
            if charge.alarm == id && charge.taken_back {
                charge.taken_back = false;
                self.level += charge.level;
                for &(sensor, left) in &charge.sensors {
                    self.attenuation[sensor] += left;
                }
            }
        }
    }

    /// The alarm `id` can no longer be confirmed.
    pub(super) fn forget(&mut self, id: &str) {
        self.charges.retain(|charge| charge.alarm != id);
    }

    /// Says of each charge how much of it is left.
    fn settle(&mut self) {
        trim(&mut self.charges, self.level, &self.attenuation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bar_rises_with_notices_and_comes_down_with_time() {
        let mut flood = FloodControl::new(7.0, 2);
        flood.advance(Timestamp::EPOCH);
        assert_eq!(flood.gain(), 1.0);
        for _ in 0..2 {
            flood.charge("a000", &[5.0, 1.0]);
        }
        assert_eq!(flood.gain(), 9.0);
        assert_eq!(flood.attenuation(), [2.0, 0.0]);
        // Seven a week is one a day; sensors leak at a quarter of it.
        flood.advance(Timestamp::from_seconds(86_400));
        assert!((flood.gain() - 3.0).abs() < 1e-9);
        assert!((flood.attenuation()[0] - 1.75).abs() < 1e-5);
        flood.advance(Timestamp::from_seconds(0));
        assert!((flood.gain() - 3.0).abs() < 1e-9);
        flood.advance(Timestamp::from_seconds(86_400 * 60));
        assert_eq!((flood.gain(), flood.attenuation()[0]), (1.0, 0.0));
    }

    #[test]
    fn a_notice_is_charged_to_those_behind_it() {
        let mut flood = FloodControl::new(1.0, 5);
        flood.charge("a000", &[0.0, 10.0, 6.0, 4.9, 5.0]);
        assert_eq!(flood.attenuation(), [0.0, 1.0, 1.0, 0.0, 1.0]);
        flood.charge("a000", &[0.0; 5]);
        assert_eq!(flood.attenuation(), [0.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(flood.level(), 4.0);
    }

    #[test]
    fn a_confirmed_notice_is_taken_out_of_both_counters_once() {
        let mut flood = FloodControl::new(7.0, 3);
        flood.advance(Timestamp::EPOCH);
        flood.charge("a000", &[9.0, 8.0, 0.0]);
        flood.charge("b000", &[9.0, 0.0, 0.0]);
        // Half a notice leaks: of the credit that nobody has earned, which comes first.
        flood.advance(Timestamp::from_seconds(43_200));
        assert_eq!(flood.take_back("a000"), 1.0);
        assert!((flood.level() - 2.5).abs() < 1e-9);
        // The sensors leak an eighth, of the oldest notice first.
        assert!((flood.attenuation()[0] - 1.0).abs() < 1e-6);
        assert_eq!(flood.attenuation()[1..], [0.0, 0.0]);
        let before = flood.save();
        assert_eq!(flood.take_back("a000"), 0.0);
        assert_eq!(flood.take_back("zzzz"), 0.0);
        assert_eq!(flood.save(), before);
        flood.put_back("a000");
        assert!((flood.level() - 3.5).abs() < 1e-9);
        assert!((flood.attenuation()[0] - 1.875).abs() < 1e-6);
    }

    #[test]
    fn what_has_leaked_is_not_given_twice() {
        let mut flood = FloodControl::new(7.0, 1);
        flood.advance(Timestamp::EPOCH);
        flood.charge("a000", &[9.0]);
        // Two and a half days: the level's own two, and half of the notice.
        flood.advance(Timestamp::from_seconds(216_000));
        flood.charge("b000", &[9.0]);
        assert!((flood.take_back("a000") - 0.5).abs() < 1e-9);
        assert!((flood.level() - 1.0).abs() < 1e-9);
        flood.advance(Timestamp::from_seconds(86_400 * 90));
        assert_eq!((flood.take_back("b000"), flood.level()), (0.0, 0.0));
        assert_eq!(flood.attenuation(), [0.0]);
    }

    #[test]
    fn a_clock_that_was_set_leaks_nothing() {
        let mut flood = FloodControl::new(7.0, 1);
        let year = 367 * 86_400;
        for second in [0, year, 2 * year, 0] {
            flood.advance(Timestamp::from_seconds(second));
            assert_eq!(flood.level(), FREE_LEVEL);
        }
        flood.charge("a000", &[1.0]);
        let mut resumed = FloodControl::new(7.0, 1);
        resumed.resume(&flood.save(), true);
        resumed.advance(Timestamp::from_seconds(300 * 86_400));
        assert_eq!(resumed.save(), flood.save());
        // Another model: the level stays, its sensors are others.
        let mut other = FloodControl::new(7.0, 1);
        other.resume(&flood.save(), false);
        assert_eq!((other.level(), other.attenuation()), (3.0, &[0.0][..]));
        assert_eq!(other.take_back("a000"), 1.0);
    }

    #[test]
    fn a_state_that_means_nothing_is_left_out() {
        let charge = Charge {
            level: 7.0,
            ..Charge::new("a000")
        };
        let saved = FloodState {
            level: f64::INFINITY,
            attenuation: vec![f32::NAN],
            charges: vec![charge],
        };
        let mut flood = FloodControl::new(7.0, 1);
        flood.resume(&saved, true);
        assert_eq!(flood.save(), FloodControl::new(7.0, 1).save());
    }

    proptest! {
        /// With confirmations every bar is at most what it is without them.
        #[test]
        fn confirming_never_raises_a_bar(
            moves in prop::collection::vec((0..200_000i64, 0..3usize, 0..6u8), 1..60),
            budget in 0.2..20.0f64,
        ) {
            let (mut with, mut without) =
                (FloodControl::new(budget, 3), FloodControl::new(budget, 3));
            let mut time = 0;
            for (index, (step, sensor, action)) in moves.iter().enumerate() {
                time += step;
                for flood in [&mut with, &mut without] {
                    flood.advance(Timestamp::from_seconds(time));
                    if *action < 4 {
                        let mut strengths = [1.0; 3];
                        strengths[*sensor] = 9.0;
                        flood.charge(&format!("a{index:03}"), &strengths);
                    }
                }
                if *action >= 3 {
                    let id = format!("a{:03}", index.saturating_sub(*sensor));
                    let before = with.level();
                    let fell = with.take_back(&id);
                    prop_assert!((0.0..=1.0).contains(&fell));
                    prop_assert!((before - with.level() - fell).abs() < 1e-12);
                }
                prop_assert!(with.gain() <= without.gain() + 1e-9);
                for (v, bound) in with.attenuation().iter().zip(without.attenuation()) {
                    prop_assert!((0.0..=bound + 1e-4).contains(v), "{v} > {bound}");
                }
            }
        }
    }
}
