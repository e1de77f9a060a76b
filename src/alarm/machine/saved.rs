//! What of the machine survives a restart.

use serde::{Deserialize, Serialize};

use super::{AlarmMachine, OpenAlarm, RECENT_ALARMS, RecentAlarm};
use crate::alarm::flood::FloodState;
use crate::frame::Timestamp;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineState {
    pub open: Option<OpenAlarm>,
    pub recent: Vec<RecentAlarm>,
    pub flood: FloodState,
}

impl AlarmMachine {
    pub fn save(&self) -> MachineState {
        MachineState {
            open: self.open.clone(),
            recent: self.recent.clone(),
            flood: self.flood.save(),
        }
    }

    /// Takes back what [`AlarmMachine::save`] gave, what it says of single sensors only when they
    /// are the same ones. An alarm that stood stands on under its id, and clears as any other.
    pub fn resume(&mut self, saved: MachineState, same_sensors: bool) {
        self.flood.resume(&saved.flood, same_sensors);
        self.recent = saved.recent;
        let surplus = self.recent.len().saturating_sub(RECENT_ALARMS);
        self.recent.drain(..surplus);
        self.open = saved.open.filter(OpenAlarm::is_sound);
        // The time in which nobody watched says nothing.
        self.restart();
    }
}

impl AlarmMachine {
    /// Takes on an alarm that was told as raised after the state was saved that this machine went on
    /// from; false where another one stands. `score` and `gain` as at the raise.
    pub fn adopt(&mut self, id: &str, raised_at: Timestamp, score: f64, gain: f64) -> bool {
        let open = OpenAlarm {
            id: id.to_owned(),
            raised_at,
            peak_score: score,
            verdict: None,
            degraded: None,
            bar: gain,
            last_notice: raised_at,
            gain,
            below_since: None,
            below_samples: 0,
        };
        if self.open.is_some() || !open.is_sound() {
            return false;
        }
        self.remember(id, raised_at);
        self.open = Some(open);
        true
    }

    /// The alarm that stands ended after the state was saved that this machine went on from.
    pub fn forget_open(&mut self) {
        self.open = None;
    }
}

impl OpenAlarm {
    fn is_sound(&self) -> bool {
        let sound = |number: f64| number.is_finite() && number >= 0.0;
        sound(self.peak_score) && sound(self.bar) && self.gain.is_finite() && self.gain >= 1.0
    }
}
