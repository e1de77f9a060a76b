//! Step 1: one file as it stands, every key of it checked by itself.
//!
//! What is wrong is reported and left out, so that one run finds every mistake. Imports `schema`,
//! `value`, `suggest` and `mistake`.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place};
use super::schema::{Key, Shape, TOP, every_key};
use super::suggest::nearest;
use super::value::{Base, Section, Value, checked, quote, wrong_type};

/// The checked keys of one file.
#[derive(Debug)]
pub struct Fragment {
    pub section: Section,
    pub mistakes: Vec<Mistake>,
    /// Not all of the text could be read: keys may be missing that are there.
    pub broken: bool,
}

/// Reads one file's text. Never fails: what cannot be read is among the mistakes.
pub fn parse(text: &str, file: &Arc<Path>, base: &Base) -> Fragment {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        base,
        lines: std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect(),
        mistakes: Vec::new(),
    };
    let mut broken_lines = Vec::new();
    for error in &errors {
        let place = reader.place(error.span().map_or(text.len(), |span| span.start));
        // The parser stumbles on over the rest of a broken line.
        if !broken_lines.contains(&place.line) {
            let message = format!("not TOML: {}", error.message());
            reader.mistakes.push(Mistake::error(&place, "", message));
            broken_lines.push(place.line);
        }
    }
    let syntax = reader.mistakes.len();
    let section = reader.table(TOP, table.get_ref(), "", reader.place(0));
    let mut mistakes = reader.mistakes;
    let mut index = 0;
    mistakes.retain(|mistake| {
        index += 1;
        index <= syntax
            || !mistake
                .line
                .is_some_and(|line| broken_lines.contains(&line))
    });
    Fragment {
        section,
        mistakes,
        broken: !errors.is_empty(),
    }
}

struct Reader<'a> {
    file: &'a Arc<Path>,
    base: &'a Base,
    /// Where each line starts.
    lines: Vec<usize>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        Place {
            file: self.file.clone(),
            line: self.lines.partition_point(|start| *start <= offset),
        }
    }

    /// Checks the keys of one table; `path` is its own, with a dot at the end.
    fn table(
        &mut self,
        keys: &'static [Key],
        table: &DeTable<'_>,
        path: &str,
        place: Place,
    ) -> Section {
        let mut section = Section::new(place);
        for (name, value) in table {
            let place = self.place(name.span().start);
            let name: &str = name.get_ref();
            let full = format!("{path}{}", key_text(name));
            let Some(key) = keys.iter().find(|key| key.name == name) else {
                let near = nearest(name, keys.iter().map(|key| key.name));
                let message = match near {
                    Some(near) => format!("unknown key; did you mean \"{near}\"?"),
                    None => unknown(keys, name, path),
                };
                self.mistakes.push(Mistake::error(&place, full, message));
                section.rejected.insert(near.unwrap_or(name).to_string());
                continue;
            };
            match self.value(key, value, &full, &place) {
                Some(value) => section.set(name, value, place),
                None => {
                    section.rejected.insert(name.to_string());
                }
            }
        }
        section
    }

    fn value(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        place: &Place,
    ) -> Option<Value> {
        match (&key.shape, value.get_ref()) {
            (Shape::Table(keys), DeValue::Table(table)) => {
                let section = self.table(keys, table, &format!("{path}."), place.clone());
                Some(Value::Section(section))
            }
            (Shape::Instances(keys), DeValue::Table(table)) => {
                Some(Value::List(vec![self.instance(
                    key.name,
                    keys,
                    table,
                    path,
                    place.clone(),
                )]))
            }
            (Shape::Instances(keys), DeValue::Array(array)) => {
                let list = self.instances(key, keys, array, path);
                // Nothing but mistakes; an empty array is a way to write "none".
                (!list.is_empty() || array.is_empty()).then_some(Value::List(list))
            }
            (Shape::Sensors { keys, short }, DeValue::Table(table)) => {
                let mut sensors = Section::new(place.clone());
                for (name, value) in table {
                    let place = self.place(name.span().start);
                    let name: &str = name.get_ref();
                    let path = format!("{path}.{}", key_text(name));
                    match self.sensor(keys, *short, value, &path, &place) {
                        Some(section) => sensors.set(name, Value::Section(section), place),
                        None => {
                            sensors.rejected.insert(name.to_string());
                        }
                    }
                }
                Some(Value::Section(sensors))
            }
            (shape, value) => match checked(shape, value, self.base) {
                Ok(value) => Some(value),
                Err(message) => {
                    self.mistakes.push(Mistake::error(place, path, message));
                    None
                }
            },
        }
    }

    /// One source of a kind, which has its kind's name when it has no own.
    fn instance(
        &mut self,
        kind: &str,
        keys: &'static [Key],
        table: &DeTable<'_>,
        path: &str,
        place: Place,
    ) -> Section {
        let mut section = self.table(keys, table, &format!("{path}."), place);
        if section.name().is_none() {
            let place = section.place.clone();
            section.set("name", Value::Text(kind.to_string()), place);
        }
        section
    }

    fn instances(
        &mut self,
        key: &Key,
        keys: &'static [Key],
        array: &[Spanned<DeValue<'_>>],
        path: &str,
    ) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        for element in array {
            let place = self.place(element.span().start);
            let DeValue::Table(table) = element.get_ref() else {
                let message = wrong_type(&key.shape, element.get_ref(), self.base);
                self.mistakes.push(Mistake::error(&place, path, message));
                continue;
            };
            let section = self.instance(key.name, keys, table, path, place);
            let same = sections.iter().find(|other| other.name() == section.name());
            if let Some(other) = same {
                let message = format!(
                    "has the same name as the one in line {}; give each its own `name`",
                    other.place.line
                );
                let place = section.name_place();
                self.mistakes.push(Mistake::error(place, path, message));
            } else {
                sections.push(section);
            }
        }
        sections
    }

    /// The table of one sensor, or the text that stands for its first key.
    fn sensor(
        &mut self,
        keys: &'static [Key],
        short: bool,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        place: &Place,
    ) -> Option<Section> {
        match (value.get_ref(), keys.first()) {
            (DeValue::Table(table), _) => {
                Some(self.table(keys, table, &format!("{path}."), place.clone()))
            }
            (DeValue::String(_), Some(first)) if short => {
                let value = self.value(first, value, path, place)?;
                let mut section = Section::new(place.clone());
                section.set(first.name, value, place.clone());
                Some(section)
            }
            (other, first) => {
                let example = match first {
                    Some(first) if short => format!("a text or {{ {} = … }}", first.name),
                    Some(first) => format!("{{ {} = … }}", first.name),
                    None => "a table".into(),
                };
                let message = format!("expected {example}, found {}", super::value::show(other));
                self.mistakes.push(Mistake::error(place, path, message));
                None
            }
        }
    }
}

/// A key as it has to be written.
pub fn key_text(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_string()
    } else {
        quote(name)
    }
}

/// The message for a key that `path` (with a dot at the end) does not have, nor one like it.
fn unknown(keys: &[Key], name: &str, path: &str) -> String {
    if TOP.iter().any(|key| key.name == name) {
        return "unknown key here; it belongs to the top of the file, above the first [table]"
            .into();
    }
    let mut elsewhere = every_key().into_iter().filter_map(|(known, _)| {
        let (table, last) = known.rsplit_once('.')?;
        (last == name && !table.contains("SENSOR")).then(|| table.to_string())
    });
    if let (Some(table), None) = (elsewhere.next(), elsewhere.next()) {
        return format!("unknown key here; it belongs to [{table}]");
    }
    if path.contains(".topics.") || path.contains(".sensor.") {
        let sensor = path.trim_end_matches('.').rsplit('.').next().unwrap_or("");
        return format!(
            "unknown key; if the sensor is called {sensor}.{name}, put its name in quotes: \
             \"{sensor}.{name}\""
        );
    }
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    format!("unknown key; known here: {}", known.join(", "))
}
