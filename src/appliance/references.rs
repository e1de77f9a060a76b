//! Files that the configuration names and that lie beside it on the card: a model, a certificate, a
//! password. Imports `config`, whose table of keys says which these are.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::key::{Key, Shape};
use crate::config::schema;

/// What a file is for decides where it goes and who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Model,
    Certificate,
    /// The name may be that of a systemd credential as well.
    Password,
    Faults,
}

impl Kind {
    /// Where its files are kept.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Model => "/var/lib/anomalyd/models",
            Kind::Certificate | Kind::Password | Kind::Faults => "/etc/anomalyd",
        }
    }

    /// More than such a file ever has.
    pub fn largest_bytes(self) -> u64 {
        match self {
            Kind::Model => 64 << 20,
            Kind::Certificate | Kind::Faults => 1 << 20,
            Kind::Password => 64 << 10,
        }
    }
}

/// A relative path in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub kind: Kind,
    /// Dotted, as in `source.mqtt.ca_file`.
    pub key: String,
    pub line: usize,
    /// Of the value, its quotes included.
    pub span: Range<usize>,
    pub path: String,
}

impl Reference {
    /// Whether the path is a name alone, which a file on the card can have.
    pub fn is_plain_name(&self) -> bool {
        !self.path.contains(['/', '\\', ':']) && !self.path.starts_with('.')
    }
}

/// All of them, in the order of the text. None when it is not TOML, which others report.
pub fn find(text: &str) -> Vec<Reference> {
    let Ok(table) = DeTable::parse(text) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    walk(table.get_ref(), schema::TOP, "", &mut |key, path, value| {
        let Some(kind) = kind_of(key) else { return };
        let DeValue::String(name) = value.get_ref() else {
            return;
        };
        if name.is_empty() || name.starts_with('/') || name.chars().any(char::is_control) {
            return;
        }
        let span = value.span();
        found.push(Reference {
            kind,
            key: path,
            line: 1 + text[..span.start].matches('\n').count(),
            span,
            path: name.to_string(),
        });
    });
    found.sort_by_key(|one| one.span.start);
    found
}

/// None for what never lies on a card: folders, sockets, a growing file of the plant's.
fn kind_of(key: &Key) -> Option<Kind> {
    match (key.shape, key.name) {
        (Shape::Credential, _) => Some(Kind::Password),
        (Shape::Path, "model") => Some(Kind::Model),
        (Shape::Path, "ca_file") => Some(Kind::Certificate),
        (Shape::Path, "faults") => Some(Kind::Faults),
        _ => None,
    }
}

/// Shows each key of `keys` that `table` has, and those of the tables below it, with its dotted path.
fn walk(
    table: &DeTable<'_>,
    keys: &'static [Key],
    above: &str,
    see: &mut impl FnMut(&'static Key, String, &Spanned<DeValue<'_>>),
) {
    for key in keys {
        let Some(value) = table.get(key.name) else {
            continue;
        };
        let path = format!("{above}{}", key.name);
        if let Some(below) = key.shape.keys() {
            for table in tables(value) {
                walk(table, below, &format!("{path}."), see);
            }
        } else {
            see(key, path, value);
        }
    }
}

fn as_table<'a, 'b>(value: &'a Spanned<DeValue<'b>>) -> Option<&'a DeTable<'b>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// A table, or an array of them.
fn tables<'a, 'b>(value: &'a Spanned<DeValue<'b>>) -> Vec<&'a DeTable<'b>> {
    match value.get_ref() {
        DeValue::Table(table) => vec![table],
        DeValue::Array(array) => array.iter().filter_map(as_table).collect(),
        _ => Vec::new(),
    }
}

/// `text` with other paths in the places of the references; the line of everything stays.
pub fn with_paths(text: &str, paths: &[(Range<usize>, String)]) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (span, path) in paths {
        replaced.push_str(&text[from..span.start]);
        replaced.push_str(&toml::Value::String(path.clone()).to_string());
        from = span.end;
    }
    replaced.push_str(&text[from..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "model = 'plant.pt' # ü\n[[source.mqtt]]\nca_file = \"/etc/ca.pem\"\n\
                        password_file = 'mqtt'\n[[source.mqtt]]\nname = 'b'\nca_file = \"\"\"sub/ca.pem\"\"\"\n\
                        [source.simulator]\nfaults = '..'\n";

    #[test]
    fn relative_paths_are_found_and_replaced_where_they_stand() {
        let found = find(TEXT);
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.key.as_str(), one.line, one.path.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("model", 1, "plant.pt"),
                ("source.mqtt.password_file", 4, "mqtt"),
                ("source.mqtt.ca_file", 7, "sub/ca.pem"),
                ("source.simulator.faults", 9, ".."),
            ]
        );
        let plain: Vec<_> = found.iter().map(Reference::is_plain_name).collect();
        assert_eq!(plain, [true, true, false, false]);
        let paths: Vec<_> = found
            .iter()
            .map(|one| (one.span.clone(), format!("/x/{}", one.path)))
            .collect();
        let replaced = with_paths(TEXT, &paths);
        assert!(
            replaced.starts_with("model = \"/x/plant.pt\" # ü\n"),
            "{replaced}"
        );
        assert_eq!(replaced.lines().count(), TEXT.lines().count());
        assert_eq!(find(&replaced), []);
    }

    /// A key that is new comes here by itself or on the list below.
    #[test]
    fn every_file_of_the_configuration_is_one_of_the_card_or_is_not_meant() {
        let not_meant = [
            "torch_worker",
            "state_directory",
            "control_socket",
            "source.csv.path",
        ];
        let mut meant = Vec::new();
        for (path, key) in schema::every_key() {
            match kind_of(key) {
                Some(kind) => meant.push((path, kind)),
                None if matches!(key.shape, Shape::Path) => {
                    assert!(not_meant.contains(&path.as_str()), "{path}");
                }
                None => {}
            }
        }
        for (path, kind) in [
            ("output.mqtt.password_file", Kind::Password),
            ("output.otlp.headers_file", Kind::Password),
            ("output.otlp.ca_file", Kind::Certificate),
            ("web.password_file", Kind::Password),
        ] {
            assert!(meant.contains(&(path.to_owned(), kind)), "{path}");
            let (table, name) = path.rsplit_once('.').unwrap();
            let found = find(&format!("[{table}]\n{name} = 'one'\n"));
            assert_eq!(found.len(), 1, "{path}");
            assert_eq!((found[0].key.as_str(), found[0].kind), (path, kind));
        }
    }

    #[test]
    fn what_is_no_table_has_none() {
        for text in [
            "model = 1",
            "source = 1",
            "source.mqtt = [1]",
            "model = ''",
            "model =",
            "",
        ] {
            assert_eq!(find(text), [], "{text}");
        }
    }
}
