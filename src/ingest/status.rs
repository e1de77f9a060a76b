//! How a source is doing, written by the source and read by anyone. Imports nothing from the crate.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether samples can come from a source now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// Not yet run, or about to make its first connection.
    Starting,
    /// Connected, listening, or reading.
    Connected,
    /// Not connected; tries again by itself. The reason is for people and says what to do.
    Waiting { reason: String },
    /// Came to its end, or was told to stop.
    Ended,
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceState::Starting => f.write_str("starting"),
            SourceState::Connected => f.write_str("connected"),
            SourceState::Waiting { reason } => write!(f, "waiting: {reason}"),
            SourceState::Ended => f.write_str("ended"),
        }
    }
}

/// Since the start of the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Readings of the model's sensors, missing ones included.
    pub received: u64,
    /// Of `received`: without a usable number (null, NaN, text, unreadable).
    pub missing: u64,
    /// Lines, payloads, values and times that should have been readable and were not.
    pub bad: u64,
    /// Readings of names that are not sensors of the model.
    pub unknown: u64,
    /// MQTT messages that the broker had kept from earlier and whose age is not known.
    pub retained: u64,
}

/// Shared between a source and whoever reports on it.
#[derive(Debug)]
pub struct SourceStatus {
    name: String,
    state: Mutex<SourceState>,
    problem: Mutex<Option<String>>,
    received: AtomicU64,
    missing: AtomicU64,
    bad: AtomicU64,
    unknown: AtomicU64,
    retained: AtomicU64,
}

impl SourceStatus {
    pub fn new(name: impl Into<String>) -> Self {
        SourceStatus {
            name: name.into(),
            state: Mutex::new(SourceState::Starting),
            problem: Mutex::new(None),
            received: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            retained: AtomicU64::new(0),
        }
    }

    /// The source's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn state(&self) -> SourceState {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is wrong although the source is connected: a subscription that the broker refused.
    pub fn problem(&self) -> Option<String> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn counters(&self) -> SourceCounters {
        SourceCounters {
            received: self.received.load(Ordering::Relaxed),
            missing: self.missing.load(Ordering::Relaxed),
            bad: self.bad.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
            retained: self.retained.load(Ordering::Relaxed),
        }
    }

    pub fn set_state(&self, state: SourceState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    pub fn count_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_missing(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_bad(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_retained(&self) {
        self.retained.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_shows_what_was_written() {
        let status = SourceStatus::new("stdin");
        assert_eq!(status.state(), SourceState::Starting);
        assert_eq!(status.counters(), SourceCounters::default());
        status.set_state(SourceState::Waiting {
            reason: "broker is down".to_owned(),
        });
        status.set_problem(Some("topic a refused".to_owned()));
        status.count_received();
        status.count_received();
        status.count_missing();
        status.count_bad();
        status.count_unknown();
        status.count_retained();
        assert_eq!(status.state().to_string(), "waiting: broker is down");
        assert_eq!(status.problem().as_deref(), Some("topic a refused"));
        let expected = SourceCounters {
            received: 2,
            missing: 1,
            bad: 1,
            unknown: 1,
            retained: 1,
        };
        assert_eq!(status.counters(), expected);
    }
}
