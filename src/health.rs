//! The machine that the service runs on: readings, limits, and the ladder of degrading.
//!
//! ```text
//! /sys, /proc, /dev/vcio ──► readers ──► Probe ──► Readings ──┬──► Limits ──► HealthEvent
//!                                     once a second           └──► Ladder ──► Degrade
//! ```
//!
//! Each reader is a small file of its own that takes the root folder it reads below, so that a test
//! can give it a made-up tree. A file that is absent or makes no sense is a missing reading (`None`),
//! never an error: which files there are depends on the board, the kernel and the sandbox.
//!
//! Nothing here acts: limits and ladder give plain data, and the daemon does what they say.
//! Imports `message` only.

pub mod cgroup;
pub mod clock_sync;
pub mod disk;
pub mod frequency;
mod ladder;
mod latch;
mod limits;
pub mod machine;
mod mailbox;
pub mod pressure;
mod probe;
pub mod process;
mod readings;
pub mod temperature;
pub mod throttle;
pub mod tree;
pub mod volatile;

pub use ladder::{Degrade, DegradeLevel, Ladder, LadderConfig, Steps};
pub use latch::Change;
pub use limits::{HealthEvent, Level, Limits, LimitsConfig, Rule};
pub use machine::Machine;
pub use pressure::Pressure;
pub use probe::Probe;
pub use readings::Readings;
pub use throttle::Throttle;
