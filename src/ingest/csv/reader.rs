//! A recording in a file, row by row.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::CsvOptions;
use super::error::{CsvError, Place};
use super::lines::CsvLines;
use super::row::Rejected;
use crate::frame::Timestamp;

/// Reads a finished recording, or any other reader's bytes, to the end.
#[derive(Debug)]
pub struct CsvReader<R = File> {
    source: R,
    lines: CsvLines,
    ended: bool,
    rows: bool,
}

impl CsvReader<File> {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or has no usable header.
    pub fn open(path: &Path, options: CsvOptions) -> Result<Self, CsvError> {
        let open = || {
            let file = File::open(path)?;
            match file.metadata()?.is_dir() {
                true => Err(std::io::ErrorKind::IsADirectory.into()),
                false => Ok(file),
            }
        };
        let file = open().map_err(|source| CsvError::Open {
            path: path.into(),
            source,
        })?;
        Self::from_source(file, path, options)
    }
}

impl<R: Read> CsvReader<R> {
    /// Reads the header from `source`; `path` is for messages.
    ///
    /// # Errors
    /// As [`CsvReader::open`].
    pub fn from_source(source: R, path: &Path, options: CsvOptions) -> Result<Self, CsvError> {
        let mut reader = CsvReader {
            source,
            lines: CsvLines::new(path, options),
            ended: false,
            rows: false,
        };
        while !reader.lines.read_header()? {
            if reader.ended {
                return Err(CsvError::Empty { path: path.into() });
            }
            reader.fill()?;
        }
        Ok(reader)
    }

    /// The sensors' names in column order.
    pub fn sensors(&self) -> &[String] {
        self.lines.sensors().unwrap_or_default()
    }

    /// Number of the line that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.lines.line()
    }

    /// What was left out so far.
    pub fn rejected(&self) -> &Rejected {
        self.lines.rejected()
    }

    /// The next row: its time, and its values in `values` `[F]` in column order (replaced; NaN is
    /// missing). `None` at the end. Allocates nothing while the rows are sound.
    ///
    /// # Errors
    /// The file cannot be read further, has no row at all, or a row is unusable. After the error of
    /// a row ([`CsvError::is_row`]) the next call reads the row below.
    pub fn next_row(&mut self, values: &mut Vec<f64>) -> Result<Option<Timestamp>, CsvError> {
        loop {
            let row = self.lines.next_row(values);
            match row {
                Ok(None) if !self.ended => self.fill()?,
                Ok(None) if !self.rows => {
                    self.rows = true;
                    // Rows that were left out are reported by `rejected`.
                    if self.rejected().rows == 0 {
                        let place = self.lines.place();
                        return Err(CsvError::NoRows { place });
                    }
                    return Ok(None);
                }
                Ok(None) => return Ok(None),
                row => {
                    self.rows = true;
                    return row;
                }
            }
        }
    }

    pub(super) fn into_rejected(mut self) -> Rejected {
        self.lines.take_rejected()
    }

    fn fill(&mut self) -> Result<(), CsvError> {
        match self.lines.fill(&mut self.source) {
            Ok(0) => {
                self.ended = true;
                self.lines.finish();
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(source) => {
                let Place { path, line } = self.lines.place();
                let line = line + 1;
                let place = Place { path, line };
                Err(CsvError::Read { place, source })
            }
        }
    }
}
