//! The alarm as a state machine: off, on, and on but below the clear threshold.

mod feedback;
mod saved;

pub use self::feedback::{Confirmed, RecentAlarm, UnknownAlarm, Verdict};
pub use self::saved::MachineState;

use serde::{Deserialize, Serialize};

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
/// Ids of this many earlier alarms are not given again, and these can be confirmed.
const RECENT_ALARMS: usize = 64;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAlarm {
    pub id: String,
    pub raised_at: Timestamp,
    pub peak_score: f64,
    /// What a person said of it.
    pub verdict: Option<Verdict>,
    /// What of the service was degraded at the raise.
    pub degraded: Option<String>,
    /// Flood control's gain that the newest score is relative to.
    pub bar: f64,
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
    /// Oldest first.
    recent: Vec<RecentAlarm>,
    strengths: Vec<f32>,
    /// The alarm that is on is muted.
    quiet: bool,
    degraded: Option<String>,
}

impl AlarmMachine {
    pub fn new(config: AlarmConfig, sensors: usize) -> Self {
        AlarmMachine {
            flood: FloodControl::new(config.max_false_alarms_per_week, sensors),
            config,
            open: None,
            recent: Vec::new(),
            strengths: vec![0.0; sensors],
            quiet: false,
            degraded: None,
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

    /// Flood control's gain that the newest score is relative to.
    pub fn bar(&self) -> f64 {
        let open = self.open.as_ref();
        open.map_or_else(|| self.flood.gain(), |open| open.bar)
    }

    pub fn thresholds(&self) -> Thresholds {
        self.config.thresholds
    }

    /// The off delay.
    pub fn clear_after_nanos(&self) -> i64 {
        self.config.clear_after_nanos
    }

    /// Whether the scorer shall learn nothing: an alarm is on, and nobody has said that what it
    /// shows is normal.
    pub fn is_frozen(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.verdict != Some(Verdict::Normal))
    }

    /// While `quiet` the alarm that is on gives no further notices; its end is told all the same.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// What of the service is degraded: alarms that are raised from now on say so.
    pub fn set_degraded(&mut self, degraded: Option<String>) {
        self.degraded = degraded;
    }

    pub fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    /// Takes over the open alarm and flood control of `earlier`; of each sensor only when the
    /// sensors are the same ones.
    pub fn continue_from(&mut self, earlier: AlarmMachine, same_sensors: bool) {
        self.open = earlier.open;
        self.recent = earlier.recent;
        self.quiet = earlier.quiet;
        self.degraded = earlier.degraded;
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
        while self.recent.iter().any(|recent| recent.id == id) {
            id = new_id(attempt);
            attempt += 1;
        }
        self.remember(&id, time);
        let open = OpenAlarm {
            id,
            raised_at: time,
            peak_score: score,
            verdict: None,
            degraded: self.degraded.clone(),
            bar: self.flood.gain(),
            last_notice: time,
            gain: self.flood.gain(),
            below_since: None,
            below_samples: 0,
        };
        self.charge(&open, scorer);
        self.open = Some(open.clone());
        (Transition::Raised, open)
    }

    /// The sample of an alarm that is on. Its own notice has raised flood control's bar; a fault
    /// that persists must not look cleared because of that, so the alarm is held to the bar that
    /// it was raised at until its next notice is due. Then it must merit one, or clear; what a
    /// person has judged needs no further merit.
    fn continue_open(
        &mut self,
        mut open: OpenAlarm,
        time: Timestamp,
        ratio: f64,
        scorer: &Scorer,
    ) -> (f64, Option<(Transition, OpenAlarm)>) {
        let gain = self.flood.gain();
        // After a restart with a clock that was set back; time never goes back otherwise.
        open.last_notice = open.last_notice.min(time);
        let due = !self.quiet
            && open.verdict != Some(Verdict::Normal)
            && time.nanos_since(open.last_notice) >= self.repeat_after_nanos();
        open.bar = match due && open.verdict.is_none() {
            true => gain,
            false => gain.min(open.gain),
        };
        let score = ratio / open.bar;
        open.peak_score = open.peak_score.max(score);
        let mut change = None;
        if score >= CLEAR_SHARE {
            open.below_since = None;
            open.below_samples = 0;
            if due {
                open.last_notice = time;
                self.charge(&open, scorer);
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

    fn charge(&mut self, open: &OpenAlarm, scorer: &Scorer) {
        scorer.strengths(self.flood.attenuation(), &mut self.strengths);
        self.flood.charge(&open.id, &self.strengths);
        if open.verdict == Some(Verdict::Real) {
            self.flood.take_back(&open.id);
        }
    }

    /// An alarm that stays on repeats its notice every min(1 day, week / 4N).
    fn repeat_after_nanos(&self) -> i64 {
        let quarter = 7.0 * NANOS_A_DAY / (4.0 * self.config.max_false_alarms_per_week);
        NANOS_A_DAY.min(quarter) as i64
    }
}

#[cfg(test)]
mod tests;
