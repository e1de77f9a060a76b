//! Recordings in CSV: a header line, a time column first, one column a sensor.
//!
//! The layout of a file is found from its header line: comma, semicolon or tab; a decimal comma
//! is read where the columns are not separated by commas. Files are UTF-8, with or without a byte
//! order mark, and end their lines in LF or CRLF. Times are read by [`super::time`], values by
//! [`super::value`].
//!
//! The header is parsed by the `csv` crate. Below it a row is a line, always: a quote left open in
//! a damaged row costs that row, where a general CSV parser would take the rest of the file for
//! one field. [`CsvLines`] holds all of the parsing and takes bytes as they come, so a growing file
//! is read just as a finished one ([`CsvReader`], [`read_table`]).
//!
//! Imports `frame` and the text rules of this stage.

mod columns;
mod error;
mod header;
mod lines;
mod reader;
mod row;
mod table;

use jiff::tz::TimeZone;

pub use columns::{AbsentSensors, ColumnMap};
pub use error::{CsvError, Place};
pub use lines::CsvLines;
pub use reader::CsvReader;
pub use row::Rejected;
pub use table::{Table, read_table};

/// How to read a recording.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    /// For times without an offset.
    pub zone: TimeZone,
    pub bad: BadValues,
}

impl Default for CsvOptions {
    /// UTC, and every bad value is an error.
    fn default() -> Self {
        CsvOptions {
            zone: TimeZone::UTC,
            bad: BadValues::Reject,
        }
    }
}

/// What to do with a value that is neither a number nor a word for "no value".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadValues {
    /// The row is an error, and so is a row of another width, without a time or with a time
    /// before that of the row above. Reading can go on with the next row.
    Reject,
    /// The value is missing, and counted. Rows of another width or without a time are left out
    /// and counted. Times may go back: the aligner knows what to do with those.
    Missing,
}
