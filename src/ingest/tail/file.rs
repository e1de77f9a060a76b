//! An open file that is read to its end and beyond, and what became of its path meanwhile.
//! Imports nothing from the crate.

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

const BLOCK: usize = 1 << 16;

pub(super) struct TailedFile {
    path: PathBuf,
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// Bytes read so far.
    position: u64,
    block: Vec<u8>,
}

/// What the path of a file that was read to its end stands for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The same file; or nothing, where it was moved away and its successor is not there yet.
    Same,
    /// The same file, with less in it than was read.
    Cut,
    /// Another file.
    Replaced,
}

impl TailedFile {
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).await?;
        let metadata = file.metadata().await?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(TailedFile {
            path: path.to_owned(),
            file,
            identity: (metadata.dev(), metadata.ino()),
            position: 0,
            block: vec![0; BLOCK],
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next bytes; none at the present end.
    pub(super) async fn read(&mut self) -> io::Result<&[u8]> {
        let read = self.file.read(&mut self.block).await?;
        self.position += read as u64;
        Ok(&self.block[..read])
    }

    pub(super) async fn fate(&self) -> Fate {
        match fs::metadata(&self.path).await {
            Ok(now) if (now.dev(), now.ino()) != self.identity => Fate::Replaced,
            Ok(now) if now.len() < self.position => Fate::Cut,
            Ok(_) | Err(_) => Fate::Same,
        }
    }

    /// Goes behind the last line end of the file, but not before `least`.
    pub(super) async fn go_to_last_line(&mut self, least: u64) -> io::Result<()> {
        let mut end = self.file.metadata().await?.len().max(least);
        while end > least {
            let start = end.saturating_sub(BLOCK as u64).max(least);
            // At most BLOCK.
            let block = &mut self.block[..(end - start) as usize];
            self.file.seek(SeekFrom::Start(start)).await?;
            match self.file.read_exact(block).await {
                // It was cut just now, which the next look at it will tell.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                other => other?,
            };
            if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
                end = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        self.position = self.file.seek(SeekFrom::Start(end)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_line_start_is_found_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let long = "x".repeat(3 * BLOCK);
        for (text, least, expected) in [
            ("head\nrow\n", 5, 9),
            ("head\nrow\npart", 5, 9),
            ("head\npart", 5, 5),
            ("head\n", 5, 5),
            (&format!("head\nrow\n{long}"), 5, 9),
            (&format!("head\n{long}\n"), 5, 6 + long.len() as u64),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut file = TailedFile::open(&path).await.unwrap();
            file.go_to_last_line(least).await.unwrap();
            assert_eq!(file.position, expected);
            assert_eq!(file.fate().await, Fate::Same);
            let rest = file.read().await.unwrap().len() as u64;
            assert_eq!(rest, (text.len() as u64 - expected).min(BLOCK as u64));
        }
    }

    #[tokio::test]
    async fn the_fate_of_a_path_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "abc").unwrap();
        let mut file = TailedFile::open(&path).await.unwrap();
        assert_eq!(file.read().await.unwrap(), b"abc");
        std::fs::write(&path, "a").unwrap();
        assert_eq!(file.fate().await, Fate::Cut);
        std::fs::rename(&path, dir.path().join("a.csv.1")).unwrap();
        assert_eq!(file.fate().await, Fate::Same);
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(file.fate().await, Fate::Replaced);
        assert!(TailedFile::open(dir.path()).await.is_err());
    }
}
