//! The torch engine: libtorch runs in a process of its own, `anomalyd-torch`, so that the daemon
//! never links it (170 MB before the first inference) and outlives it.
//!
//! [`protocol`] is what both sides say, [`locate`] finds the program, [`process`] runs it.
//! Imports the contract of `engine` and nothing else of the crate.

pub mod locate;
pub mod process;
pub mod trainer;

pub use locate::locate;
pub use trainer::{Progress, TrainJob, TrainOutcome, Trainer};
