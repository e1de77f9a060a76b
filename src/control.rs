//! The control socket of the running service: one JSON request a line, one JSON answer a line.
//!
//! Who may write to the socket is decided by its owner and mode (root and the group `anomalyd`), not
//! here. Imports `frame`, `histogram`, `alarm` and `health`.

mod client;
mod protocol;
mod server;

pub use client::{ControlError, ask};
pub use protocol::{
    AlarmsStatus, Answer, FloodStatus, Latencies, MuteStatus, OpenAlarmStatus, OutputStatus,
    Request, SensorsStatus, SilentStatus, SourceView, Status, VerdictWord,
};
pub use server::{Asked, serve};

/// Longer requests and answers are not read.
const LONGEST_LINE: u64 = 256 * 1024;
