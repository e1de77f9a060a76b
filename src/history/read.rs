//! Reads what was kept. Imports `frame` and its sibling modules only.

use std::io;
use std::path::Path;

use super::HISTORY;
use super::file::FileReader;
use super::gather::{Bucket, Plan};
use super::store::files;
use crate::frame::Timestamp;

/// Shows `visit` every bucket below the state directory `state`, in the order in which they were
/// written. What is torn or damaged is left out.
///
/// # Errors
/// A file cannot be read; that there is none is no error.
pub fn read(state: &Path, visit: &mut dyn FnMut(&Plan, Bucket)) -> io::Result<()> {
    read_since(state, Timestamp(i64::MIN), visit)
}

/// As [`read`], those buckets only that end after `since`.
///
/// # Errors
/// As for [`read`].
pub fn read_since(
    state: &Path,
    since: Timestamp,
    visit: &mut dyn FnMut(&Plan, Bucket),
) -> io::Result<()> {
    let files = match files(&state.join(HISTORY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for (_, path) in files {
        let mut reader = match FileReader::open(&path) {
            // Removed meanwhile: the oldest go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => match opened? {
                Some(reader) => reader,
                None => continue,
            },
        };
        while let Some(buckets) = reader.next()? {
            for bucket in buckets {
                if bucket.start.add_nanos(reader.plan().bucket_nanos) > since {
                    visit(reader.plan(), bucket);
                }
            }
        }
    }
    Ok(())
}
