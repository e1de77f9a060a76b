//! Readiness, status and watchdog towards systemd (sd_notify(3)). Imports nothing of the crate.
//!
//! Where no systemd listens (a terminal, a test) everything here does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// The service does what it is for: model verified, sources connected or reported.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends that, taken or refused.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    // `Type=notify-reload` wants to know when.
    states.extend(NotifyState::monotonic_usec_now().ok());
    notify(&states);
}

pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The line that `systemctl status` shows.
pub fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!(target: "systemd", "systemd cannot be told our state: {error}");
    }
}

/// Counts how far inference has come: one up for every look into its queue, also into an empty one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether inference has moved on since it was looked last.
#[derive(Debug)]
struct Moves {
    progress: Progress,
    last: u64,
}

impl Moves {
    fn new(progress: Progress) -> Self {
        Moves {
            last: progress.count(),
            progress,
        }
    }

    fn look(&mut self) -> bool {
        let count = self.progress.count();
        std::mem::replace(&mut self.last, count) != count
    }
}

/// Tells systemd's watchdog that we are alive, but only where inference has moved on since the last
/// time: a process whose inference hangs must be restarted, however well its timers ring.
#[derive(Debug)]
pub struct Watchdog {
    moves: Moves,
    /// How often to look: twice within the time that systemd grants.
    every: Duration,
}

impl Watchdog {
    /// None where the unit has no `WatchdogSec=`.
    pub fn start(progress: Progress) -> Option<Self> {
        sd_notify::watchdog_enabled().map(|granted| Watchdog::with(progress, granted))
    }

    fn with(progress: Progress, granted: Duration) -> Self {
        Watchdog {
            moves: Moves::new(progress),
            every: granted / 2,
        }
    }

    pub fn every(&self) -> Duration {
        self.every
    }

    /// To be called every [`Watchdog::every`].
    pub fn look(&mut self) {
        if self.moves.look() {
            notify(&[NotifyState::Watchdog]);
        } else {
            log::error!(
                target: "systemd",
                "inference has not moved for {} s: systemd will restart the service unless it goes on",
                self.every.as_secs()
            );
        }
    }
}

/// Asks systemd for more time than `TimeoutStopSec=` to judge what waits, but only while inference moves.
#[derive(Debug)]
pub struct LongStop(Moves);

impl LongStop {
    /// To be called so often.
    pub const EVERY: Duration = Duration::from_secs(2);
    /// What is asked for each time, in microseconds: as much as the unit grants at first.
    const MORE: u32 = 10_000_000;

    pub fn new(progress: Progress) -> Self {
        LongStop(Moves::new(progress))
    }

    pub fn look(&mut self) {
        if self.0.look() {
            notify(&[
                NotifyState::ExtendTimeoutUsec(Self::MORE),
                NotifyState::Status("stopping once all that came is judged"),
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_by_progress_only() {
        let progress = Progress::default();
        let mut watchdog = Watchdog::with(progress.clone(), Duration::from_secs(30));
        assert_eq!(watchdog.every(), Duration::from_secs(15));
        assert!(!watchdog.moves.look());
        progress.advance();
        assert!(watchdog.moves.look());
        assert!(!watchdog.moves.look());
    }
}
