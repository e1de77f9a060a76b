//! Reads small files below a root folder. Imports nothing.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// No file that is read here is larger; what is behind it is not looked at.
const MOST_BYTES: u64 = 64 << 10;

/// `path` below `root`, whether or not it begins with a slash.
pub fn below(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The text of a file without the blanks and NULs around it; `None` when it cannot be read.
pub fn text(root: &Path, path: impl AsRef<Path>) -> Option<String> {
    let file = File::open(below(root, path)).ok()?;
    let mut bytes = Vec::with_capacity(1024);
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let blank = |c: char| c.is_whitespace() || c == '\0';
    Some(text.trim_matches(blank).to_owned())
}

/// A file that holds one number.
pub fn number<T: std::str::FromStr>(root: &Path, path: impl AsRef<Path>) -> Option<T> {
    text(root, path)?.parse().ok()
}

/// Names in a folder, sorted so that `zone2` comes before `zone10`; none when it cannot be read.
pub fn names(root: &Path, folder: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(below(root, folder)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names
}

/// A tree of files in a temporary folder, for the tests of all readers.
#[cfg(test)]
pub fn made_up(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        put(root.path(), path, content);
    }
    root
}

/// Writes one file of a made-up tree, and the folders above it.
#[cfg(test)]
pub fn put(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = below(root, path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_paths_stay_below_the_root() {
        let root = made_up(&[("proc/a", " 12\n"), ("proc/b", "Pi\0"), ("proc/c/d", "")]);
        assert_eq!(text(root.path(), "/proc/a").unwrap(), "12");
        assert_eq!(number::<u8>(root.path(), "proc/a"), Some(12));
        assert_eq!(text(root.path(), "proc/b").unwrap(), "Pi");
        assert_eq!(number::<u8>(root.path(), "proc/b"), None);
        assert_eq!(text(root.path(), "proc/c"), None, "a folder");
        assert_eq!(text(root.path(), "proc/x"), None);
        assert_eq!(names(root.path(), "/proc"), ["a", "b", "c"]);
        assert!(names(root.path(), "sys").is_empty());
    }

    #[test]
    fn numbered_names_are_in_the_order_of_their_numbers() {
        let root = made_up(&[("z/zone10", ""), ("z/zone2", ""), ("z/zone1", "")]);
        assert_eq!(names(root.path(), "z"), ["zone1", "zone2", "zone10"]);
    }

    #[test]
    fn an_endless_file_is_read_to_the_limit_only() {
        let root = made_up(&[("long", &"7".repeat(1 << 20))]);
        assert_eq!(text(root.path(), "long").unwrap().len(), 64 << 10);
    }
}
