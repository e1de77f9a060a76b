//! What of the machine survives a restart.

use serde::{Deserialize, Serialize};

use super::{AlarmMachine, OpenAlarm, RECENT_ALARMS, RecentAlarm};
use crate::alarm::flood::FloodState;

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

impl OpenAlarm {
    fn is_sound(&self) -> bool {
        let sound = |number: f64| number.is_finite() && number >= 0.0;
        sound(self.peak_score) && sound(self.bar) && self.gain.is_finite() && self.gain >= 1.0
    }
}
