//! The torch engine: libtorch runs in a process of its own, `anomalyd-torch`, so that the daemon
//! never links it (170 MB before the first inference) and outlives it.
//!
//! [`client`] scores windows through the worker, [`trainer`] trains autoencoders with it,
//! [`protocol`] is what both sides say, [`locate`] finds the program, `process` runs it, `connection` talks to it.
//! Imports the contract of `engine` and nothing else of the crate.

pub mod client;
mod connection;
pub mod locate;
mod process;
pub mod protocol;
pub mod trainer;

pub use client::{TorchConfig, TorchEngine};
pub use locate::locate;
pub use trainer::{Progress, TrainJob, TrainOutcome, Trainer};
