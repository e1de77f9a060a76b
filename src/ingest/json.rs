//! JSON as flat leaves: every number, text, boolean and null with the path that leads to it.
//!
//! `{"tank": {"level": 3, "pumps": [true]}}` has the leaves `tank.level` and `tank.pumps[0]`. NDJSON
//! looks sensors up by these paths, MQTT finds the one that a sensor is configured with. Memory is
//! reused from one document to the next, and bounded whatever a document holds.
//! Imports its sibling `value` only.

mod path;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::value::{Reading, parse_value};

pub use path::{JsonPath, JsonPathError};

/// Leaves of one document. A plant of 51 sensors has some hundreds at most.
const LEAVES: usize = 16_384;
/// Bytes of one path.
const PATH_BYTES: usize = 512;

/// A leaf's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Leaf<'a> {
    Number(f64),
    Bool(bool),
    Null,
    Text(&'a str),
}

impl<'a> Leaf<'a> {
    /// What the leaf says as a sensor's reading: booleans are 1 and 0, and text is read by the
    /// rule for all text ("3.2", "ON", "unavailable").
    pub fn reading(self) -> Reading {
        match self {
            Leaf::Number(value) if value.is_finite() => Reading::Value(value),
            Leaf::Number(_) | Leaf::Null => Reading::Missing,
            Leaf::Bool(on) => Reading::Value(f64::from(u8::from(on))),
            Leaf::Text(text) => parse_value(text),
        }
    }

    /// For the log. Borrows where the leaf is no number.
    pub fn shown(self) -> Cow<'a, str> {
        match self {
            Leaf::Number(value) => Cow::Owned(value.to_string()),
            Leaf::Bool(true) => Cow::Borrowed("true"),
            Leaf::Bool(false) => Cow::Borrowed("false"),
            Leaf::Null => Cow::Borrowed("null"),
            Leaf::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// The leaves of one JSON document, in its order.
#[derive(Debug, Default)]
pub struct Leaves {
    entries: Vec<Entry>,
    /// All paths and texts, one after the other.
    text: String,
    /// The path to where the parser is.
    path: String,
    /// The document with null for its numbers that are not finite.
    repaired: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    path: Range<usize>,
    value: EntryValue,
}

#[derive(Debug)]
enum EntryValue {
    Number(f64),
    Bool(bool),
    Null,
    Text(Range<usize>),
}

impl Leaves {
    /// Replaces the leaves by those of `document`, one JSON value.
    ///
    /// `NaN`, `-Infinity`, `nan`, `inf`, `1e999` and the like are read as null although JSON has no
    /// such thing, because Python and C write them: one missing value must not cost the whole row.
    pub fn parse(&mut self, document: &[u8]) -> Result<(), serde_json::Error> {
        let Err(error) = self.parse_strictly(document) else {
            return Ok(());
        };
        let mut repaired = std::mem::take(&mut self.repaired);
        let result = if replace_not_finite(document, &mut repaired) {
            self.parse_strictly(&repaired)
        } else {
            Err(error)
        };
        self.repaired = repaired;
        if result.is_err() {
            self.entries.clear();
        }
        result
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Leaf<'_>)> {
        self.entries
            .iter()
            .map(|entry| (&self.text[entry.path.clone()], self.leaf(entry)))
    }

    /// The leaf at `path`; of several the last, as JSON parsers do.
    pub fn get(&self, path: &str) -> Option<Leaf<'_>> {
        // Most paths differ in length, which costs no look at the text.
        let here = |entry: &&Entry| {
            entry.path.len() == path.len() && &self.text[entry.path.clone()] == path
        };
        let entry = self.entries.iter().rev().find(here)?;
        Some(self.leaf(entry))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn leaf(&self, entry: &Entry) -> Leaf<'_> {
        match &entry.value {
            EntryValue::Number(value) => Leaf::Number(*value),
            EntryValue::Bool(on) => Leaf::Bool(*on),
            EntryValue::Null => Leaf::Null,
            EntryValue::Text(range) => Leaf::Text(&self.text[range.clone()]),
        }
    }

    fn parse_strictly(&mut self, document: &[u8]) -> Result<(), serde_json::Error> {
        self.entries.clear();
        self.text.clear();
        self.path.clear();
        match std::str::from_utf8(document) {
            // Checked as a whole, where the parser would check each key.
            Ok(text) => self.walk(serde_json::Deserializer::from_str(text)),
            Err(_) => self.walk(serde_json::Deserializer::from_slice(document)),
        }
    }

    fn walk<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        mut deserializer: serde_json::Deserializer<R>,
    ) -> Result<(), serde_json::Error> {
        Walk(self).deserialize(&mut deserializer)?;
        deserializer.end()
    }

    fn push<E: serde::de::Error>(&mut self, value: EntryValue) -> Result<(), E> {
        if self.entries.len() == LEAVES {
            return Err(E::custom(format_args!("more than {LEAVES} values")));
        }
        let start = self.text.len();
        self.text.push_str(&self.path);
        self.entries.push(Entry {
            path: start..self.text.len(),
            value,
        });
        Ok(())
    }
}

/// Reads one JSON value at the current path.
struct Walk<'a>(&'a mut Leaves);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<(), E> {
        self.0.push(EntryValue::Bool(on))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.0.push(EntryValue::Number(value as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.0.push(EntryValue::Number(value as f64))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.0.push(EntryValue::Number(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.push(EntryValue::Null)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let start = self.0.text.len();
        self.0.text.push_str(text);
        let range = start..self.0.text.len();
        self.0.push(EntryValue::Text(range))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let outer = self.0.path.len();
        for index in 0_usize.. {
            // Writing to a String cannot fail.
            let _ = write!(self.0.path, "[{index}]");
            check_path(&self.0.path)?;
            let more = items.next_element_seed(Walk(self.0))?;
            self.0.path.truncate(outer);
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let outer = self.0.path.len();
        while members.next_key_seed(Step(&mut self.0.path))?.is_some() {
            check_path(&self.0.path)?;
            members.next_value_seed(Walk(self.0))?;
            self.0.path.truncate(outer);
        }
        Ok(())
    }
}

/// Appends an object's key to the path.
struct Step<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Step<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(key);
        Ok(())
    }
}

/// Every leaf stores its path, so a long one would multiply what a small document needs.
fn check_path<E: serde::de::Error>(path: &str) -> Result<(), E> {
    if path.len() > PATH_BYTES {
        return Err(E::custom(format_args!(
            "a key path of more than {PATH_BYTES} bytes"
        )));
    }
    Ok(())
}

/// Copies `document` to `out` with every number outside of strings that is not finite as null.
/// Says whether there were any.
fn replace_not_finite(document: &[u8], out: &mut Vec<u8>) -> bool {
    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    out.clear();
    let (mut found, mut rest) = (false, document);
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => string_length(rest),
            _ => rest.iter().take_while(|byte| in_token(byte)).count().max(1),
        };
        let (token, after) = rest.split_at(length);
        let number = std::str::from_utf8(token).map(str::parse::<f64>);
        if matches!(number, Ok(Ok(number)) if !number.is_finite()) {
            out.extend_from_slice(b"null");
            found = true;
        } else {
            out.extend_from_slice(token);
        }
        rest = after;
    }
    found
}

/// Bytes of the string that `text` starts with, both quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests;
