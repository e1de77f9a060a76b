//! Alarms in the log, as people read them.

use super::Sink;
use crate::alarm::{AlarmEvent, Transition};

#[derive(Debug)]
pub struct LogSink {
    /// Sensors named with an alarm.
    pub top_sensors: usize,
}

impl Sink for LogSink {
    fn name(&self) -> &'static str {
        "log"
    }

    fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()> {
        let level = match event.transition {
            Transition::Raised | Transition::Updated => log::Level::Warn,
            Transition::Cleared => log::Level::Info,
        };
        // An alarm is told at every level of the log that can be set.
        let level = log::max_level()
            .to_level()
            .map_or(level, |most| most.min(level));
        log::log!(target: "alarm", level, "{}", event.text(self.top_sensors));
        Ok(())
    }
}
