//! Alarms in the log, as people read them; in the journal with fields that programs read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Sink;
use crate::alarm::{AlarmEvent, AlarmKind, Transition};
use crate::message::Message;

#[derive(Debug)]
pub struct LogSink {
    /// Sensors named with an alarm.
    pub top_sensors: usize,
    /// Whether the machine is slowed down by heat or power now.
    pub throttled: Arc<AtomicBool>,
}

impl Sink for LogSink {
    fn name(&self) -> &'static str {
        "log"
    }

    fn may_pause(&self) -> bool {
        false
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
        let sensor = event.sensors.first().map_or("", |one| &one.sensor);
        log::log!(
            target: "alarm",
            level,
            MESSAGE_ID = message(event).id(),
            ANOMALYD_ALARM_ID = event.id.as_str(),
            ANOMALYD_SENSOR = sensor,
            ANOMALYD_SCORE = event.score,
            ANOMALYD_THRESHOLD = event.threshold,
            ANOMALYD_MODEL = event.model.as_str(),
            ANOMALYD_THROTTLED = u8::from(self.throttled.load(Ordering::Relaxed));
            "{}", event.text(self.top_sensors)
        );
        Ok(())
    }
}

fn message(event: &AlarmEvent) -> Message {
    match (event.kind, event.transition) {
        (AlarmKind::Anomaly, Transition::Raised) => Message::AlarmRaised,
        (AlarmKind::Anomaly, Transition::Updated) => Message::AlarmUpdated,
        (AlarmKind::Anomaly, Transition::Cleared) => Message::AlarmCleared,
        (AlarmKind::Silent, Transition::Raised) => Message::SilentRaised,
        (AlarmKind::Silent, Transition::Updated) => Message::SilentUpdated,
        (AlarmKind::Silent, Transition::Cleared) => Message::SilentCleared,
    }
}
