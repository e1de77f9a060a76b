//! What is wrong with a configuration, and where. Imports nothing from the crate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The line of a file in which a key was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<Path>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The daemon does not start with it.
    Error,
    /// The daemon starts, but probably not as it was meant.
    Warning,
}

/// One mistake, as one line of text or one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// Counted from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// Dotted, as in `source.mqtt.host`; empty when it is about no key (a syntax error).
    pub key: String,
    /// What is wrong, and after a semicolon what to do about it.
    pub message: String,
    pub severity: Severity,
}

/// JSON has no bytes, and a path that is not UTF-8 must not fail the whole report.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl Mistake {
    pub fn error(place: &Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Mistake {
            file: place.file.to_path_buf(),
            line: Some(place.line),
            key: key.into(),
            message: message.into(),
            severity: Severity::Error,
        }
    }

    pub fn warning(place: &Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Mistake {
            severity: Severity::Warning,
            ..Mistake::error(place, key, message)
        }
    }

    /// An error of a whole file.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Mistake {
            file: file.to_path_buf(),
            line: None,
            key: String::new(),
            message: message.into(),
            severity: Severity::Error,
        }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `anomalyd.toml:14: source.mqtt.topic: unknown key; did you mean "topics"?`
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_file_line_key_and_severity() {
        let place = Place {
            file: Path::new("a.toml").into(),
            line: 14,
        };
        let error = Mistake::error(&place, "source.mqtt.topic", "unknown key");
        assert_eq!(
            error.to_string(),
            "a.toml:14: source.mqtt.topic: unknown key"
        );
        let warning = Mistake::warning(&place, "model", "not there");
        assert_eq!(warning.to_string(), "a.toml:14: warning: model: not there");
        let whole = Mistake::of_file(Path::new("a.toml"), "not found");
        assert_eq!(whole.to_string(), "a.toml: not found");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_still_becomes_json() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff.toml"));
        let json = serde_json::to_string(&Mistake::of_file(path, "x")).unwrap();
        assert!(json.contains("\"severity\":\"error\""), "{json}");
    }
}
