//! Benchmarks of the real program: the service under a load that does not wait for it, its engine by
//! itself, and what comes of it: `results.json`, a verdict, a report, a comparison.
//!
//! ```text
//! Rows ─► Load ─► the service, a process of its own, in a Cage ◄── Meter, once a second
//!                          │ control socket: latencies                 │
//!                          └──────────────────────► Phase ◄────────────┘
//! engine loop, replay, starts, a day ───────► EngineOutcome ─► metrics ─► verdict
//!                                                        Outcome ─► results.json, report, compare
//! ```
//!
//! Imports `frame`, `histogram`, `simulate`, `model`, `engine`, `pipeline`, `health` and `control`;
//! what is measured is never linked in but for the engine loop.

mod broker;
mod cap;
pub mod compare;
mod day;
mod effort;
mod engine_loop;
mod figure;
mod fit;
mod host;
mod interrupt;
mod load;
#[cfg(test)]
mod made_up;
mod meter;
mod metric;
mod outcome;
mod phase;
mod replay;
pub mod report;
mod run;
mod service;
mod target;
mod verdict;
mod waking;

pub use effort::Effort;
pub use figure::short;
pub use interrupt::Interrupt;
pub use outcome::{EngineOutcome, Grade, Metric, Missing, Outcome, OutcomeError, SCHEMA, Verdict};
pub use run::{BenchError, Options, run};
pub use target::{Better, EngineName};
pub use verdict::Doubt;
