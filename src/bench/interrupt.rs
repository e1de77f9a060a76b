//! Ctrl-C ends a benchmark early but in order: what was measured is kept. Imports nothing.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Takes SIGINT and SIGTERM of this process from now on.
pub struct Interrupt {
    signals: SignalFd,
    came: Cell<bool>,
}

impl Interrupt {
    /// To be called before there are other threads: they take over which signals are blocked.
    /// Programs that are started later do not: the standard library unblocks all for them.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn catch() -> std::io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block()?;
        Ok(Interrupt {
            signals: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            came: Cell::new(false),
        })
    }

    /// Whether the user has asked for the end.
    pub fn came(&self) -> bool {
        if !self.came.get() && matches!(self.signals.read_signal(), Ok(Some(_))) {
            self.came.set(true);
        }
        self.came.get()
    }

    /// Waits until `until`, or for a signal: then gives true at once.
    pub fn wait_until(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.came() || left.is_zero() {
                return self.came();
            }
            // Up to a millisecond early, never late for that; and no longer than poll can count.
            let step = left.min(Duration::from_secs(60));
            let step = PollTimeout::try_from(step).unwrap_or(PollTimeout::MAX);
            let mut ready = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, step) == Ok(0) && step == PollTimeout::ZERO {
                std::thread::sleep(left);
            }
        }
    }
}
