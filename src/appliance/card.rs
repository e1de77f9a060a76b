//! The card's first partition: finding the user's file, telling what came of it, wiping it.
//!
//! It is a FAT without a journal, and holds what the firmware starts from. So it is mounted writable
//! for the moment only, and files are overwritten in place. Imports `durable` and its parent's names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::apply::Steps;
use super::{FILE, ProvisionError, RESULT};
use crate::durable::sync_folder;

/// A configuration is some kilobytes; a larger file is another one.
const LARGEST_BYTES: u64 = 1 << 20;
/// What a file begins with whose content is gone: written first, in the one sector that a card writes
/// as a whole.
const MARK: &[u8] = b"# taken over by anomalyd\n";
const SECTOR: usize = 512;
/// The result is a multiple of this long, so that most results fit in the place of the one before.
const RESULT_BYTES: usize = 4096;
/// Zeros in all the room that is free, for a moment.
const FILLER: &str = "anomalyd-wipe.tmp";
/// The partition has 64 MiB. What is larger is another one, and not filled.
const LARGEST_CARD: u64 = 512 << 20;
/// A FAT has local times, which are read as UTC.
const ZONES: Duration = Duration::from_secs(14 * 3600);

/// What is on the card.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    File(PathBuf),
    /// A file that was probably meant.
    OtherName(String),
}

#[derive(Debug)]
pub struct Card {
    folder: PathBuf,
    remounted: bool,
}

impl Card {
    pub fn new(folder: PathBuf) -> Self {
        Card {
            folder,
            remounted: false,
        }
    }

    /// Looks for the user's file; the case of its name does not count, as on a FAT.
    pub fn find(&self) -> Result<Found, ProvisionError> {
        let fail = |error| ProvisionError::new(&self.folder, "cannot be listed", error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort();
        if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(FILE)) {
            return Ok(Found::File(self.folder.join(name)));
        }
        let names = names.iter().filter_map(|name| name.to_str());
        let mut like = names.filter(|name| is_like(name));
        Ok(match like.next() {
            Some(name) => Found::OtherName(name.to_owned()),
            None => Found::Nothing,
        })
    }

    /// The path of a file beside it, where the card has one.
    pub fn beside(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        path.is_file().then_some(path)
    }

    /// The bytes of the user's file. Inside: why it cannot be one.
    pub fn read(&self, path: &Path) -> Result<Result<Vec<u8>, String>, ProvisionError> {
        if path.is_dir() {
            return Ok(Err(
                "is a folder; put a file of this name in its place".into()
            ));
        }
        Ok(read_at_most(path, LARGEST_BYTES)?
            .ok_or_else(|| "is larger than 1 MiB; is it the right file?".into()))
    }

    /// Whether the clock is not before the file's own time; without a network it may be years late.
    pub fn clock_is_set(&self, file: &Path) -> bool {
        let written = fs::metadata(file).and_then(|about| about.modified());
        written.is_ok_and(|written| SystemTime::now() + ZONES >= written)
    }

    /// Writes the result over the one before, unless that says the same.
    pub fn write_result(&mut self, text: &str, steps: &mut Steps) -> Result<(), ProvisionError> {
        let path = self.folder.join(RESULT);
        let before = fs::read(&path).unwrap_or_default();
        let same = String::from_utf8_lossy(&before).replace("\r\n", "\n");
        if same.trim_end() == text.trim_end() {
            return Ok(());
        }
        self.make_writable()?;
        let mut content = text.replace('\n', "\r\n").into_bytes();
        let length = content.len() + 2;
        content.resize(
            length.next_multiple_of(RESULT_BYTES).max(before.len()) - 2,
            b' ',
        );
        content.extend_from_slice(b"\r\n");
        let written = steps.take().and_then(|()| {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            file.write_all(&content)?;
            file.sync_all()?;
            sync_folder(&path)
        });
        written.map_err(|error| ProvisionError::new(&path, "cannot be written", error))
    }

    /// Overwrites a file and removes it. Marked as wiped first: a file that is half of what it was must
    /// never be taken for the user's.
    pub fn wipe(&mut self, path: &Path, steps: &mut Steps) -> Result<(), ProvisionError> {
        self.make_writable()?;
        let mut wipe = || {
            let mut file = OpenOptions::new().write(true).open(path)?;
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            let mut sector = MARK.to_vec();
            sector.resize(SECTOR, b'\n');
            sector.truncate(length);
            steps.take()?;
            file.write_all(&sector)?;
            file.sync_all()?;
            steps.take()?;
            file.seek(SeekFrom::Start(sector.len() as u64))?;
            let rest = length.saturating_sub(sector.len()) as u64;
            io::copy(&mut io::repeat(0).take(rest), &mut file)?;
            file.sync_all()?;
            drop(file);
            steps.take()?;
            fs::remove_file(path)?;
            sync_folder(path)
        };
        wipe().map_err(|error| ProvisionError::new(path, "cannot be removed", error))
    }

    /// Overwrites all the room that is free, once: where a user corrected the file, or an editor saved it
    /// anew, its versions of before are there.
    pub fn wipe_free_room(&mut self, steps: &mut Steps) -> Result<(), ProvisionError> {
        let path = self.folder.join(FILLER);
        let fail = |error| ProvisionError::new(&path, "cannot be written", error);
        let about = statvfs(&self.folder).map_err(|error| fail(error.into()))?;
        if about.blocks().saturating_mul(about.fragment_size()) > LARGEST_CARD {
            return Ok(());
        }
        self.make_writable()?;
        steps.take().map_err(fail)?;
        let filled = fill(&path);
        let removed = fs::remove_file(&path).and_then(|()| sync_folder(&path));
        filled.and(removed).map_err(fail)
    }

    /// Removes what a run that was cut off has left of the filler, which takes all the room.
    pub fn remove_filler(&mut self) -> Result<(), ProvisionError> {
        let path = self.folder.join(FILLER);
        if !path.exists() {
            return Ok(());
        }
        self.make_writable()?;
        fs::remove_file(&path)
            .map_err(|error| ProvisionError::new(&path, "cannot be removed", error))
    }

    fn make_writable(&mut self) -> Result<(), ProvisionError> {
        if access(&self.folder, AccessFlags::W_OK) != Err(Errno::EROFS) {
            return Ok(());
        }
        let mounted = self.remount("remount,rw");
        mounted.map_err(|error| {
            ProvisionError::new(&self.folder, "cannot be mounted writable", error)
        })?;
        self.remounted = true;
        Ok(())
    }

    fn remount(&self, options: &str) -> io::Result<()> {
        let mount = Command::new("mount")
            .args(["-o", options])
            .arg(&self.folder)
            .output()?;
        if mount.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&mount.stderr);
        let why = why.lines().next().unwrap_or("mount failed");
        Err(io::Error::other(why.to_owned()))
    }
}

/// Read-only again.
impl Drop for Card {
    fn drop(&mut self) {
        if self.remounted
            && let Err(error) = self.remount("remount,ro")
        {
            log::warn!(target: "provision", "{}: stays writable: {error}", self.folder.display());
        }
    }
}

/// Writes zeros until there is no room.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 18];
    loop {
        match file.write(&zeros) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.sync_all()
}

/// The bytes of a file; `None` when they are more.
pub fn read_at_most(path: &Path, most: u64) -> Result<Option<Vec<u8>>, ProvisionError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| ProvisionError::new(path, "cannot be read", error))?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Whether the content was taken over before, and is only not gone yet.
pub fn is_wiped(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK) || (!bytes.is_empty() && MARK.starts_with(bytes))
}

/// What Windows makes of the name when it hides endings, and what a browser makes of a second copy.
fn is_like(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ours = [RESULT, "anomalyd-example.toml"].contains(&name.as_str());
    !ours && name.starts_with("anomalyd") && (name.ends_with(".toml") || name.ends_with(".txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(files: &[(&str, &str)]) -> (tempfile::TempDir, Card) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let card = Card::new(folder.path().to_owned());
        (folder, card)
    }

    #[test]
    fn the_file_is_found_in_any_case_and_under_likely_names() {
        let found = |names: &[&str]| {
            let files: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
            let (folder, card) = card(&files);
            let at = |name: &str| Found::File(folder.path().join(name));
            match card.find().unwrap() {
                Found::File(path) if path == folder.path().join(path.file_name().unwrap()) => {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    assert_eq!(at(name), Found::File(path.clone()));
                    format!("file {name}")
                }
                other => format!("{other:?}"),
            }
        };
        assert_eq!(
            found(&["anomalyd.toml", "autoboot.txt"]),
            "file anomalyd.toml"
        );
        assert_eq!(found(&["ANOMALYD.TOML"]), "file ANOMALYD.TOML");
        assert_eq!(
            found(&["anomalyd.toml", "anomalyd.toml.txt"]),
            "file anomalyd.toml"
        );
        for name in ["anomalyd.toml.txt", "Anomalyd.txt", "anomalyd (1).toml"] {
            assert_eq!(found(&[name, RESULT]), format!("OtherName({name:?})"));
        }
        let others = ["autoboot.txt", RESULT, "._anomalyd.toml", "anomalyd.pt"];
        assert_eq!(found(&others), "Nothing");
    }

    #[test]
    fn a_result_takes_the_place_of_the_one_before() {
        let (folder, mut card) = card(&[]);
        let path = folder.path().join(RESULT);
        let mut write = |text: &str| {
            let mut steps = Steps::at_most(1);
            card.write_result(text, &mut steps).unwrap();
            (fs::read_to_string(&path).unwrap(), steps.take().is_err())
        };
        let (first, written) = write("one\ntwo\n");
        assert!(written && first.starts_with("one\r\ntwo\r\n   "), "{first}");
        assert_eq!(first.len(), RESULT_BYTES);
        let (same, written) = write("one\ntwo\n");
        assert!(!written && same == first);
        let (long, written) = write(&"x".repeat(RESULT_BYTES));
        assert!(written && long.len() == 2 * RESULT_BYTES);
        let (short, written) = write("one\n");
        assert!(written && short.len() == 2 * RESULT_BYTES && !short.contains('x'));
    }

    #[test]
    fn wiping_marks_first_and_leaves_no_byte_of_it() {
        for length in [1, 24, 25, 26, 511, 512, 513, 3000] {
            let secret = "s".repeat(length);
            for step in 0..4 {
                let (folder, mut card) = card(&[(FILE, &secret)]);
                let path = folder.path().join(FILE);
                let done = card.wipe(&path, &mut Steps::at_most(step));
                let left = fs::read(&path).ok();
                assert_eq!(done.is_ok(), left.is_none());
                let Some(left) = left else { continue };
                assert_eq!(left.len(), length);
                match step {
                    0 => assert_eq!(left, secret.as_bytes()),
                    1 => assert!(is_wiped(&left)),
                    _ => assert!(is_wiped(&left) && !left.contains(&b's'), "{length}"),
                }
            }
        }
        assert!(!is_wiped(b"") && !is_wiped(b"name = 1"));
    }

    #[test]
    fn a_folder_and_a_large_file_are_no_configuration() {
        let large = " ".repeat((1 << 20) + 1);
        let (folder, card) = card(&[("large", &large), ("fits", &large[1..])]);
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let read = |name: &str| card.read(&folder.path().join(name)).unwrap();
        assert!(read(FILE).unwrap_err().starts_with("is a folder"));
        assert!(read("large").unwrap_err().starts_with("is larger"));
        assert_eq!(read("fits").unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_clock_from_before_the_file_is_not_believed() {
        let (folder, card) = card(&[(FILE, "x")]);
        let path = folder.path().join(FILE);
        assert!(card.clock_is_set(&path));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(86_400))
            .unwrap();
        assert!(!card.clock_is_set(&path));
    }
}
