//! `events.json`: `{"dt_seconds": 60, "events": [{"start": 10, "end": 20, "type": "stuck",
//! "targets": ["LIT101"]}], "breaks": [0]}`, rows counted from 0, `end` exclusive. Of an event only
//! `start` and `end` are needed; `type` may also be called `fault` and be a number; unknown keys are
//! left alone. Imports nothing outside `truth`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::TruthError;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(json: &str) -> Result<Events, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        fs::write(&path, json).unwrap();
        Events::load(&path, 1000).map_err(|error| {
            let text = error.to_string();
            text.rsplit_once("events.json: ").unwrap().1.to_owned()
        })
    }

    #[test]
    fn events_are_read_with_what_they_say() {
        let json = r#"{"dt_seconds": 60.0, "breaks": [0, 500], "note": "kept out",
            "events": [{"start": 3, "end": 9, "fault": 4, "targets": ["s22", "s24"]},
                       {"start": 600, "end": 1000, "type": "stuck"}]}"#;
        let expected = Events {
            dt_seconds: Some(60.0),
            breaks: vec![0, 500],
            events: vec![
                Event {
                    start: 3,
                    end: 9,
                    kind: Some("4".into()),
                    targets: vec!["s22".into(), "s24".into()],
                },
                Event {
                    start: 600,
                    end: 1000,
                    kind: Some("stuck".into()),
                    targets: vec![],
                },
            ],
        };
        assert_eq!(events(json).unwrap(), expected);
        assert_eq!(events(r#"{"events": []}"#).unwrap(), Events::default());
    }

    #[test]
    fn errors_name_the_key() {
        for (json, message) in [
            (
                "[1]",
                "the file: expected an object with the key \"events\", found [1]",
            ),
            (
                "{}",
                "events: this key is absent: give a list, [] for a recording without events",
            ),
            (r#"{"events": 3}"#, "events: expected a list, found 3"),
            (
                r#"{"events": [{"end": 3}]}"#,
                "events[0].start: this key is absent",
            ),
            (
                r#"{"events": [{"start": -1, "end": 3}]}"#,
                "events[0].start: expected a row number (0 or more), found -1",
            ),
            (
                r#"{"events": [{"start": 0, "end": 3}, {"start": 5, "end": 5}]}"#,
                "events[1].end: 5 is not after the start 5 (the end is exclusive)",
            ),
            (
                r#"{"events": [{"start": 0, "end": 1001}]}"#,
                "events[0].end: 1001 is past the 1000 rows of the recording",
            ),
            (
                r#"{"events": [{"start": 0, "end": 1, "type": []}]}"#,
                "events[0].type: expected a text or a number, found []",
            ),
            (
                r#"{"events": [{"start": 0, "end": 1, "targets": ["a", 2]}]}"#,
                "events[0].targets[1]: expected a sensor name, found 2",
            ),
            (
                r#"{"events": [], "dt_seconds": 0}"#,
                "dt_seconds: expected seconds above 0, found 0",
            ),
        ] {
            assert_eq!(events(json).unwrap_err(), message);
        }
        assert_eq!(events("{").unwrap_err(), "is not JSON");
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(keys in proptest::collection::vec("start|end|type|targets|x", 0..4),
                                       values in proptest::collection::vec("-?[0-9]{1,20}|null|\"a\"|\\[1\\]", 4)) {
            let pairs: Vec<String> = keys
                .iter()
                .zip(&values)
                .map(|(key, value)| format!("\"{key}\": {value}"))
                .collect();
            if let Ok(events) = events(&format!("{{\"events\": [{{{}}}]}}", pairs.join(", "))) {
                let event = &events.events[0];
                prop_assert!(event.start < event.end && event.end <= 1000);
            }
        }

        #[test]
        fn labels_survive_the_way_over_events(labels in proptest::collection::vec(any::<bool>(), 0..100)) {
            let events = Events::from_labels(&labels);
            prop_assert_eq!(events.labels(labels.len()), labels);
        }
    }
}
