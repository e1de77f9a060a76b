//! One row: its cells, its time, its values. Allocates nothing unless something is wrong.

use jiff::tz::TimeZone;

use super::error::CsvError;
use super::header::Header;
use crate::frame::Timestamp;
use crate::ingest::time::parse_time_after;
use crate::ingest::value::{Reading, parse_decimal_comma, parse_value};

/// What was left out of a recording under [`super::BadValues::Missing`].
#[derive(Debug, Default)]
pub struct Rejected {
    /// Values taken as missing.
    pub values: u64,
    /// Rows left out whole.
    pub rows: u64,
    /// The first few of them (of a row with several bad values, the first).
    pub examples: Vec<CsvError>,
}

impl Rejected {
    const EXAMPLES: usize = 20;

    /// What was left out, a line each and the rest as a count; empty when nothing was.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.examples.iter().map(CsvError::to_string).collect();
        if self.values + self.rows > lines.len() as u64 {
            let (values, rows) = (self.values, self.rows);
            lines.push(format!(
                "in all {values} values taken as missing, {rows} rows left out"
            ));
        }
        lines
    }

    pub(super) fn note(&mut self, error: CsvError) {
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push(error);
        }
    }
}

/// A row as it stands in the file.
pub(super) struct Row<'a> {
    pub time: Timestamp,
    /// Values that are neither numbers nor words for "no value"; NaN stands in their place.
    pub bad: u64,
    /// The first of them: index of the sensor, and the text.
    pub first_bad: Option<(usize, &'a str)>,
}

pub(super) enum RowProblem<'a> {
    OpenQuote,
    ColumnCount { expected: usize, found: usize },
    BadTime(&'a str),
}

/// Parses `line` (without its end) into `values` `[F]`, replacing what was there.
pub(super) fn parse_row<'a>(
    line: &'a str,
    header: &Header,
    zone: &TimeZone,
    previous: Option<Timestamp>,
    values: &mut Vec<f64>,
) -> Result<Row<'a>, RowProblem<'a>> {
    let sensors = header.sensors.len();
    let read = if header.delimiter == b',' {
        parse_value
    } else {
        parse_decimal_comma
    };
    let mut cells = Cells::new(line, header.delimiter);
    let time_text = cells.next().unwrap_or_default();
    values.clear();
    let (mut bad, mut first_bad) = (0, None);
    let mut found = 1;
    for cell in cells.by_ref() {
        found += 1;
        if found > sensors + 1 {
            continue;
        }
        values.push(match read(cell) {
            Reading::Value(value) => value,
            Reading::Missing => f64::NAN,
            Reading::Text => {
                bad += 1;
                first_bad = first_bad.or(Some((found - 2, cell)));
                f64::NAN
            }
        });
    }
    if cells.open_quote {
        return Err(RowProblem::OpenQuote);
    }
    if found != sensors + 1 && !(header.trailing && found == sensors + 2) {
        let expected = sensors + 1;
        return Err(RowProblem::ColumnCount { expected, found });
    }
    let time = parse_time_after(time_text, zone, previous);
    let time = time.ok_or(RowProblem::BadTime(time_text))?;
    Ok(Row {
        time,
        bad,
        first_bad,
    })
}

/// The cells of a line, without their quotes. An escaped quote within quotes stays doubled, as
/// neither a time nor a value holds one.
struct Cells<'a> {
    rest: Option<&'a str>,
    delimiter: u8,
    open_quote: bool,
}

impl<'a> Cells<'a> {
    fn new(line: &'a str, delimiter: u8) -> Self {
        Cells {
            rest: Some(line),
            delimiter,
            open_quote: false,
        }
    }

    /// The part before the next delimiter; `rest` is left behind it.
    fn plain(&mut self, text: &'a str) -> &'a str {
        let end = text.bytes().position(|byte| byte == self.delimiter);
        match end {
            Some(end) => {
                self.rest = Some(&text[end + 1..]);
                &text[..end]
            }
            None => text,
        }
    }

    fn quoted(&mut self, text: &'a str) -> Option<&'a str> {
        let bytes = text.as_bytes();
        let mut at = 1;
        loop {
            let Some(quote) = text[at..].find('"') else {
                self.open_quote = true;
                return None;
            };
            at += quote + 1;
            if bytes.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
        let inside = &text[1..at - 1];
        let behind = self.plain(&text[at..]);
        if behind.trim().is_empty() {
            Some(inside)
        } else {
            // `"7"3`: whatever was meant, it is not what stands between the quotes.
            Some(&text[..at + behind.len()])
        }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.take()?;
        if text.as_bytes().first() == Some(&b'"') {
            self.quoted(text)
        } else {
            Some(self.plain(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(line: &str, delimiter: u8) -> Vec<&str> {
        Cells::new(line, delimiter).collect()
    }

    #[test]
    fn quotes_are_taken_off() {
        assert_eq!(cells("\"a,b\",\"\",c,", b','), ["a,b", "", "c", ""]);
        assert_eq!(cells("\"1,5\" ;2", b';'), ["1,5", "2"]);
        assert_eq!(cells("\"7\"3,2", b','), ["\"7\"3", "2"]);
        assert_eq!(cells("5\" pipe,2", b','), ["5\" pipe", "2"]);
        let mut open = Cells::new("1,\"2,3", b',');
        assert_eq!(open.by_ref().collect::<Vec<_>>(), ["1"]);
        assert!(open.open_quote);
    }

    proptest! {
        #[test]
        fn cells_are_those_of_the_csv_crate(
            row in proptest::collection::vec("[a-z0-9 ,;.\u{e9}-]{0,6}", 2..6),
            quote_all in any::<bool>(),
        ) {
            let style = if quote_all { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
            writer.write_record(&row).unwrap();
            let line = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(cells(line.trim_end_matches('\n'), b','), row);
        }

        #[test]
        fn any_line_is_split_without_panic(line in ".*", delimiter in prop::sample::select(b",;\t".to_vec())) {
            let _ = cells(&line, delimiter);
        }
    }
}
