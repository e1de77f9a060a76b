//! Flood control (ISA-18.2's term): what makes "at most N false alarms a week" hold whatever
//! drifts.
//!
//! Every notice that nobody confirms raises a level that leaks at the budget's rate; above two
//! the bar rises threefold with each further notice. A second set of levels, one a sensor, turns down the
//! sensors behind the notices, so that one nuisance sensor does not deafen the rest.

use crate::frame::Timestamp;

const SECONDS_A_WEEK: f64 = 7.0 * 86_400.0;
/// The level above which the bar rises. A new appliance starts at it: quiet time earns the credit
/// for two notices in a row, nobody is given it (docs/decisions/0003-flood-credit.md).
const FREE_LEVEL: f64 = 2.0;
/// What a level above that multiplies the bar by (docs/decisions/0003-flood-credit.md).
const GAIN_A_LEVEL: f64 = 3.0;
/// A notice is charged to at most this many sensors ...
const CHARGED_SENSORS: usize = 3;
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
}

impl FloodControl {
    /// `budget`: N false alarms a week.
    pub fn new(budget: f64, sensors: usize) -> Self {
        FloodControl {
            budget,
            level: FREE_LEVEL,
            attenuation: vec![0.0; sensors],
            now: None,
        }
    }

    /// Takes over the level of `earlier`, and what each sensor is turned down by where the sensors
    /// are the same ones.
    pub fn continue_from(&mut self, earlier: &FloodControl, same_sensors: bool) {
        self.level = earlier.level;
        self.now = earlier.now;
        if same_sensors && self.attenuation.len() == earlier.attenuation.len() {
            self.attenuation.copy_from_slice(&earlier.attenuation);
        }
    }

    /// Lets the levels leak until `time`; time that goes back leaks nothing.
    pub fn advance(&mut self, time: Timestamp) {
        if let Some(before) = self.now {
            let weeks = (time.seconds_since(before) / SECONDS_A_WEEK).max(0.0);
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
        GAIN_A_LEVEL.powf((self.level - FREE_LEVEL).max(0.0))
    }

    /// v `[F]`: by how many halvings each sensor is turned down.
    pub fn attenuation(&self) -> &[f32] {
        &self.attenuation
    }

    /// l: 0 is wide open.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Charges a notice, with the attenuated `strengths` `[F]` at that moment.
    pub fn charge(&mut self, strengths: &[f32]) {
        self.level += 1.0;
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_rises_with_notices_and_comes_down_with_time() {
        let mut flood = FloodControl::new(7.0, 2);
        flood.advance(Timestamp::EPOCH);
        assert_eq!(flood.gain(), 1.0);
        for _ in 0..2 {
            flood.charge(&[5.0, 1.0]);
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
        flood.charge(&[0.0, 10.0, 6.0, 4.9, 5.0]);
        assert_eq!(flood.attenuation(), [0.0, 1.0, 1.0, 0.0, 1.0]);
        flood.charge(&[0.0; 5]);
        assert_eq!(flood.attenuation(), [0.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(flood.level(), 4.0);
    }
}
