//! What time it is, injected so that tests and replays set it. Imports `frame::Timestamp` only.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::frame::Timestamp;

pub trait Clock: Send {
    /// Wall-clock time, UTC. May jump (no real-time clock on the board; NTP).
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now();
        let nanos = match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos)
            }
        };
        Timestamp(nanos)
    }
}

/// A clock that stands where it was put.
#[derive(Debug, Clone, Copy)]
pub struct ManualClock(pub Timestamp);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}
