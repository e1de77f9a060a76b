//! The page, the metrics and the health checks over HTTP: an output that looks on and never holds
//! up what it looks at.
//!
//! ```text
//! infer ─ points ─┐
//! alarms ─────────┼─► Feed (bounded) ─► thread `web`: Board ─► page, events, metrics
//! status, 5 s ────┘                          └─ what a signed-in person asks ─► the control desk
//! ```
//!
//! The server has a thread and a runtime of its own, so that clients, however many and slow, share
//! nothing with the sources. Imports `frame`, `alarm`, `histogram`, `model`, `state`, `history`,
//! `control`, `http`, `metrics` and `output`.

mod alarms;
mod answer;
mod board;
mod body;
mod change;
mod events;
mod feed;
mod guard;
mod login;
mod metrics;
mod pages;
mod past;
mod route;
mod server;
mod sink;

pub use feed::{Feed, Point, Snapshot};
pub use server::{Server, WebConfig};
pub use sink::WebSink;
