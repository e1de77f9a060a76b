//! Step 1: one file as it stands, every key of it checked by itself.
//!
//! What is wrong is reported and left out, so that one run finds every mistake. Imports `key`, `schema`,
//! `appliance`, `value`, `suggest` and `mistake`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::appliance::{self, APPLIANCE};
use super::key::{Key, Shape};
use super::mistake::{Mistake, Place};
use super::rules::Rule;
use super::schema::{TOP, every_key};
use super::suggest::nearest;
use super::value::{Base, Section, Value, checked, quote, wrong_type};

/// The checked keys of one file.
#[derive(Debug)]
pub struct Fragment {
    pub section: Section,
    pub mistakes: Vec<Mistake>,
    /// Lines that are not TOML: their keys are missing or misread.
    pub broken_lines: BTreeSet<usize>,
}

/// So many are shown one by one; a file with more is no TOML file.
const SYNTAX_MISTAKES: usize = 20;

/// Reads one file's text. Never fails: what cannot be read is among the mistakes.
pub fn parse(text: &str, file: &Arc<Path>, base: &Base) -> Fragment {
    parse_keys(TOP, text, file, base)
}

/// As [`parse`], for a text with other keys at its top.
pub fn parse_keys(keys: &'static [Key], text: &str, file: &Arc<Path>, base: &Base) -> Fragment {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        base,
        lines: std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect(),
        mistakes: Vec::new(),
    };
    let mut broken_lines = BTreeSet::new();
    for error in &errors {
        let place = reader.place(error.span().map_or(text.len(), |span| span.start));
        // The parser stumbles on over the rest of a broken line.
        if broken_lines.insert(place.line) && broken_lines.len() <= SYNTAX_MISTAKES {
            let message = syntax(error.message());
            reader.mistakes.push(Mistake::error(&place, "", message));
        }
    }
    if let Some(more @ 1..) = broken_lines.len().checked_sub(SYNTAX_MISTAKES) {
        let message = format!("{more} more lines are not TOML; is it the right file?");
        reader.mistakes.push(Mistake::of_file(file, message));
    }
    let section = reader.table(keys, table.get_ref(), "", reader.place(0));
    Fragment {
        section,
        mistakes: reader.mistakes,
        broken_lines,
    }
}

/// What the parser says, without what it says about its own grammar.
fn syntax(message: &str) -> String {
    let message = message.trim_end_matches(", expected literal string");
    format!("not TOML: {message}")
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
            (Shape::Texts(rule), DeValue::Array(array)) => self.texts(*rule, array, path),
            (Shape::Texts(rule), DeValue::String(_)) => {
                self.texts(*rule, std::slice::from_ref(value), path)
            }
            (shape, value) => match checked(shape, value, self.base) {
                Ok(value) => Some(value),
                Err(mut message) => {
                    if key.name == "password" {
                        // The journal is no place for one that only lacks its quotes.
                        message =
                            "expected the password in quotes; what is there is not shown".into();
                    }
                    self.mistakes.push(Mistake::error(place, path, message));
                    None
                }
            },
        }
    }

    /// Texts that all follow one rule, each reported in its own line.
    fn texts(&mut self, rule: Rule, array: &[Spanned<DeValue<'_>>], path: &str) -> Option<Value> {
        let mut texts = Vec::new();
        let before = self.mistakes.len();
        for element in array {
            let checked = match element.get_ref() {
                DeValue::String(text) => (rule.check)(text)
                    .map(|()| text.to_string())
                    .map_err(|why| format!("{} {why}", quote(text))),
                other => Err(format!(
                    "expected {}, found {}",
                    rule.what,
                    super::value::show(other)
                )),
            };
            match checked {
                Ok(text) => texts.push(text),
                Err(message) => {
                    let place = self.place(element.span().start);
                    self.mistakes.push(Mistake::error(&place, path, message));
                }
            }
        }
        (self.mistakes.len() == before).then_some(Value::Texts(texts))
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
    if path.is_empty() && name == appliance::TABLE {
        return "is for the file on an appliance's card, which is taken over at the next start; \
                leave it out here"
            .into();
    }
    if path.is_empty() && APPLIANCE.iter().any(|key| key.name == name) {
        return format!("unknown key here; it belongs to [{}]", appliance::TABLE);
    }
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
    let by_sensor = [".topics.", ".registers.", ".sensor."];
    if by_sensor.iter().any(|table| path.contains(table)) {
        let sensor = path.trim_end_matches('.').rsplit('.').next().unwrap_or("");
        return format!(
            "unknown key; if the sensor is called {sensor}.{name}, put its name in quotes: \
             \"{sensor}.{name}\""
        );
    }
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    format!("unknown key; known here: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Fragment {
        let base = Base {
            root: "/".into(),
            folder: "/etc".into(),
        };
        parse(text, &Path::new("a.toml").into(), &base)
    }

    #[test]
    fn lines_are_counted_with_a_byte_order_mark_and_windows_line_ends() {
        let fragment = parsed("\u{feff}# ü\r\nname = \"ü\"\r\n\r\nnane = 1\r\n[alarm]\r\nx = 1");
        let lines: Vec<_> = fragment.mistakes.iter().map(|one| one.line).collect();
        assert_eq!(lines, [Some(4), Some(6)], "{:?}", fragment.mistakes);
        assert_eq!(fragment.section.entries["name"].place.line, 2);
    }

    #[test]
    fn a_file_of_another_kind_is_not_listed_line_by_line() {
        let fragment = parsed(&"2026-01-01T00:00:00Z;7,3;8,1\n".repeat(1000));
        assert_eq!(fragment.mistakes.len(), SYNTAX_MISTAKES + 1);
        assert_eq!(fragment.broken_lines.len(), 1000);
        let last = &fragment.mistakes[SYNTAX_MISTAKES];
        assert!(last.message.starts_with("980 more lines"), "{last}");
    }

    #[test]
    fn keys_in_the_wrong_place_are_sent_to_the_right_one() {
        let message = |text| parsed(text).mistakes[0].message.clone();
        assert!(message("[alarm]\nperiod = '1s'").contains("top of the file"));
        assert!(message("stale_after = '1m'").ends_with("it belongs to [frame]"));
        assert!(message("[source.mqtt.topics]\na.b = 'x'").ends_with("\"a.b\""));
        // `enabled` is known in many tables: no single one can be named.
        assert!(message("enabled = true").contains("known here: name, model"));
    }

    #[test]
    fn a_path_in_a_condition_cannot_steer_the_terminal() {
        let text = "[source.mqtt.topics.A]\ntopic = 'x'\nwhere = { \"\\u001b\" = nan }";
        let message = parsed(text).mistakes[0].to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
    }

    #[test]
    fn keys_are_quoted_where_toml_wants_it() {
        assert_eq!(key_text("LIT-101_a"), "LIT-101_a");
        assert_eq!(key_text("tank 1"), "\"tank 1\"");
        assert_eq!(key_text(""), "\"\"");
    }
}
