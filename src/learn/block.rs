//! One file of the recording: a header, then rows of one length. Imports `frame` only.
//!
//! ```text
//! ANOMREC1  length u32  header (JSON)  check u32   then row after row:
//! time i64 (ns since 1970)   F x f32 (NaN: missing)   check u32
//! ```
//!
//! All numbers are little-endian; a check is the FNV-1a hash of the bytes before it (Fowler, Noll and
//! Vo, draft-eastlake-fnv). A row whose check is wrong ends the file: what a power cut tore.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::frame::Timestamp;

const MAGIC: &[u8; 8] = b"ANOMREC1";
/// 1024 names of 256 bytes, with room to spare.
const LONGEST_HEADER: u32 = 1 << 20;

/// What a block begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Distance of the rows.
    pub period_nanos: i64,
    /// Frames that were counted before this block, those that were thinned out among them.
    pub before: u64,
    /// One block in this many is kept.
    pub stride: u64,
    /// `[F]`
    pub sensors: Vec<String>,
}

impl Header {
    pub fn row_bytes(&self) -> usize {
        row_bytes(self.sensors.len())
    }
}

/// Bytes of a row of `sensors` values.
pub fn row_bytes(sensors: usize) -> usize {
    8 + 4 * sensors + 4
}

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("its header is damaged: {0}")]
    Damaged(&'static str),
}

/// Appends rows to a block, a chunk at a time.
#[derive(Debug)]
pub struct BlockWriter {
    file: File,
    row_bytes: usize,
    /// Length of what is whole in the file.
    bytes: u64,
    chunk: Vec<u8>,
    /// A write failed half way: its part must go first.
    torn: bool,
}

impl BlockWriter {
    /// Begins a new block.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let json = serde_json::to_vec(header)?;
        let mut start = MAGIC.to_vec();
        let length = u32::try_from(json.len()).map_err(io::Error::other)?;
        start.extend(length.to_le_bytes());
        start.extend(json);
        start.extend(check(&start).to_le_bytes());
        let mut file = File::create(path)?;
        file.write_all(&start)?;
        Ok(BlockWriter {
            file,
            row_bytes: header.row_bytes(),
            bytes: start.len() as u64,
            chunk: Vec::new(),
            torn: false,
        })
    }

    /// Goes on with a block whose first `bytes` bytes are whole; the rest is cut off.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn go_on(path: &Path, header: &Header, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(bytes)?;
        Ok(BlockWriter {
            file,
            row_bytes: header.row_bytes(),
            bytes,
            chunk: Vec::new(),
            torn: false,
        })
    }

    /// Adds a row to the chunk; `values` `[F]`.
    pub fn push(&mut self, time: Timestamp, values: &[f64]) {
        let start = self.chunk.len();
        self.chunk.extend(time.nanos().to_le_bytes());
        for &value in values {
            let value = value as f32;
            // What f32 cannot hold cannot be learnt from either.
            let value = if value.is_finite() { value } else { f32::NAN };
            self.chunk.extend(value.to_le_bytes());
        }
        debug_assert_eq!(self.chunk.len() - start, self.row_bytes - 4);
        let check = check(&self.chunk[start..]);
        self.chunk.extend(check.to_le_bytes());
    }

    /// Bytes that are not written yet.
    pub fn waiting(&self) -> usize {
        self.chunk.len()
    }

    /// Length with what is not written yet.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.chunk.len() as u64
    }

    /// Writes the chunk. Where that fails its rows are lost, and what is in the file stays whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.write_chunk();
        self.torn |= written.is_err();
        if written.is_ok() {
            self.bytes += self.chunk.len() as u64;
        }
        self.chunk.clear();
        written
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.bytes))?;
            self.torn = false;
        }
        self.file.write_all(&self.chunk)
    }

    /// Writes the chunk and waits until the disk has everything.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()
    }
}

/// Reads a block from its start to its end, or to where it is torn.
pub struct BlockReader {
    file: BufReader<File>,
    header: Header,
    row: Vec<u8>,
    /// Length of what is whole so far.
    bytes: u64,
    last: Option<Timestamp>,
}

impl BlockReader {
    /// # Errors
    /// It cannot be opened, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, BlockError> {
        let mut file = BufReader::new(File::open(path)?);
        let mut start = Vec::new();
        file.by_ref().take(12).read_to_end(&mut start)?;
        let Some((MAGIC, length)) = start.split_first_chunk::<8>() else {
            return Err(BlockError::Damaged("it does not begin as a recording does"));
        };
        let length: [u8; 4] = length
            .try_into()
            .map_err(|_| BlockError::Damaged("it is cut off"))?;
        let length = u32::from_le_bytes(length);
        if length > LONGEST_HEADER {
            return Err(BlockError::Damaged("it is too long"));
        }
        file.by_ref()
            .take(u64::from(length) + 4)
            .read_to_end(&mut start)?;
        let end = 12 + length as usize;
        if start.len() != end + 4 || check(&start[..end]).to_le_bytes() != start[end..] {
            return Err(BlockError::Damaged("its check does not fit"));
        }
        let header: Header = serde_json::from_slice(&start[12..end])
            .map_err(|_| BlockError::Damaged("it is of another form"))?;
        if header.period_nanos < 1 || header.stride < 1 || header.sensors.is_empty() {
            return Err(BlockError::Damaged("it is of another form"));
        }
        Ok(BlockReader {
            row: vec![0; header.row_bytes()],
            header,
            file,
            bytes: start.len() as u64,
            last: None,
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Length of what was read and is whole.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next row, its values into `values` `[F]`; nothing at the end of what is whole.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn next_row(&mut self, values: &mut [f32]) -> io::Result<Option<Timestamp>> {
        match self.file.read_exact(&mut self.row) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (content, stated) = self.row.split_at(self.row.len() - 4);
        let Some((time, rest)) = content.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let time = Timestamp(i64::from_le_bytes(*time));
        let in_order = self.last.is_none_or(|last| time > last);
        if check(content).to_le_bytes() != stated || !in_order {
            return Ok(None);
        }
        for (value, bytes) in values.iter_mut().zip(rest.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        self.last = Some(time);
        self.bytes += self.row.len() as u64;
        Ok(Some(time))
    }
}

/// FNV-1a, 32 bits.
fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            period_nanos: 1_000_000_000,
            before: 7,
            stride: 2,
            sensors: vec!["a".to_owned(), "b".to_owned()],
        }
    }

    fn rows(path: &Path) -> Vec<(i64, Vec<u32>)> {
        let mut reader = BlockReader::open(path).unwrap();
        let mut values = [0.0; 2];
        let mut rows = Vec::new();
        while let Some(time) = reader.next_row(&mut values).unwrap() {
            rows.push((time.nanos(), values.map(f32::to_bits).to_vec()));
        }
        rows
    }

    fn written(path: &Path, count: i64) {
        let mut writer = BlockWriter::create(path, &header()).unwrap();
        for row in 0..count {
            writer.push(Timestamp(row), &[row as f64, f64::NAN]);
        }
        writer.sync().unwrap();
        assert_eq!(writer.bytes(), path.metadata().unwrap().len());
    }

    #[test]
    fn the_check_is_fnv_1a() {
        assert_eq!(check(b""), 0x811c_9dc5);
        assert_eq!(check(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_value_that_f32_cannot_hold_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let mut writer = BlockWriter::create(&path, &header()).unwrap();
        writer.push(Timestamp(1), &[1e300, f64::NEG_INFINITY]);
        writer.sync().unwrap();
        let nan = f32::NAN.to_bits();
        assert_eq!(rows(&path), [(1, vec![nan, nan])]);
    }

    #[test]
    fn another_form_is_damage_and_not_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        for text in [
            &b""[..],
            b"ANOMREC1",
            b"ANOMREC1\xff\xff\xff\xff",
            b"PK\x03\x04",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(
                BlockReader::open(&path),
                Err(BlockError::Damaged(_))
            ));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_before_the_damage_is_read_and_gone_on_with(
            cut in 0_usize..60, flip in proptest::option::of(0_usize..500),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("b");
            written(&path, 20);
            let whole = rows(&path);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(bytes.len() - cut);
            if let Some(place) = flip.filter(|place| *place < bytes.len()) {
                bytes[place] ^= 0x10;
            }
            std::fs::write(&path, &bytes).unwrap();
            match BlockReader::open(&path) {
                Err(BlockError::Damaged(_)) => {}
                Err(BlockError::Io(error)) => panic!("{error}"),
                Ok(mut reader) => {
                    let mut values = [0.0; 2];
                    while reader.next_row(&mut values).unwrap().is_some() {}
                    let left = rows(&path);
                    prop_assert!(whole.starts_with(&left));
                    let mut writer =
                        BlockWriter::go_on(&path, reader.header(), reader.bytes()).unwrap();
                    writer.push(Timestamp(99), &[5.0, 6.0]);
                    writer.sync().unwrap();
                    prop_assert_eq!(rows(&path).len(), left.len() + 1);
                }
            }
        }
    }
}
