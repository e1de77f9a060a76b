//! Scores and the sensors' minima and maxima over the last 30 days, kept so that an SD card hardly
//! notices: at most 64 MB, and less than 1 MB of writes a day.
//!
//! ```text
//! frames ─► Gatherer ─► Bucket (a minute) ─► History: 30 buckets ─► a chunk in history/000007.hist
//! ```
//!
//! What an alarm was about is kept elsewhere (`state`). Imports `frame` only.

mod chunk;
mod file;
mod gather;
mod read;
mod store;
mod waiting;

pub use gather::{Bucket, Gatherer, Plan};
pub use read::{read, read_since};
pub use store::History;

/// The folder in the state directory.
pub const HISTORY: &str = "history";

/// Buckets that are written together: a power cut loses no more of them.
const CHUNK_BUCKETS: usize = 30;
/// Of one file.
const FILE_BUCKETS: usize = 48 * CHUNK_BUCKETS;
/// Everything together; the rest of the 64 MB is for what a file system adds.
const MOST_BYTES: u64 = 62_000_000;
/// Days that are kept, with room for chunks that were written early.
const DAYS: u64 = 36;
/// What a day may write; the rest of the 1 MB is for what a file system adds.
const DAY_BYTES: u64 = 750_000;
