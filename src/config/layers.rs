//! Which files make up the configuration, and what is in them. Imports `mistake`.
//!
//! Later ones win: the vendor's file and its drop-ins in `/usr/lib/anomalyd`, then the file itself
//! and its drop-ins. Drop-ins are the `*.toml` of the folder that is called like the file with
//! `.d` at the end, in the order of their names.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::mistake::{Mistake, Severity};

const VENDOR: &str = "usr/lib/anomalyd/anomalyd.toml";

/// More than a configuration ever has; less than the memory of the board.
const LARGEST_BYTES: u64 = 4 << 20;

/// A file that was read.
#[derive(Debug)]
pub struct Layer {
    pub path: PathBuf,
    pub text: String,
}

/// Reads all files of the configuration whose main file is `main` (with `root` in it already), or
/// takes `given` for what that file holds.
pub fn read(main: &Path, root: &Path, given: Option<&str>) -> (Vec<Layer>, Vec<Mistake>) {
    let mut layers = Vec::new();
    let mut mistakes = Vec::new();
    let vendor = root.join(VENDOR);
    if vendor != main {
        read_one(&vendor, &mut layers, &mut mistakes, true);
        read_drop_ins(&vendor, &mut layers, &mut mistakes);
    }
    let before = layers.len();
    match given {
        Some(text) => layers.push(Layer {
            path: main.to_path_buf(),
            text: text.to_owned(),
        }),
        None => read_one(main, &mut layers, &mut mistakes, true),
    }
    let found = layers.len() > before || mistakes.iter().any(|mistake| mistake.file == main);
    read_drop_ins(main, &mut layers, &mut mistakes);
    if !found && layers.is_empty() {
        let message = "not found; write one (docs/configuration.md) or name yours with --config";
        mistakes.push(Mistake::of_file(main, message));
    }
    (layers, mistakes)
}

fn read_one(path: &Path, layers: &mut Vec<Layer>, mistakes: &mut Vec<Mistake>, may_lack: bool) {
    match read_text(path) {
        Ok(Ok(text)) => layers.push(Layer {
            path: path.to_path_buf(),
            text,
        }),
        Ok(Err(mistake)) => mistakes.push(mistake),
        Err(error) if may_lack && error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let message = format!("cannot be read: {error}; check the path and its permissions");
            mistakes.push(Mistake::of_file(path, message));
        }
    }
}

fn read_text(path: &Path) -> io::Result<Result<String, Mistake>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_BYTES {
        let message = "is larger than 4 MiB; is it the right file?";
        return Ok(Err(Mistake::of_file(path, message)));
    }
    Ok(String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Mistake {
            line: Some(1 + valid.iter().filter(|byte| **byte == b'\n').count()),
            ..Mistake::of_file(path, "is not UTF-8; save the file in that encoding")
        }
    }))
}

fn read_drop_ins(main: &Path, layers: &mut Vec<Layer>, mistakes: &mut Vec<Mistake>) {
    let mut folder = OsString::from(main);
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let listing = std::fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = match listing {
        Ok(paths) => paths,
        // A file named `….d` is nobody's drop-in folder, but not having one is the usual case.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            let message = format!("cannot be read: {error}; check the folder's permissions");
            mistakes.push(Mistake::of_file(&folder, message));
            return;
        }
    };
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || is_left_over(&name) {
            continue;
        }
        if name.ends_with(".toml") {
            read_one(&path, layers, mistakes, false);
        } else {
            mistakes.push(Mistake {
                severity: Severity::Warning,
                ..Mistake::of_file(&path, "is not read; drop-ins end in .toml")
            });
        }
    }
}

/// What editors and package managers leave beside a file.
fn is_left_over(name: &str) -> bool {
    const ENDS: [&str; 8] = [
        "~",
        ".bak",
        ".orig",
        ".swp",
        ".dpkg-old",
        ".dpkg-dist",
        ".dpkg-new",
        ".rpmnew",
    ];
    ENDS.iter().any(|end| name.ends_with(end)) || name == "README"
}
