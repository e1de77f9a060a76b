//! The alarm as a state machine: off, on, and on but below the clear threshold.

use super::flood::FloodControl;
use super::id::alarm_id;
use super::{AlarmKind, Transition};
use crate::frame::Timestamp;
use crate::score::threshold::Thresholds;
use crate::score::{Charts, Scorer};

/// The clear threshold as a share of the raise threshold.
const CLEAR_SHARE: f64 = 0.8;
/// An alarm clears after at least this many samples below the clear threshold.
const CLEAR_SAMPLES: u32 = 3;
const NANOS_A_DAY: f64 = 86_400e9;
/// Ids of this many earlier alarms are not given again.
const RECENT_IDS: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub struct AlarmConfig {
    /// N
    pub max_false_alarms_per_week: f64,
    pub thresholds: Thresholds,
    /// Off delay: how long the score must stay below the clear threshold.
    pub clear_after_nanos: i64,
    /// Names the model; part of what alarm ids are made from.
    pub model: String,
}

/// The alarm that is on.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAlarm {
    pub id: String,
    pub raised_at: Timestamp,
    pub peak_score: f64,
    last_notice: Timestamp,
    /// Flood control's gain at the raise, before this alarm's own notice was charged.
    gain: f64,
    below_since: Option<Timestamp>,
    below_samples: u32,
}

/// What one scored sample did.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Relative to the threshold in force: 1.0 raises.
    pub score: f64,
    /// The alarm that was raised, updated or cleared by this sample.
    pub change: Option<(Transition, OpenAlarm)>,
}

#[derive(Debug, Clone)]
pub struct AlarmMachine {
    config: AlarmConfig,
    flood: FloodControl,
    open: Option<OpenAlarm>,
    recent: Vec<String>,
    strengths: Vec<f32>,
}

impl AlarmMachine {
    pub fn new(config: AlarmConfig, sensors: usize) -> Self {
        AlarmMachine {
            flood: FloodControl::new(config.max_false_alarms_per_week, sensors),
            config,
            open: None,
            recent: Vec::new(),
            strengths: vec![0.0; sensors],
        }
    }

    pub fn is_on(&self) -> bool {
        self.open.is_some()
    }

    pub fn open(&self) -> Option<&OpenAlarm> {
        self.open.as_ref()
    }

    pub fn flood(&self) -> &FloodControl {
        &self.flood
    }

    pub fn thresholds(&self) -> Thresholds {
        self.config.thresholds
    }

    /// The off delay.
    pub fn clear_after_nanos(&self) -> i64 {
        self.config.clear_after_nanos
    }

    /// Takes over the open alarm and flood control of `earlier`; of each sensor only when the
    /// sensors are the same ones.
    pub fn continue_from(&mut self, earlier: AlarmMachine, same_sensors: bool) {
        self.open = earlier.open;
        self.recent = earlier.recent;
        self.flood.continue_from(&earlier.flood, same_sensors);
    }

    /// A gap: the time in it says nothing, so an alarm that was about to clear waits anew.
    pub fn restart(&mut self) {
        if let Some(open) = &mut self.open {
            open.below_since = None;
            open.below_samples = 0;
        }
    }

    /// Judges the sample at `time` whose charts are `charts` and whose sensors `scorer` knows.
    pub fn step(&mut self, time: Timestamp, charts: Charts, scorer: &Scorer) -> Judgement {
        self.flood.advance(time);
        let gain = self.flood.gain();
        let ratio = self.config.thresholds.ratio(charts.a, charts.b);
        let score = ratio / gain;
        let change = match self.open.take() {
            None if score >= 1.0 => Some(self.raise(time, score, scorer)),
            None => None,
            Some(open) => {
                let (score, change) = self.continue_open(open, time, ratio, scorer);
                return Judgement { score, change };
            }
        };
        Judgement { score, change }
    }

    fn raise(&mut self, time: Timestamp, score: f64, scorer: &Scorer) -> (Transition, OpenAlarm) {
        let new_id = |attempt| alarm_id(&self.config.model, AlarmKind::Anomaly, time, attempt);
        let mut id = new_id(0);
        let mut attempt = 1;
        while self.recent.contains(&id) {
            id = new_id(attempt);
            attempt += 1;
        }
        if self.recent.len() == RECENT_IDS {
            self.recent.remove(0);
        }
        self.recent.push(id.clone());
        let open = OpenAlarm {
            id,
            raised_at: time,
            peak_score: score,
            last_notice: time,
            gain: self.flood.gain(),
            below_since: None,
            below_samples: 0,
        };
        self.charge(scorer);
        self.open = Some(open.clone());
        (Transition::Raised, open)
    }

    /// The sample of an alarm that is on. Its own notice has raised flood control's bar; a fault
    /// that persists must not look cleared because of that, so the alarm is held to the bar that
    /// it was raised at until its next notice is due. Then it must merit one, or clear.
    fn continue_open(
        &mut self,
        mut open: OpenAlarm,
        time: Timestamp,
        ratio: f64,
        scorer: &Scorer,
    ) -> (f64, Option<(Transition, OpenAlarm)>) {
        let gain = self.flood.gain();
        let due = time.nanos_since(open.last_notice) >= self.repeat_after_nanos();
        let score = ratio / if due { gain } else { gain.min(open.gain) };
        open.peak_score = open.peak_score.max(score);
        let mut change = None;
        if score >= CLEAR_SHARE {
            open.below_since = None;
            open.below_samples = 0;
            if due {
                open.last_notice = time;
                self.charge(scorer);
                change = Some((Transition::Updated, open.clone()));
            }
        } else {
            let since = *open.below_since.get_or_insert(time);
            open.below_samples += 1;
            let long = time.nanos_since(since) >= self.config.clear_after_nanos;
            if long && open.below_samples >= CLEAR_SAMPLES {
                return (score, Some((Transition::Cleared, open)));
            }
        }
        self.open = Some(open);
        (score, change)
    }

    fn charge(&mut self, scorer: &Scorer) {
        scorer.strengths(self.flood.attenuation(), &mut self.strengths);
        self.flood.charge(&self.strengths);
    }

    /// An alarm that stays on repeats its notice every min(1 day, week / 4N).
    fn repeat_after_nanos(&self) -> i64 {
        let quarter = 7.0 * NANOS_A_DAY / (4.0 * self.config.max_false_alarms_per_week);
        NANOS_A_DAY.min(quarter) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::HeadKind;
    use crate::score::residual::Column;
    use proptest::prelude::*;

    fn machine(budget: f64) -> (AlarmMachine, Scorer) {
        let config = AlarmConfig {
            max_false_alarms_per_week: budget,
            thresholds: Thresholds { a: 1.0, b: 1.0 },
            clear_after_nanos: 600_000_000_000,
            model: "test".to_owned(),
        };
        let column = Column {
            median: 0.0,
            spread: 1.0,
            fast: 1.0,
            slow: 1.0,
        };
        let scorer = Scorer::with_columns(vec![HeadKind::Raw], 2, &[column; 2]);
        (AlarmMachine::new(config, 2), scorer)
    }

    fn at(score: f64) -> Charts {
        Charts {
            published: score as f32,
            a: score as f32,
            b: 0.0,
        }
    }

    fn transitions(scores: &[f64], step_seconds: i64) -> Vec<(usize, Transition)> {
        let (mut machine, scorer) = machine(7.0);
        let mut seen = Vec::new();
        for (row, &score) in scores.iter().enumerate() {
            let time = Timestamp::from_seconds(row as i64 * step_seconds);
            if let Some((transition, _)) = machine.step(time, at(score), &scorer).change {
                seen.push((row, transition));
            }
        }
        seen
    }

    #[test]
    fn one_fault_is_one_alarm() {
        let mut scores = vec![0.2; 5];
        scores.extend([1.5, 0.9, 3.0, 0.5, 2.0]);
        scores.extend([0.1; 30]);
        let seen = transitions(&scores, 60);
        assert_eq!(seen, [(5, Transition::Raised), (20, Transition::Cleared)]);
    }

    #[test]
    fn a_slow_grid_still_takes_three_samples_to_clear() {
        let seen = transitions(&[2.0, 0.0, 0.0, 0.0, 0.0], 3_600);
        assert_eq!(seen, [(0, Transition::Raised), (3, Transition::Cleared)]);
    }

    #[test]
    fn a_standing_alarm_repeats_its_notice() {
        let seen = transitions(&[1e6; 60], 3_600);
        assert_eq!(
            seen[..2],
            [(0, Transition::Raised), (6, Transition::Updated)]
        );
    }

    #[test]
    fn the_id_is_stable_until_the_alarm_clears_and_new_for_the_next() {
        let (mut machine, scorer) = machine(7.0);
        let mut ids = Vec::new();
        for (row, score) in [2.0, 0.0, 0.0, 0.0, 4.0].iter().enumerate() {
            let time = Timestamp::from_seconds(row as i64 * 600);
            if let Some((_, open)) = machine.step(time, at(*score), &scorer).change {
                ids.push(open.id);
            }
        }
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[0], ids[1]);
        assert_ne!(ids[1], ids[2]);
    }

    proptest! {
        /// The promise: whatever the scores do, notices stay within the budget and a constant.
        #[test]
        fn notices_never_exceed_the_budget(
            scores in prop::collection::vec(prop_oneof![0.0..2.0f64, 0.0..1e4f64], 1..400),
            budget in 0.2..30.0f64,
            step in prop_oneof![Just(60i64), Just(3_600), Just(20_000)],
        ) {
            let (mut machine, scorer) = machine(budget);
            let mut notices = 0;
            for (row, score) in scores.iter().enumerate() {
                let time = Timestamp::from_seconds(row as i64 * step);
                let judgement = machine.step(time, at(*score), &scorer);
                if let Some((Transition::Raised | Transition::Updated, _)) = judgement.change {
                    notices += 1;
                }
            }
            let weeks = (scores.len() as i64 * step) as f64 / (7.0 * 86_400.0);
            let largest = scores.iter().copied().fold(0.8, f64::max);
            let bound = budget * weeks + 1.0 + (largest / CLEAR_SHARE).log(3.0);
            prop_assert!(f64::from(notices) <= bound + 1e-6, "{notices} > {bound}");
        }

        /// Raised and cleared alternate, whatever the scores do.
        #[test]
        fn transitions_alternate(scores in prop::collection::vec(0.0..3.0f64, 1..300)) {
            let mut on = false;
            for (_, transition) in transitions(&scores, 120) {
                match transition {
                    Transition::Raised => prop_assert!(!std::mem::replace(&mut on, true)),
                    Transition::Updated => prop_assert!(on),
                    Transition::Cleared => prop_assert!(std::mem::replace(&mut on, false)),
                }
            }
        }
    }
}
