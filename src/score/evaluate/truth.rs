//! What really happened in a recording: anomalous rows (`labels.csv`) and events (`events.json`).
//! Imports nothing from the crate.
//!
//! `labels.csv` has a header with a column `label` (0 or 1), one line a row of the recording.
//! `events.json` is `{"dt_seconds": 60, "events": [{"start": 10, "end": 20, "type": "stuck",
//! "targets": ["LIT101"]}], "breaks": [0]}`: rows counted from 0, `end` exclusive; of an event only
//! `start` and `end` are needed, `type` may also be called `fault` and be a number.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One thing that went wrong, in rows of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// First anomalous row.
    pub start: usize,
    /// One past the last anomalous row; more than `start`.
    pub end: usize,
    /// Fault number or kind, where the recording says one.
    pub kind: Option<String>,
    /// The affected sensors; empty when nobody knows.
    pub targets: Vec<String>,
}

/// The events of one recording.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    /// Seconds from row to row, where the file says so.
    pub dt_seconds: Option<f64>,
    pub events: Vec<Event>,
    /// Rows at which a separate recording starts.
    pub breaks: Vec<usize>,
}

/// Both views of the truth about one recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// `[rows]`
    pub labels: Vec<bool>,
    pub events: Events,
}

#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: not JSON: {source}", path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{}: {key}: {problem}", path.display())]
    Key {
        path: PathBuf,
        key: String,
        problem: String,
    },
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        path: PathBuf,
        line: u64,
        problem: String,
    },
    #[error(
        "{}: {labels} labels for {rows} rows of the recording: the two files do not belong together",
        path.display()
    )]
    RowCount {
        path: PathBuf,
        labels: usize,
        rows: usize,
    },
}

impl Truth {
    /// From either file or both, for a recording of `rows` rows: without labels, the rows inside
    /// events are the anomalous ones; without events, each run of anomalous rows is one. With
    /// neither, all is taken to be normal.
    ///
    /// # Errors
    /// A file that cannot be read, does not have the format, or is about other rows.
    pub fn load(
        labels: Option<&Path>,
        events: Option<&Path>,
        rows: usize,
    ) -> Result<Truth, TruthError> {
        let events = events.map(|path| Events::load(path, rows)).transpose()?;
        let labels = match labels {
            Some(path) => {
                let labels = read_labels(path)?;
                if labels.len() != rows {
                    return Err(TruthError::RowCount {
                        path: path.to_owned(),
                        labels: labels.len(),
                        rows,
                    });
                }
                Some(labels)
            }
            None => None,
        };
        Ok(match (labels, events) {
            (Some(labels), Some(events)) => Truth { labels, events },
            (Some(labels), None) => Truth {
                events: Events::from_labels(&labels),
                labels,
            },
            (None, events) => {
                let events = events.unwrap_or_default();
                Truth {
                    labels: events.labels(rows),
                    events,
                }
            }
        })
    }
}

impl Events {
    /// Reads `events.json` for a recording of `rows` rows.
    ///
    /// # Errors
    /// Says which key is wrong, such as `events[3].end`.
    pub fn load(path: &Path, rows: usize) -> Result<Events, TruthError> {
        let text = fs::read_to_string(path).map_err(|source| TruthError::Read {
            path: path.to_owned(),
            source,
        })?;
        let json: Value = serde_json::from_str(&text).map_err(|source| TruthError::Json {
            path: path.to_owned(),
            source,
        })?;
        Events::from_json(&json, rows).map_err(|(key, problem)| TruthError::Key {
            path: path.to_owned(),
            key,
            problem,
        })
    }

    /// Each run of anomalous rows is one event of unknown kind.
    pub fn from_labels(labels: &[bool]) -> Events {
        let mut events: Vec<Event> = Vec::new();
        for row in (0..labels.len()).filter(|&row| labels[row]) {
            match events.last_mut() {
                Some(event) if event.end == row => event.end = row + 1,
                _ => events.push(Event {
                    start: row,
                    end: row + 1,
                    kind: None,
                    targets: Vec::new(),
                }),
            }
        }
        Events {
            events,
            ..Events::default()
        }
    }

    /// `[rows]`: whether a row lies inside an event.
    pub fn labels(&self, rows: usize) -> Vec<bool> {
        let mut labels = vec![false; rows];
        for event in &self.events {
            labels[event.start.min(rows)..event.end.min(rows)].fill(true);
        }
        labels
    }

    fn from_json(json: &Value, rows: usize) -> Result<Events, (String, String)> {
        let top = json
            .as_object()
            .ok_or_else(|| wrong("the file", "an object with the key \"events\"", json))?;
        let dt_seconds = match top.get("dt_seconds") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                value
                    .as_f64()
                    .filter(|seconds| *seconds > 0.0)
                    .ok_or_else(|| wrong("dt_seconds", "seconds above 0", value))?,
            ),
        };
        let list = match top.get("events") {
            Some(Value::Array(list)) => list,
            Some(other) => return Err(wrong("events", "a list", other)),
            None => {
                return Err((
                    "events".into(),
                    "this key is absent: give a list, [] for a recording without events".into(),
                ));
            }
        };
        let events = list
            .iter()
            .enumerate()
            .map(|(index, event)| Event::from_json(event, &format!("events[{index}]"), rows))
            .collect::<Result<_, _>>()?;
        let breaks = match top.get("breaks") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(index, value)| row_number(value, &format!("breaks[{index}]")))
                .collect::<Result<_, _>>()?,
            Some(other) => return Err(wrong("breaks", "a list of rows", other)),
        };
        Ok(Events {
            dt_seconds,
            events,
            breaks,
        })
    }
}

impl Event {
    fn from_json(json: &Value, key: &str, rows: usize) -> Result<Event, (String, String)> {
        let row = |name: &str| {
            let key = format!("{key}.{name}");
            match json.get(name) {
                Some(value) => row_number(value, &key),
                None => Err((key, "this key is absent".to_owned())),
            }
        };
        let (start, end) = (row("start")?, row("end")?);
        if end <= start {
            return Err((
                format!("{key}.end"),
                format!("{end} is not after the start {start} (the end is exclusive)"),
            ));
        }
        if end > rows {
            return Err((
                format!("{key}.end"),
                format!("{end} is past the {rows} rows of the recording"),
            ));
        }
        let mut kind = None;
        for name in ["type", "fault"] {
            kind = kind.or(match json.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                Some(other) => {
                    return Err(wrong(&format!("{key}.{name}"), "a text or a number", other));
                }
            });
        }
        let targets = match json.get("targets") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    value.as_str().map(str::to_owned).ok_or_else(|| {
                        wrong(&format!("{key}.targets[{index}]"), "a sensor name", value)
                    })
                })
                .collect::<Result<_, _>>()?,
            Some(other) => {
                return Err(wrong(
                    &format!("{key}.targets"),
                    "a list of sensor names",
                    other,
                ));
            }
        };
        Ok(Event {
            start,
            end,
            kind,
            targets,
        })
    }
}

/// Reads the column `label` of a CSV file: 0 or 1 on each line.
///
/// # Errors
/// Says which line is wrong and what it holds.
pub fn read_labels(path: &Path) -> Result<Vec<bool>, TruthError> {
    let bytes = fs::read(path).map_err(|source| TruthError::Read {
        path: path.to_owned(),
        source,
    })?;
    let at = |line: u64, problem: String| TruthError::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(bytes);
    let header = reader.headers().map_err(|e| at(1, e.to_string()))?;
    let column = header
        .iter()
        .position(|name| name.eq_ignore_ascii_case("label"))
        .ok_or_else(|| {
            at(
                1,
                "no column \"label\"; expected the header time,label".into(),
            )
        })?;
    let mut labels = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(labels),
            Ok(true) => {}
            Err(e) => return Err(at(line, e.to_string())),
        }
        let line = record.position().map_or(line, csv::Position::line);
        let text = record.get(column).unwrap_or("");
        labels.push(match text.parse::<f64>() {
            Ok(0.0) => false,
            Ok(1.0) => true,
            _ => return Err(at(line, format!("label \"{text}\" is neither 0 nor 1"))),
        });
    }
}

fn row_number(value: &Value, key: &str) -> Result<usize, (String, String)> {
    value
        .as_u64()
        .and_then(|row| usize::try_from(row).ok())
        .ok_or_else(|| wrong(key, "a row number (0 or more)", value))
}

fn wrong(key: &str, expected: &str, found: &Value) -> (String, String) {
    let mut text = found.to_string();
    if text.chars().count() > 40 {
        text = text.chars().take(40).chain("...".chars()).collect();
    }
    (key.to_owned(), format!("expected {expected}, found {text}"))
}
