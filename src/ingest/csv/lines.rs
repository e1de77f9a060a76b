//! The push parser: bytes in, rows out as soon as their line is complete.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::{CsvError, Place, excerpt};
use super::header::{Header, QuoteScan};
use super::row::{Rejected, Row, RowProblem, parse_row};
use super::{BadValues, CsvOptions};
use crate::frame::Timestamp;

/// Longest line that is read, in bytes.
const LONGEST_LINE: usize = 1 << 20;
/// Most lines of a header with line breaks in its names; more means a quote left open.
const LONGEST_HEADER: u64 = 64;
const BLOCK: usize = 1 << 16;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a recording that arrives in pieces. Feed bytes with [`CsvLines::feed`] or
/// [`CsvLines::fill`], then call [`CsvLines::next_row`] until it gives `None`; a line that is not
/// complete yet is kept for the next piece.
#[derive(Debug)]
pub struct CsvLines {
    path: Arc<Path>,
    options: CsvOptions,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line starts, and how far no line end was found behind it.
    start: usize,
    scanned: usize,
    ended: bool,
    /// Number of the last line taken.
    line: u64,
    state: State,
    previous: Option<Timestamp>,
    rejected: Rejected,
}

#[derive(Debug)]
enum State {
    /// Waits for the header's end; the number of lines it has so far.
    Header(u64),
    Rows(Header),
    /// Drops bytes up to the next line end.
    LongLine(Header),
    /// The header is unusable, and so is all that follows.
    Failed,
}

impl CsvLines {
    /// `path` is for messages only.
    pub fn new(path: &Path, options: CsvOptions) -> Self {
        CsvLines {
            path: path.into(),
            options,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            ended: false,
            line: 0,
            state: State::Header(0),
            previous: None,
            rejected: Rejected::default(),
        }
    }

    /// Starts again with a header, as for a file that was replaced. What was rejected stays counted.
    pub fn restart(&mut self) {
        self.buffer.clear();
        (self.start, self.scanned, self.line) = (0, 0, 0);
        self.ended = false;
        self.state = State::Header(0);
        self.previous = None;
    }

    /// Appends the next bytes of the recording.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// Appends one block from `source` and returns its size; 0 is the end.
    ///
    /// # Errors
    /// As the source has them; interruptions are retried.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.compact();
        let old = self.buffer.len();
        self.buffer.resize(old + BLOCK, 0);
        let read = loop {
            match source.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        // A faulty reader may claim more than it was given room for.
        let len = old + read.as_ref().map_or(0, |&len| len.min(BLOCK));
        self.buffer.truncate(len);
        read
    }

    /// No further bytes will come: the last line counts even without a line end.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The sensors' names in column order, once the header has been read by
    /// [`CsvLines::next_row`].
    pub fn sensors(&self) -> Option<&[String]> {
        match &self.state {
            State::Rows(header) | State::LongLine(header) => Some(&header.sensors),
            State::Header(_) | State::Failed => None,
        }
    }

    /// Number of the line that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What was left out so far; stays empty under [`BadValues::Reject`].
    pub fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    pub(super) fn take_rejected(&mut self) -> Rejected {
        std::mem::take(&mut self.rejected)
    }

    pub(super) fn place(&self) -> Place {
        Place {
            path: Arc::clone(&self.path),
            line: self.line,
        }
    }

    /// Reads the header if its line is complete; true once it is known.
    ///
    /// # Errors
    /// The header is unusable; everything after it is ignored until [`CsvLines::restart`].
    pub fn read_header(&mut self) -> Result<bool, CsvError> {
        while let State::Header(lines) = self.state {
            let end = match self.line_end() {
                Some(end) => end,
                // Too long, or a file that ends within quotes: parsing says what is wrong.
                None if self.too_long() || (self.ended && self.start < self.buffer.len()) => {
                    self.buffer.len()
                }
                None => return Ok(false),
            };
            let bytes = &self.buffer[self.start..end];
            let bytes = match (self.line, bytes.strip_prefix(BYTE_ORDER_MARK)) {
                (0, Some(rest)) => rest,
                _ => bytes,
            };
            let complete = end == self.buffer.len() && (self.ended || self.too_long())
                || lines >= LONGEST_HEADER
                || !QuoteScan::of(bytes).open();
            if !complete {
                self.scanned = end;
                self.state = State::Header(lines + 1);
                continue;
            }
            if bytes.trim_ascii().is_empty() {
                self.line += 1 + lines;
                self.state = State::Header(0);
            } else {
                let place = Place {
                    path: Arc::clone(&self.path),
                    line: self.line + 1,
                };
                let too_long = bytes.len() > LONGEST_LINE;
                let header = Header::parse(bytes, &place);
                self.line += 1 + lines;
                self.state = State::Failed;
                if too_long {
                    let limit = LONGEST_LINE;
                    return Err(CsvError::LongLine { place, limit });
                }
                self.state = State::Rows(header?);
            }
            self.start = end;
            self.scanned = end;
        }
        Ok(matches!(self.state, State::Rows(_) | State::LongLine(_)))
    }

    /// The next complete row: its time, and its values in `values` `[F]` in column order (replaced;
    /// NaN is missing). `None` when there is no complete row yet.
    ///
    /// # Errors
    /// The header, or under [`BadValues::Reject`] one row, is unusable. After the error of a row
    /// ([`CsvError::is_row`]) the next call reads the row below.
    pub fn next_row(&mut self, values: &mut Vec<f64>) -> Result<Option<Timestamp>, CsvError> {
        if !self.read_header()? {
            if matches!(self.state, State::Failed) {
                self.buffer.clear();
                (self.start, self.scanned) = (0, 0);
            }
            return Ok(None);
        }
        loop {
            let Some(line) = self.next_line() else {
                return Ok(None);
            };
            match line.and_then(|line| self.parse(line, values)) {
                Ok(None) => {}
                Ok(Some(time)) => return Ok(Some(time)),
                Err(error) if self.options.bad == BadValues::Missing => {
                    self.rejected.rows += 1;
                    self.rejected.note(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The row in `line`; `None` for an empty line.
    fn parse(
        &mut self,
        line: Range<usize>,
        values: &mut Vec<f64>,
    ) -> Result<Option<Timestamp>, CsvError> {
        let State::Rows(header) = &self.state else {
            return Ok(None);
        };
        let place = || Place {
            path: Arc::clone(&self.path),
            line: self.line,
        };
        let text = match std::str::from_utf8(&self.buffer[line]) {
            Ok(text) => text.trim_end_matches(['\n', '\r']),
            Err(error) => {
                return Err(CsvError::NotUtf8 {
                    place: place(),
                    byte: error.valid_up_to() + 1,
                });
            }
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let row = parse_row(text, header, &self.options.zone, self.previous, values);
        let row = match row {
            Ok(row) => row,
            Err(RowProblem::OpenQuote) => return Err(CsvError::OpenQuote { place: place() }),
            Err(RowProblem::ColumnCount { expected, found }) => {
                return Err(CsvError::ColumnCount {
                    place: place(),
                    expected,
                    found,
                });
            }
            Err(RowProblem::BadTime(text)) => {
                return Err(CsvError::BadTime {
                    place: place(),
                    column: header.time_name().to_owned(),
                    text: excerpt(text),
                });
            }
        };
        let Row {
            time,
            bad,
            first_bad,
        } = row;
        let reject = self.options.bad == BadValues::Reject;
        if let Some(previous) = self.previous
            && time < previous
            && reject
        {
            return Err(CsvError::TimeBack {
                place: place(),
                time,
                previous,
            });
        }
        self.previous = Some(time);
        if let Some((sensor, text)) = first_bad {
            let error = CsvError::BadValue {
                place: place(),
                column: header.sensors[sensor].clone(),
                text: excerpt(text),
            };
            if reject {
                return Err(error);
            }
            self.rejected.values += bad;
            self.rejected.note(error);
        }
        Ok(Some(time))
    }

    /// Takes the next complete line, with its end.
    fn next_line(&mut self) -> Option<Result<Range<usize>, CsvError>> {
        if let State::LongLine(_) = self.state {
            let Some(end) = self.line_end() else {
                self.start = self.buffer.len();
                self.scanned = self.start;
                return None;
            };
            (self.start, self.scanned) = (end, end);
            self.set_long_line(false);
        }
        let end = match self.line_end() {
            Some(end) => end,
            None if self.too_long() => {
                self.line += 1;
                (self.start, self.scanned) = (self.buffer.len(), self.buffer.len());
                self.set_long_line(true);
                return Some(Err(self.long_line()));
            }
            None if self.ended && self.start < self.buffer.len() => self.buffer.len(),
            None => return None,
        };
        let line = self.start..end;
        (self.start, self.scanned) = (end, end);
        self.line += 1;
        if line.len() > LONGEST_LINE {
            return Some(Err(self.long_line()));
        }
        Some(Ok(line))
    }

    fn long_line(&self) -> CsvError {
        CsvError::LongLine {
            place: self.place(),
            limit: LONGEST_LINE,
        }
    }

    fn set_long_line(&mut self, long: bool) {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Rows(header) | State::LongLine(header) if long => State::LongLine(header),
            State::Rows(header) | State::LongLine(header) => State::Rows(header),
            other => other,
        };
    }

    /// Behind the next line end, if there is one.
    fn line_end(&mut self) -> Option<usize> {
        let mut rest = &self.buffer[self.scanned..];
        // Reading from a slice cannot fail.
        let len = rest.skip_until(b'\n').unwrap_or(0);
        let end = self.scanned + len;
        if len > 0 && self.buffer[end - 1] == b'\n' {
            return Some(end);
        }
        self.scanned = end;
        None
    }

    fn too_long(&self) -> bool {
        self.buffer.len() - self.start > LONGEST_LINE
    }

    /// Moves what was not taken yet to the front.
    fn compact(&mut self) {
        self.buffer.copy_within(self.start.., 0);
        self.buffer.truncate(self.buffer.len() - self.start);
        self.scanned -= self.start;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests;
