//! Step 2: the fragments of all files as one; of two values of a key the later one holds.
//!
//! Tables are joined key by key, sources of a kind by their `name`; the entry of a sensor is
//! replaced as a whole. Imports `value`.

use super::mistake::Place;
use super::value::{Entry, Section, Value};

impl Section {
    /// What tells it apart from others of its kind.
    pub fn name(&self) -> Option<&str> {
        match &self.entries.get("name")?.value {
            Value::Text(name) => Some(name),
            _ => None,
        }
    }

    pub fn name_place(&self) -> &Place {
        self.entries
            .get("name")
            .map_or(&self.place, |entry| &entry.place)
    }
}

/// Puts `later` over `section`.
pub fn merge(section: &mut Section, later: Section) {
    section.rejected.extend(later.rejected);
    for (key, entry) in later.entries {
        let whole = matches!(key.as_str(), "topics" | "registers" | "sensor");
        match (section.entries.get_mut(&key), entry.value) {
            (
                Some(Entry {
                    value: Value::Section(old),
                    ..
                }),
                Value::Section(new),
            ) => {
                if whole {
                    old.rejected.extend(new.rejected);
                    old.entries.extend(new.entries);
                } else {
                    merge(old, new);
                }
            }
            (
                Some(Entry {
                    value: Value::List(old),
                    ..
                }),
                Value::List(new),
            ) => {
                for new in new {
                    match old.iter_mut().find(|old| old.name() == new.name()) {
                        Some(old) => merge(old, new),
                        None => old.push(new),
                    }
                }
            }
            (_, value) => section.set(key, value, entry.place),
        }
    }
}
