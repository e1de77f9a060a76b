//! How much is measured. Imports `target`.

use std::time::Duration;

use super::target::EngineName;

/// How long everything is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub starts: usize,
    pub loads: usize,
    /// Before each load's readings.
    pub warm_up: Duration,
    /// The service at a little more than 100 rows a second.
    pub sustained: Duration,
    /// At 997 rows a second.
    pub dense: Duration,
    /// At one row a second.
    pub quiet: Duration,
    /// A thread that does nothing, after each load.
    pub wake_up: Duration,
    pub windows: u64,
    pub windows_limit: Duration,
    pub rows: u64,
}

impl Effort {
    pub const FULL: Effort = Effort {
        starts: 10,
        loads: 10,
        warm_up: Duration::from_secs(5),
        sustained: Duration::from_secs(60),
        dense: Duration::from_secs(20),
        quiet: Duration::from_secs(30),
        wake_up: Duration::from_secs(4),
        windows: 1_000_000,
        windows_limit: Duration::from_secs(60),
        rows: 300_000,
    };
    pub const QUICK: Effort = Effort {
        starts: 5,
        loads: 5,
        warm_up: Duration::from_secs(2),
        sustained: Duration::from_secs(15),
        dense: Duration::from_secs(11),
        quiet: Duration::from_secs(8),
        wake_up: Duration::from_secs(2),
        windows: 300_000,
        windows_limit: Duration::from_secs(10),
        rows: 100_000,
    };

    /// So little that its figures mean nothing: for tests of the way there.
    pub fn tiny(sustained: Duration) -> Effort {
        Effort {
            starts: 2,
            loads: 2,
            warm_up: Duration::from_millis(500),
            sustained,
            dense: Duration::ZERO,
            quiet: Duration::ZERO,
            wake_up: Duration::from_millis(300),
            windows: 5_000,
            windows_limit: Duration::from_secs(10),
            rows: 2_000,
        }
    }

    /// libtorch takes some thirty times as long.
    pub fn for_engine(self, engine: EngineName) -> Effort {
        match engine {
            EngineName::Native => self,
            EngineName::Torch => Effort {
                rows: self.rows / 30,
                windows: self.windows / 10,
                ..self
            },
        }
    }
}
