//! What survives a restart of the service: `state.json` (what a stream has learnt, open alarms) and
//! `alarms.jsonl` (the last thousand alarms).
//!
//! Synchronous. A file that cannot be read never keeps the service from starting, and one that
//! cannot be written never keeps it from watching. May import `frame`, `alarm`, `pipeline`, `message`
//! and `durable`.

mod log;
mod store;

pub use self::log::{ALARMS, AlarmLog, MOST_ALARMS, Span};
pub use self::store::{STATE, StateStore};

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "{path}: cannot be written: {source}; alarms go on, but a restart would lose what changed \
         since: make room, or give the folder to the user that the service runs as"
    )]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{path}: cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
}

impl StateError {
    pub fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> StateError {
        let path = path.to_owned();
        |source| StateError::Unwritable { path, source }
    }

    fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> StateError {
        let path = path.to_owned();
        |source| StateError::Unreadable { path, source }
    }
}
