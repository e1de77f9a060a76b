//! What can be wrong with a recording: file, line, column, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::frame::Timestamp;
use crate::ingest::time::TIME_FORMS;

/// `normal.csv:20811`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: Arc<Path>,
    /// From 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    #[error("{}: cannot be opened: {source}", path.display())]
    Open { path: Arc<Path>, source: io::Error },
    #[error("{place}: cannot be read further: {source}")]
    Read { place: Place, source: io::Error },
    #[error(
        "{}: the file is empty; it must start with a header line, as in time,LIT101,FIT101",
        path.display()
    )]
    Empty { path: Arc<Path> },
    #[error("{place}: there is a header line but no row below it")]
    NoRows { place: Place },
    #[error(
        "{place}: this line holds values, not names (it starts with {first:?}); the first line \
         must name the columns, as in time,LIT101,FIT101"
    )]
    NoHeader { place: Place, first: String },
    #[error(
        "{place}: the header names one column only ({name:?}); a time column and at least one \
         sensor are needed, separated by commas, semicolons or tabs"
    )]
    NoSensors { place: Place, name: String },
    #[error("{place}: columns {first} and {second} are both called {name:?}; rename one of them")]
    DuplicateName {
        place: Place,
        name: String,
        /// From 1, as in a spreadsheet.
        first: usize,
        second: usize,
    },
    #[error("{place}: column {column} has no name; give it one, or remove it")]
    EmptyName {
        place: Place,
        /// From 1.
        column: usize,
    },
    #[error("{place}: the line is not UTF-8 text from byte {byte} on; save the file as UTF-8")]
    NotUtf8 {
        place: Place,
        /// Within the line, from 1.
        byte: usize,
    },
    #[error("{place}: lines end in a carriage return alone; save the file with LF or CRLF")]
    LoneReturn { place: Place },
    #[error("{place}: the line is longer than {limit} bytes; is this a CSV file?")]
    LongLine { place: Place, limit: usize },
    #[error("{place}: a quote is opened and never closed in this line")]
    OpenQuote { place: Place },
    #[error("{place}: the number of columns is {found}, but {expected} in the header")]
    ColumnCount {
        place: Place,
        expected: usize,
        found: usize,
    },
    #[error("{place}: column {column}: {text:?} is not a time (use {TIME_FORMS})")]
    BadTime {
        place: Place,
        column: String,
        text: String,
    },
    #[error(
        "{place}: the time goes back to {time}, after {previous} in the row above; sort the rows, \
         or split the file where the clock was set"
    )]
    TimeBack {
        place: Place,
        time: Timestamp,
        previous: Timestamp,
    },
    #[error(
        "{place}: column {column}: {text:?} is not a number (value treated as missing in `run`; \
         `train` wants it fixed or --skip-bad-values)"
    )]
    BadValue {
        place: Place,
        column: String,
        text: String,
    },
}

impl CsvError {
    /// Where it is, unless the whole file is meant.
    pub fn place(&self) -> Option<&Place> {
        match self {
            CsvError::Open { .. } | CsvError::Empty { .. } => None,
            CsvError::Read { place, .. }
            | CsvError::NoRows { place }
            | CsvError::NoHeader { place, .. }
            | CsvError::NoSensors { place, .. }
            | CsvError::DuplicateName { place, .. }
            | CsvError::EmptyName { place, .. }
            | CsvError::NotUtf8 { place, .. }
            | CsvError::LoneReturn { place }
            | CsvError::LongLine { place, .. }
            | CsvError::OpenQuote { place }
            | CsvError::ColumnCount { place, .. }
            | CsvError::BadTime { place, .. }
            | CsvError::TimeBack { place, .. }
            | CsvError::BadValue { place, .. } => Some(place),
        }
    }

    /// Whether only one row is lost: the next call reads the row below.
    pub fn is_row(&self) -> bool {
        matches!(
            self,
            CsvError::NotUtf8 { .. }
                | CsvError::LongLine { .. }
                | CsvError::OpenQuote { .. }
                | CsvError::ColumnCount { .. }
                | CsvError::BadTime { .. }
                | CsvError::TimeBack { .. }
                | CsvError::BadValue { .. }
        )
    }
}

/// `text` for a message: not more than a line can show.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
