//! What there is to say of one key of the configuration file: what it may hold, what is taken where it is not
//! there, and its row in `docs/configuration.md`. Imports `rules` only.

use std::time::Duration;

use super::rules::Rule;

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub presence: Presence,
    /// One sentence for the documentation.
    pub meaning: &'static str,
}

/// What happens when the key is not there.
#[derive(Debug, Clone, Copy)]
pub enum Presence {
    /// A mistake; the text is an example value in TOML.
    Required(&'static str),
    /// Nothing; the text says what is used instead, for the documentation.
    Optional(&'static str),
    /// This value, in TOML.
    Default(&'static str),
}

/// What a key may hold.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text(Rule),
    /// An array of texts, each of which follows the rule; or one such text.
    Texts(Rule),
    /// A relative path is taken from the folder of the file it is written in.
    Path,
    /// As `Path`; a bare name is looked up among the service's systemd credentials first.
    Credential,
    Bool,
    Integer(i64, i64),
    Number(f64, f64),
    /// `"1s"`, `"24h"`
    Duration(Duration, Duration),
    Choice(&'static [&'static str]),
    /// JSON path = wanted text, number or boolean.
    Fields,
    Table(&'static [Key]),
    /// A table, or an array of tables that differ in `name`.
    Instances(&'static [Key]),
    /// A table with a sensor's name as key: `{ … }`, or a text that stands for the first of the
    /// keys where `short` is set.
    Sensors {
        keys: &'static [Key],
        short: bool,
    },
}

pub const fn key(
    name: &'static str,
    shape: Shape,
    presence: Presence,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        shape,
        presence,
        meaning,
    }
}

impl Shape {
    /// With its article: `a whole number from 1 to 5`.
    pub fn describe(&self) -> String {
        let quoted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            names.join(", ")
        };
        match self {
            Shape::Text(rule) => rule.what.into(),
            Shape::Texts(rule) => format!("{}, or an array of such", rule.what),
            Shape::Path => "a path".into(),
            Shape::Credential => "a path or a credential's name".into(),
            Shape::Bool => "true or false".into(),
            Shape::Integer(min, i64::MAX) => format!("a whole number from {min}"),
            Shape::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Shape::Number(f64::MIN, f64::MAX) => "a number".into(),
            Shape::Number(min, max) => format!("a number from {min} to {max}"),
            Shape::Duration(min, max) => format!(
                "a duration from \"{}\" to \"{}\"",
                humantime::format_duration(*min),
                humantime::format_duration(*max)
            ),
            Shape::Choice(names) => format!("one of {}", quoted(names)),
            Shape::Fields => "a table of path = value".into(),
            Shape::Table(_) => "a table".into(),
            Shape::Instances(_) => "a table, or an array of tables".into(),
            Shape::Sensors { short: true, keys } => {
                let short = keys.first().map_or("…", |key| key.name);
                format!("a table of sensor = {short}")
            }
            Shape::Sensors { short: false, .. } => "a table of tables".into(),
        }
    }

    /// The keys of the table, or of each table, that this shape is.
    pub fn keys(&self) -> Option<&'static [Key]> {
        match self {
            Shape::Table(keys) | Shape::Instances(keys) | Shape::Sensors { keys, .. } => Some(keys),
            _ => None,
        }
    }
}

/// The row of a key in `docs/configuration.md`.
pub fn documentation_row(path: &str, key: &Key) -> String {
    let default = match key.presence {
        Presence::Required(example) => format!("**required**, like `{example}`"),
        Presence::Optional(instead) => instead.to_string(),
        Presence::Default(value) => format!("`{value}`"),
    };
    let shape = key.shape.describe();
    format!("| `{path}` | {shape} | {default} | {} |", key.meaning)
}
