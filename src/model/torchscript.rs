//! TorchScript archives without Python and without libtorch: writing our own architecture, and
//! recognising it in what PyTorch wrote. Imports `model` and `durable`.
//!
//! The format (docs/model-format.md) is PyTorch's `torch.jit.save`: a ZIP file of stored entries with
//! the object tree as a pickle, the raw tensors, and the classes' source.

pub mod archive;
mod emit;
mod forward;
mod pickle;
mod recognise;

pub use archive::{Archive, ArchiveError, Entry};
pub use emit::entries;
pub use recognise::{DEFAULT_WINDOW, recognise};

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{GraphLstm, ModelError};
use crate::durable;

/// The top folder of every archive we write; readers accept any.
const FOLDER: &str = "model";

/// Writes `network` alone, without `extra/`: what the trainer starts from.
///
/// # Errors
/// The network is inconsistent, or the file cannot be written.
pub fn save_network(path: &Path, network: &GraphLstm) -> Result<(), ModelError> {
    network.check().map_err(|error| ModelError::Refused {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    save_entries(path, &entries(network))
}

/// Writes an archive so that `path` is at every moment either the old file or the whole new one,
/// also across a power cut.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save_entries(path: &Path, entries: &[Entry]) -> Result<(), ModelError> {
    let bytes = archive::to_bytes(FOLDER, entries).map_err(|error| ModelError::Refused {
        path: path.to_owned(),
        reason: format!("cannot be written: {error}"),
    })?;
    replace_file(path, &bytes).map_err(|source| ModelError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Puts `bytes` at `path`, which is at every moment the old file or the whole new one.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Renaming onto a device such as /dev/null would take it away from the whole system.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let reason = "exists and is not a file; give another name";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary_name);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The rename itself is on the disk only once the folder is.
        durable::sync_folder(path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
