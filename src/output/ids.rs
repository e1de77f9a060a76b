//! The ids of what is told: the same for the same event, whichever output tells it and however often,
//! so that a reader knows what comes twice. Imports `alarm` and `frame`.

use super::post::HealthWords;
use crate::alarm::{AlarmEvent, Transition};
use crate::frame::Timestamp;

/// The same whenever the same event is told: readers know a second delivery by it.
pub fn alarm_message_id(event: &AlarmEvent) -> String {
    let raised = milliseconds(event.raised_at);
    match event.transition {
        Transition::Raised => format!("{}-{raised}-raised", event.id),
        Transition::Updated => {
            format!("{}-{raised}-updated-{}", event.id, milliseconds(event.time))
        }
        Transition::Cleared => format!("{}-{raised}-cleared", event.id),
    }
}

pub fn milliseconds(time: Timestamp) -> i64 {
    time.nanos().div_euclid(1_000_000)
}

/// `number` tells those of one moment apart.
pub fn limit_id(words: &HealthWords, number: usize) -> String {
    format!("limit-{}-{number}", milliseconds(words.time))
}
