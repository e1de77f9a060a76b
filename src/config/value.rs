//! Checked values of the configuration file, each with the place it came from, and the check of
//! one TOML value against one shape. Imports `key`, `suggest` and `mistake`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::key::Shape;
use super::mistake::Place;
use super::suggest::nearest;

/// A wanted value of a JSON field: `where = { id = 42 }`.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// As it is compared with a payload's field.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Text(text) => text.fmt(f),
            FieldValue::Number(number) => number.fmt(f),
            FieldValue::Bool(value) => value.fmt(f),
        }
    }
}

/// The checked value of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Texts(Vec<String>),
    Path(PathBuf),
    Bool(bool),
    Integer(i64),
    Number(f64),
    Duration(Duration),
    Fields(BTreeMap<String, FieldValue>),
    Section(Section),
    /// Tables that differ in `name`.
    List(Vec<Section>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub value: Value,
    pub place: Place,
}

/// The checked keys of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The header, or the table's first key.
    pub place: Place,
    pub entries: BTreeMap<String, Entry>,
    /// Keys that were given but reported as mistakes: nobody need be told that they are missing.
    pub rejected: BTreeSet<String>,
}

impl Section {
    pub fn new(place: Place) -> Self {
        Section {
            place,
            entries: BTreeMap::new(),
            rejected: BTreeSet::new(),
        }
    }

    pub fn set(&mut self, key: impl Into<String>, value: Value, place: Place) {
        self.entries.insert(key.into(), Entry { value, place });
    }
}

/// What the paths of a file are taken from.
#[derive(Debug, Clone)]
pub struct Base {
    /// `/`, or the root folder of another system (an image, a test).
    pub root: PathBuf,
    /// Where the file is; relative paths start there.
    pub folder: PathBuf,
}

impl Base {
    pub fn resolve(&self, path: &str) -> PathBuf {
        match Path::new(path).strip_prefix("/") {
            Ok(inside) => self.root.join(inside),
            Err(_) => self.folder.join(path),
        }
    }
}

/// Checks a TOML value against the shape of its key; tables are `fragment`'s.
///
/// # Errors
/// What is wrong, worded to follow `key: `.
pub fn checked(shape: &Shape, value: &DeValue<'_>, base: &Base) -> Result<Value, String> {
    match (shape, value) {
        (Shape::Text(rule), DeValue::String(text)) => (rule.check)(text)
            .map(|()| Value::Text(text.to_string()))
            .map_err(|why| format!("{} {why}", quote(text))),
        (Shape::Path | Shape::Credential, DeValue::String(text)) => {
            if text.is_empty() || text.chars().any(char::is_control) {
                return Err(format!(
                    "{} is not a path; write one or leave the key out",
                    quote(text)
                ));
            }
            let credential = matches!(shape, Shape::Credential) && !text.contains('/');
            Ok(if credential {
                Value::Text(text.to_string())
            } else {
                Value::Path(base.resolve(text))
            })
        }
        (Shape::Bool, DeValue::Boolean(value)) => Ok(Value::Bool(*value)),
        (Shape::Integer(min, max), DeValue::Integer(number)) => {
            let fitting = i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|number| (min..=max).contains(&number));
            fitting.map(Value::Integer).ok_or_else(|| {
                let shown = show(value);
                format!("{shown} is out of range; expected {}", shape.describe())
            })
        }
        (Shape::Number(min, max), DeValue::Integer(_) | DeValue::Float(_)) => {
            let number = number(value).filter(|number| (min..=max).contains(&number));
            number.map(Value::Number).ok_or_else(|| {
                let shown = show(value);
                format!("{shown} is out of range; expected {}", shape.describe())
            })
        }
        (Shape::Duration(min, max), DeValue::String(text)) => {
            let span = humantime::parse_duration(text).map_err(|why| {
                let text = quote(text);
                format!(
                    "{text} is not a duration ({why}); write it like \"30s\", \"5m\" or \"24h\""
                )
            })?;
            if (*min..=*max).contains(&span) {
                Ok(Value::Duration(span))
            } else {
                let text = quote(text);
                Err(format!(
                    "{text} is out of range; expected {}",
                    shape.describe()
                ))
            }
        }
        (Shape::Duration(..), DeValue::Integer(_) | DeValue::Float(_)) => {
            let shown = show(value);
            Err(format!(
                "{shown} has no unit; write a duration in quotes, like \"30s\", \"5m\" or \"24h\""
            ))
        }
        (Shape::Choice(names), DeValue::String(text)) => {
            if names.contains(&text.as_ref()) {
                return Ok(Value::Text(text.to_string()));
            }
            let text_quoted = quote(text);
            Err(match nearest(text, names.iter().copied()) {
                Some(name) => format!("{text_quoted} is not known; did you mean \"{name}\"?"),
                None => format!("{text_quoted} is not {}", shape.describe()),
            })
        }
        (Shape::Fields, DeValue::Table(_)) => {
            let mut wanted = BTreeMap::new();
            flatten(value, "", &mut wanted)?;
            if wanted.is_empty() {
                return Err("is empty; write { id = 42 } or leave the key out".into());
            }
            Ok(Value::Fields(wanted))
        }
        _ => Err(wrong_type(shape, value, base)),
    }
}

/// `{ device.id = 42 }` and `{ "device.id" = 42 }` mean the same.
fn flatten(
    value: &DeValue<'_>,
    path: &str,
    wanted: &mut BTreeMap<String, FieldValue>,
) -> Result<(), String> {
    if let DeValue::Table(table) = value {
        for (key, value) in table {
            let key: &str = key.get_ref();
            let below = match path {
                "" => key.to_string(),
                _ => format!("{path}.{key}"),
            };
            flatten(value.get_ref(), &below, wanted)?;
        }
        return Ok(());
    }
    let leaf = match value {
        DeValue::String(text) => FieldValue::Text(text.to_string()),
        DeValue::Boolean(value) => FieldValue::Bool(*value),
        other => match number(other).filter(|number| number.is_finite()) {
            Some(number) => FieldValue::Number(number),
            None => {
                let shown = show(other);
                return Err(format!(
                    "{} is compared with {shown}; use a text, a number, true or false",
                    path.escape_debug()
                ));
            }
        },
    };
    (super::rules::JSON_PATH.check)(path).map_err(|why| format!("{} {why}", quote(path)))?;
    wanted.insert(path.to_string(), leaf);
    Ok(())
}

/// The number that an integer or float is; integers beyond 2^53 are rounded.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

pub fn wrong_type(shape: &Shape, value: &DeValue<'_>, base: &Base) -> String {
    let expected = format!("expected {}, found {}", shape.describe(), show(value));
    let hint = match value {
        DeValue::String(text) => match DeValue::parse(text) {
            Ok(inner) if checked(shape, inner.get_ref(), base).is_ok() => {
                Some("; remove the quotes")
            }
            _ => None,
        },
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            let texts = Shape::is_text(shape);
            texts.then_some("; put it in quotes")
        }
        _ => None,
    };
    expected + hint.unwrap_or_default()
}

impl Shape {
    fn is_text(&self) -> bool {
        matches!(
            self,
            Shape::Text(_) | Shape::Path | Shape::Credential | Shape::Choice(_)
        )
    }
}

/// A value as a message shows it.
pub fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quote(text)),
        DeValue::Integer(number) => format!("the number {}", short(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", short(number.as_str())),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// In quotes, on one line, without control characters (a file must not steer the terminal that
/// shows its mistakes), and not endless.
pub fn quote(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn short(number: &str) -> String {
    number.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::super::key::Presence;
    use super::super::schema::every_key;
    use super::*;

    fn check(path: &str, toml: &str) -> Result<Value, String> {
        let base = Base {
            root: "/image".into(),
            folder: "/image/etc/anomalyd".into(),
        };
        let value = DeValue::parse(toml).unwrap();
        let (_, key) = every_key()
            .into_iter()
            .find(|(known, _)| known == path)
            .unwrap();
        checked(&key.shape, value.get_ref(), &base)
    }

    #[test]
    fn every_default_and_example_of_the_schema_passes_its_own_check() {
        for (path, key) in every_key() {
            match key.presence {
                Presence::Default(toml) => assert!(check(&path, toml).is_ok(), "{path}"),
                Presence::Required(toml) if key.shape.keys().is_none() => {
                    assert!(check(&path, toml).is_ok(), "{path}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn paths_start_at_the_file_or_at_the_root() {
        let model = |toml| check("model", toml).unwrap();
        assert_eq!(
            model("'m.pt'"),
            Value::Path("/image/etc/anomalyd/m.pt".into())
        );
        assert_eq!(model("'/srv/m.pt'"), Value::Path("/image/srv/m.pt".into()));
        // Messages about the file would break the line.
        let message = check("model", r#""a\nb""#).unwrap_err();
        assert!(message.contains(r#""a\nb" is not a path"#), "{message}");
    }

    #[test]
    fn messages_say_what_was_found_and_what_to_write() {
        let cases = [
            (
                "frame.hold",
                "'3'",
                "expected a whole number from 0 to 1000000, found the text \"3\"; remove the quotes",
            ),
            (
                "frame.hold",
                "3.5",
                "expected a whole number from 0 to 1000000, found the number 3.5",
            ),
            (
                "frame.hold",
                "0xffffffff",
                "the number 0xffffffff is out of range; expected a whole number from 0 to 1000000",
            ),
            (
                "name",
                "7",
                "expected a text, found the number 7; put it in quotes",
            ),
            (
                "alarm.silent",
                "'yes'",
                "expected true or false, found the text \"yes\"",
            ),
            (
                "period",
                "1",
                "the number 1 has no unit; write a duration in quotes, like \"30s\", \"5m\" or \"24h\"",
            ),
            (
                "period",
                "'0s'",
                "\"0s\" is out of range; expected a duration from \"1ms\" to \"1day\"",
            ),
            (
                "engine",
                "'tensorflow'",
                "\"tensorflow\" is not one of \"auto\", \"native\", \"torch\"",
            ),
            (
                "engine",
                "'Native'",
                "\"Native\" is not known; did you mean \"native\"?",
            ),
            (
                "max_false_alarms_per_week",
                "nan",
                "the number nan is out of range; expected a number from 0.01 to 10080",
            ),
            (
                "source.mqtt.topics.SENSOR.where",
                "{ a = [1] }",
                "a is compared with an array; use a text, a number, true or false",
            ),
        ];
        for (path, toml, message) in cases {
            assert_eq!(check(path, toml).unwrap_err(), message, "{path} = {toml}");
        }
    }

    #[test]
    fn where_takes_nested_and_dotted_paths_alike() {
        let nested = check(
            "source.mqtt.topics.SENSOR.where",
            "{ device.id = 42, on = true }",
        );
        let dotted = check(
            "source.mqtt.topics.SENSOR.where",
            "{ 'device.id' = 42.0, on = true }",
        );
        assert_eq!(nested, dotted);
        let Ok(Value::Fields(wanted)) = nested else {
            panic!("{nested:?}");
        };
        let texts: Vec<_> = wanted
            .iter()
            .map(|(path, value)| format!("{path}={value}"))
            .collect();
        assert_eq!(texts, ["device.id=42", "on=true"]);
    }

    #[test]
    fn quoted_texts_are_short_and_hold_no_control_characters() {
        assert_eq!(quote("a\u{1b}[2J"), "\"a\\u{1b}[2J\"");
        assert!(quote(&"ü".repeat(1000)).chars().count() < 70);
    }
}
