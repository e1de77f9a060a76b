//! The files of a lane, `NAME-0000000001.q`: which there are, in which order, and what becomes of a damaged
//! one. Imports `durable`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::durable;

/// A whole file is read at the start; one that is larger is not ours.
const LONGEST_FILE: u64 = 64 << 20;
/// Files that were set aside and are kept.
const ASIDE: u32 = 3;

/// The lane's files, oldest first.
pub fn list(folder: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let own = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.rsplit_once('-'))
            .is_some_and(|(before, _)| before == name);
        if own && path.extension().is_some_and(|end| end == "q") && number(&path).is_some() {
            files.push(path);
        }
    }
    files.sort_by_key(|path| number(path));
    Ok(files)
}

/// The name of the file that follows the newest one.
pub fn behind(newest: Option<&Path>, folder: &Path, name: &str) -> PathBuf {
    let number = newest.and_then(number).unwrap_or(0) + 1;
    folder.join(format!("{name}-{number:010}.q"))
}

fn number(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    stem.rsplit_once('-')?.1.parse().ok()
}

/// The whole file; of one that is larger than any of ours, the beginning.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LONGEST_FILE)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts `whole` in the place of the file, and keeps what it was beside it as `….bad-1` (to 3).
pub fn set_aside(path: &Path, whole: &[u8]) -> io::Result<()> {
    let beside = |number: u32| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".bad-{number}"));
        path.with_file_name(name)
    };
    let free = (1..=ASIDE).map(beside).find(|place| !place.exists());
    if let Some(place) = free {
        fs::copy(path, place)?;
    }
    durable::replace(path, whole)
}
