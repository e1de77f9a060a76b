//! The header line: how columns are separated, and what they are called.

use super::error::{CsvError, Place, excerpt};
use crate::ingest::time::parse_time;
use crate::ingest::value::{Reading, parse_value};

/// Candidates for the separator; the first wins a tie.
const DELIMITERS: [u8; 3] = [b'\t', b';', b','];

#[derive(Debug)]
pub(super) struct Header {
    pub delimiter: u8,
    /// The name of the first column.
    pub time: String,
    /// The names of the other columns.
    pub sensors: Vec<String>,
    /// Some programs end every line with a separator: the last column is nameless and not read.
    pub trailing: bool,
}

impl Header {
    /// Parses the header `line` (without a byte order mark; line breaks within quotes are fine).
    pub fn parse(line: &[u8], place: &Place) -> Result<Self, CsvError> {
        let place = || place.clone();
        if let Err(error) = std::str::from_utf8(line) {
            return Err(CsvError::NotUtf8 {
                place: place(),
                byte: error.valid_up_to() + 1,
            });
        }
        let scan = QuoteScan::of(line);
        if scan.open() {
            return Err(CsvError::OpenQuote { place: place() });
        }
        if scan.lone_return {
            return Err(CsvError::LoneReturn { place: place() });
        }
        let delimiter = scan.delimiter();
        let mut names = read_names(line, delimiter).map_err(|source| CsvError::Read {
            place: place(),
            source,
        })?;
        let trailing = names.len() > 2 && names.last().is_some_and(String::is_empty);
        if trailing {
            names.pop();
        }
        let time = if names.is_empty() {
            String::new()
        } else {
            names.remove(0)
        };
        if is_row_of_values(&time, &names) {
            return Err(CsvError::NoHeader {
                place: place(),
                first: excerpt(&time),
            });
        }
        if names.is_empty() {
            return Err(CsvError::NoSensors {
                place: place(),
                name: excerpt(&time),
            });
        }
        let header = Header {
            delimiter,
            time,
            sensors: names,
            trailing,
        };
        header.check_names(place)?;
        Ok(header)
    }

    /// What messages call the time column.
    pub fn time_name(&self) -> &str {
        if self.time.is_empty() {
            "1"
        } else {
            &self.time
        }
    }

    fn check_names(&self, place: impl Fn() -> Place) -> Result<(), CsvError> {
        let mut seen = std::collections::HashMap::with_capacity(self.sensors.len() + 1);
        seen.insert(self.time.as_str(), 1);
        for (name, column) in self.sensors.iter().zip(2..) {
            if name.is_empty() {
                return Err(CsvError::EmptyName {
                    place: place(),
                    column,
                });
            }
            if let Some(first) = seen.insert(name, column) {
                return Err(CsvError::DuplicateName {
                    place: place(),
                    name: name.clone(),
                    first,
                    second: column,
                });
            }
        }
        Ok(())
    }
}

fn read_names(line: &[u8], delimiter: u8) -> std::io::Result<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(line);
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record)?;
    // A name is one line wherever it is shown.
    let one_line = |name: &str| name.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(record.iter().map(one_line).collect())
}

/// A time cannot name a column; nor can a number at the head of nothing but numbers.
fn is_row_of_values(first: &str, others: &[String]) -> bool {
    let is_number = |name: &String| matches!(parse_value(name), Reading::Value(_));
    parse_time(first, &jiff::tz::TimeZone::UTC).is_some()
        || (first.starts_with(|c: char| c.is_ascii_digit())
            && !others.is_empty()
            && others.iter().all(is_number))
}

/// What stands outside quotes. As everywhere in CSV, a quote opens at the start of a field only:
/// the one in `5" pipe` is a character.
#[derive(Default)]
pub(super) struct QuoteScan {
    counts: [usize; DELIMITERS.len()],
    lone_return: bool,
    state: State,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// After a quote within quotes: the end of the field, or half of an escaped quote.
    Closed,
}

impl QuoteScan {
    pub fn of(line: &[u8]) -> Self {
        let mut scan = QuoteScan::default();
        for (at, &byte) in line.iter().enumerate() {
            scan.state = match (scan.state, byte) {
                (State::FieldStart | State::Closed, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Closed,
                (State::Quoted, _) => State::Quoted,
                _ => {
                    if byte == b'\r' && !matches!(line.get(at + 1), None | Some(b'\n')) {
                        scan.lone_return = true;
                    }
                    match DELIMITERS.iter().position(|&delimiter| delimiter == byte) {
                        Some(candidate) => {
                            scan.counts[candidate] += 1;
                            State::FieldStart
                        }
                        None => State::Plain,
                    }
                }
            };
        }
        scan
    }

    /// Whether the text ends within quotes.
    pub fn open(&self) -> bool {
        self.state == State::Quoted
    }

    /// The most frequent candidate.
    fn delimiter(&self) -> u8 {
        let most = self.counts.iter().copied().max().unwrap_or(0);
        let best = self.counts.iter().position(|&count| count == most);
        match best {
            Some(candidate) if most > 0 => DELIMITERS[candidate],
            _ => b',',
        }
    }
}
