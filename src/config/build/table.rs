//! One table of the merged file, with the schema's defaults for what was not set.
//!
//! Imports `key`, `value` and `mistake`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::Surroundings;
use crate::config::key::{Key, Presence, Shape};
use crate::config::mistake::{Mistake, Place};
use crate::config::value::{Section, Value, checked};

/// One table of the merged file.
pub struct Table<'a> {
    pub section: &'a Section,
    keys: &'static [Key],
    /// With a dot at the end, or empty for the top.
    path: String,
    pub around: &'a Surroundings,
}

impl<'a> Table<'a> {
    pub fn new(
        section: &'a Section,
        keys: &'static [Key],
        path: impl Into<String>,
        around: &'a Surroundings,
    ) -> Self {
        Table {
            section,
            keys,
            path: path.into(),
            around,
        }
    }

    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// Where the key was set.
    pub fn set_at(&self, name: &str) -> Option<&'a Place> {
        self.section.entries.get(name).map(|entry| &entry.place)
    }

    /// Where the key was set, or else where its table starts.
    pub fn place(&self, name: &str) -> &'a Place {
        self.set_at(name).unwrap_or(&self.section.place)
    }

    /// The value that was set, or else the schema's default.
    pub fn value(&self, name: &str) -> Option<Value> {
        if let Some(entry) = self.section.entries.get(name) {
            return Some(entry.value.clone());
        }
        let key = self.keys.iter().find(|key| key.name == name)?;
        let Presence::Default(toml) = key.presence else {
            return None;
        };
        let value = DeValue::parse(toml).ok()?;
        checked(&key.shape, value.get_ref(), &self.around.base).ok()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match self.value(name)? {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    pub fn is(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    /// The schema keeps the number within the type.
    pub fn whole<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        match self.value(name)? {
            Value::Integer(number) => T::try_from(number).ok(),
            _ => None,
        }
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        match self.value(name)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name)? {
            Value::Duration(span) => Some(span),
            _ => None,
        }
    }

    pub fn zone(&self, name: &str) -> Option<TimeZone> {
        let name = self.text(name)?;
        if name == "UTC" {
            return Some(TimeZone::UTC);
        }
        TimeZone::get(&name).ok()
    }

    /// The table below `name`, when it is there.
    pub fn table(&self, name: &str) -> Option<Table<'a>> {
        let key = self.keys.iter().find(|key| key.name == name)?;
        match (&self.section.entries.get(name)?.value, &key.shape) {
            (Value::Section(section), Shape::Table(keys)) => Some(Table::new(
                section,
                keys,
                format!("{}{name}.", self.path),
                self.around,
            )),
            _ => None,
        }
    }

    /// As `table`, with nothing but defaults when it is not there.
    pub fn table_or(&self, name: &str, empty: &'a Section) -> Table<'a> {
        self.table(name).unwrap_or_else(|| {
            let key = self.keys.iter().find(|key| key.name == name);
            let keys = key.and_then(|key| key.shape.keys()).unwrap_or_default();
            Table::new(empty, keys, format!("{}{name}.", self.path), self.around)
        })
    }

    /// The tables of all sources of a kind, or of all sensors (by name).
    pub fn tables(&self, name: &str) -> Vec<(&'a str, Table<'a>)> {
        let Some(key) = self.keys.iter().find(|key| key.name == name) else {
            return Vec::new();
        };
        let keys = key.shape.keys().unwrap_or_default();
        let below = |section, path| Table::new(section, keys, path, self.around);
        let path = self.key(name);
        match self.section.entries.get(name).map(|entry| &entry.value) {
            Some(Value::List(sections)) => sections
                .iter()
                .map(|section| {
                    (
                        section.name().unwrap_or_default(),
                        below(section, format!("{path}.")),
                    )
                })
                .collect(),
            Some(Value::Section(sensors)) => sensors
                .entries
                .iter()
                .filter_map(|(sensor, entry)| match &entry.value {
                    Value::Section(section) => {
                        let path = format!("{path}.{}.", crate::config::fragment::key_text(sensor));
                        Some((sensor.as_str(), below(section, path)))
                    }
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Reports the required keys that are not there.
    pub fn require(&self, mistakes: &mut Vec<Mistake>) {
        for key in self.keys {
            let Presence::Required(example) = key.presence else {
                continue;
            };
            let given = self.section.entries.contains_key(key.name)
                || self.section.rejected.contains(key.name);
            if !given && !self.around.broken {
                let message = format!("missing; add {} = {example}", key.name);
                mistakes.push(Mistake::error(
                    &self.section.place,
                    self.key(key.name),
                    message,
                ));
            }
        }
    }

    /// Reports the file of a key that is set but not there.
    pub fn exists(&self, name: &str, path: &Path, remedy: &str, mistakes: &mut Vec<Mistake>) {
        if !path.exists() {
            let message = format!("{} is not there; {remedy}", path.display());
            mistakes.push(Mistake::error(self.place(name), self.key(name), message));
        }
    }
}
