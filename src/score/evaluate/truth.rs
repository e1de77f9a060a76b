//! What really happened in a recording: anomalous rows and events, from either file or both.
//! Imports nothing from the crate.

mod events;
mod labels;

use std::path::{Path, PathBuf};

pub use events::{Event, Events};
pub use labels::read_labels;

/// Both views of the truth about one recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// `[rows]`
    pub labels: Vec<bool>,
    pub events: Events,
}

/// The cause of the first two is their source: print the chain.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    #[error("{}: cannot be read", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: is not JSON", path.display())]
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn either_file_stands_for_the_other() {
        let (_a, labels) = file("labels.csv", b"time,label\n1,0\n2,1\n3,1\n4,0\n5,1\n");
        let (_b, events) = file("events.json", br#"{"events": [{"start": 1, "end": 3}]}"#);
        let spans = |truth: &Truth| -> Vec<(usize, usize)> {
            let events = truth.events.events.iter();
            events.map(|event| (event.start, event.end)).collect()
        };
        let from_labels = Truth::load(Some(&labels), None, 5).unwrap();
        assert_eq!(spans(&from_labels), [(1, 3), (4, 5)]);
        let from_events = Truth::load(None, Some(&events), 5).unwrap();
        assert_eq!(from_events.labels, [false, true, true, false, false]);
        let both = Truth::load(Some(&labels), Some(&events), 5).unwrap();
        assert_eq!((spans(&both), both.labels[4]), (vec![(1, 3)], true));
        let neither = Truth::load(None, None, 2).unwrap();
        assert_eq!((spans(&neither), neither.labels), (vec![], vec![false; 2]));
        let error = Truth::load(Some(&labels), None, 7).unwrap_err().to_string();
        assert!(error.contains("labels.csv: 5 labels for 7 rows"), "{error}");
        let error = read_labels(Path::new("/nonexistent/labels.csv")).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/labels.csv: "));
    }
}
