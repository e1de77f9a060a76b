//! The ZIP container of a TorchScript archive: entries under one top folder, and the digest over
//! them. Imports nothing of the crate.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Entries of an archive at most, so that a damaged directory cannot keep us busy.
const MAX_ENTRIES: usize = 10_000;
/// PyTorch starts every storage on such a boundary, to map it into memory as it is.
const ALIGNMENT: u16 = 64;
/// The digest of all other entries; never part of itself.
pub const DIGEST_ENTRY: &str = "extra/digest";

/// One entry to be written, named relative to the top folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub content: Vec<u8>,
}

impl Entry {
    pub fn new(name: impl Into<String>, content: Vec<u8>) -> Self {
        Entry {
            name: name.into(),
            content,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Zip(ZipError),
    #[error("its entry {name} cannot be read ({source}); copy the file again, it is damaged")]
    Damaged {
        name: String,
        source: std::io::Error,
    },
    #[error("it has no entry {0}")]
    Missing(String),
    #[error("entry {name} has {size} bytes, more than the {limit} that are accepted")]
    TooLarge { name: String, size: u64, limit: u64 },
    #[error("{0}")]
    Layout(String),
}

impl From<ZipError> for ArchiveError {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(source) => ArchiveError::Io(source),
            // Its own words ("Could not find EOCD") help nobody.
            ZipError::InvalidArchive(_) => ArchiveError::Layout(
                "it is another kind of file, or it was cut off: copy it again".to_owned(),
            ),
            other => ArchiveError::Zip(other),
        }
    }
}

/// An archive being read.
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Names relative to the top folder, sorted, with the index in `zip`.
    names: Vec<(String, usize)>,
}

impl Archive {
    /// Opens the archive and reads its directory.
    ///
    /// # Errors
    /// The file cannot be read, is no ZIP file, or its entries do not lie under one top folder.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory).into());
        }
        let zip = ZipArchive::new(BufReader::new(file))?;
        if zip.len() > MAX_ENTRIES {
            return Err(ArchiveError::Layout(format!(
                "it has {} entries, more than {MAX_ENTRIES}",
                zip.len()
            )));
        }
        if zip.has_duplicate_names() {
            return Err(ArchiveError::Layout(
                "it has two entries of the same name".to_owned(),
            ));
        }
        let mut names = Vec::with_capacity(zip.len());
        let mut folder: Option<String> = None;
        for index in 0..zip.len() {
            let Some(full) = zip.name_for_index(index) else {
                continue;
            };
            let full = full?;
            if full.ends_with('/') {
                continue;
            }
            let (top, name) = full.split_once('/').unwrap_or(("", &full));
            if full.contains(char::is_control) || folder.as_deref().is_some_and(|f| f != top) {
                return Err(ArchiveError::Layout(format!(
                    "its entry {full:?} does not lie under one top folder with the others"
                )));
            }
            folder.get_or_insert_with(|| top.to_owned());
            names.push((name.to_owned(), index));
        }
        names.sort();
        Ok(Archive { zip, names })
    }

    /// Entry names relative to the top folder, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// The content of one entry.
    ///
    /// # Errors
    /// There is no such entry, it is damaged, or it is longer than `limit` bytes.
    pub fn read(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let index = self
            .index(name)
            .ok_or_else(|| ArchiveError::Missing(name.to_owned()))?;
        let entry = self.zip.by_index(index)?;
        let size = entry.size();
        let too_large = |size| ArchiveError::TooLarge {
            name: name.to_owned(),
            size,
            limit,
        };
        if size > limit {
            return Err(too_large(size));
        }
        // The stated size may lie, so neither is memory set aside for it nor is it believed.
        let mut content = Vec::new();
        entry
            .take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|source| damaged(name, source))?;
        if content.len() as u64 > limit {
            return Err(too_large(content.len() as u64));
        }
        Ok(content)
    }

    /// The digest over all entries but [`DIGEST_ENTRY`]; see [`digest`].
    ///
    /// # Errors
    /// An entry is damaged.
    pub fn digest(&mut self) -> Result<String, ArchiveError> {
        let mut list = String::new();
        let mut buffer = vec![0; 64 * 1024];
        for (name, index) in &self.names {
            if name == DIGEST_ENTRY {
                continue;
            }
            let mut entry = self.zip.by_index(*index)?;
            let mut hash = Sha256::new();
            loop {
                let count = entry
                    .read(&mut buffer)
                    .map_err(|source| damaged(name, source))?;
                if count == 0 {
                    break;
                }
                hash.update(&buffer[..count]);
            }
            list += &format!("{}  {name}\n", hex(&hash.finalize()));
        }
        Ok(hex(&Sha256::digest(list)))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.names
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
            .ok()
            .map(|position| self.names[position].1)
    }
}

/// What names a model: the SHA-256 of the list that `sha256sum` prints for the entries (hash, two
/// spaces, name, newline) in the order of their names, as 64 hex digits.
pub fn digest(entries: &[Entry]) -> String {
    let mut lines: Vec<(&str, String)> = entries
        .iter()
        .filter(|entry| entry.name != DIGEST_ENTRY)
        .map(|entry| (entry.name.as_str(), hex(&Sha256::digest(&entry.content))))
        .collect();
    lines.sort();
    let list: String = lines
        .iter()
        .map(|(name, hash)| format!("{hash}  {name}\n"))
        .collect();
    hex(&Sha256::digest(list))
}

/// The bytes of an archive with `entries` under `folder`, in the order given: stored, with a fixed
/// time, so that the same entries give the same bytes.
///
/// # Errors
/// Two entries of one name, or more than ZIP can hold.
pub fn to_bytes(folder: &str, entries: &[Entry]) -> Result<Vec<u8>, ArchiveError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .with_alignment(ALIGNMENT);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        writer.start_file(format!("{folder}/{}", entry.name), options)?;
        writer.write_all(&entry.content)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn damaged(name: &str, source: std::io::Error) -> ArchiveError {
    ArchiveError::Damaged {
        name: name.to_owned(),
        source,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
