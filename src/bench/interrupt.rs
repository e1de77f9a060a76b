//! Ctrl-C ends a benchmark early but in order: what was measured is kept. Imports nothing.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Takes SIGINT and SIGTERM of this process from now on.
///
/// By handlers and not by a blocked mask: programs that are started later would inherit the mask, and
/// could not be ended by a signal.
pub struct Interrupt(Arc<Came>);

#[derive(Default)]
struct Came {
    came: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt {
    /// # Errors
    /// The kernel refuses.
    pub fn catch() -> std::io::Result<Self> {
        let interrupt = Interrupt(Arc::default());
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (mut terminate, mut interrupted) = {
            let _within = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        let shared = Arc::clone(&interrupt.0);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                loop {
                    runtime.block_on(async {
                        tokio::select! {
                            _ = terminate.recv() => {}
                            _ = interrupted.recv() => {}
                        }
                    });
                    *shared.came.lock().unwrap_or_else(PoisonError::into_inner) = true;
                    shared.changed.notify_all();
                }
            })?;
        Ok(interrupt)
    }

    /// Whether the user has asked for the end.
    pub fn came(&self) -> bool {
        *self.0.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `until`, or for a signal: then gives true at once.
    pub fn wait_until(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let came = self.0.came.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.changed.wait_timeout_while(came, left, |came| !*came);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
