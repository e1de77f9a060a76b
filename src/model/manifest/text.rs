//! The manifest as TOML that people can read: one line an edge, one paragraph a sensor, numbers as
//! short as they can be without loss.

use toml::{Table, Value};

use super::{Manifest, SCHEMA};

impl Manifest {
    /// The manifest as TOML; every f64 comes back bit for bit.
    ///
    /// # Errors
    /// A number is too large for TOML.
    pub fn to_toml(&self) -> Result<String, String> {
        let table = Table::try_from(self).map_err(|error| error.to_string())?;
        // TOML wants the plain keys before the first table.
        let mut plain = String::new();
        let mut tables = String::new();
        for (key, value) in &table {
            match value {
                Value::Table(inner) => {
                    tables += &format!("\n[{key}]\n{}", pairs(inner));
                }
                Value::Array(items) if key == "sensors" => {
                    for item in items.iter().filter_map(Value::as_table) {
                        tables += &format!("\n[[{key}]]\n{}", pairs(item));
                    }
                }
                Value::Array(items) if items.iter().any(Value::is_table) => {
                    plain += &format!("{key} = [\n");
                    for item in items {
                        plain += &format!("  {item},\n");
                    }
                    plain += "]\n";
                }
                other => plain += &format!("{key} = {other}\n"),
            }
        }
        Ok(plain + &tables)
    }

    /// Reads a manifest. Keys that are not known are left alone: a newer writer may have added them
    /// without need for an older reader to know.
    ///
    /// # Errors
    /// The schema is another one, the text is not TOML, or a key is missing or of another type; with
    /// line and key.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        #[derive(serde::Deserialize)]
        struct Schema {
            schema: u32,
        }
        let name =
            |error: toml::de::Error| format!("extra/manifest.toml: {}", one_line(text, &error));
        // The schema first: another one may lack what this one demands.
        let Schema { schema } = toml::from_str(text).map_err(name)?;
        if schema > SCHEMA {
            return Err(format!(
                "it has schema {schema}, but this anomalyd knows only {SCHEMA}: update anomalyd, or \
                 train the model with this version"
            ));
        }
        if schema < SCHEMA {
            return Err(format!(
                "it has schema {schema}, which is no longer read (this is {SCHEMA}): train the \
                 model again"
            ));
        }
        toml::from_str(text).map_err(name)
    }
}

fn pairs(table: &Table) -> String {
    table
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect()
}

/// `line 12: missing field …`, without the excerpt that the crate draws.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::example;
    use proptest::prelude::*;

    #[test]
    fn a_manifest_reads_well_and_comes_back() {
        let manifest = example();
        let text = manifest.to_toml().unwrap();
        assert!(text.starts_with("schema = 1\ncreated_by = "), "{text}");
        assert!(
            text.contains("\n  { target = 0, source = 1, weight = 0.62 },\n"),
            "{text}"
        );
        assert!(
            text.contains("\n[charts]\na = { quantile = 1.25, "),
            "{text}"
        );
        assert!(
            text.contains("\n[[sensors]]\nname = \"FIT401\"\nunit = \"m3/h\"\n"),
            "{text}"
        );
        assert!(text.lines().count() < 45, "{text}");
        assert_eq!(Manifest::from_toml(&text).unwrap(), manifest);
    }

    #[test]
    fn another_schema_is_refused_before_all_else() {
        let newer = Manifest::from_toml("schema = 2\nunheard_of = true").unwrap_err();
        assert!(
            newer.contains("schema 2, but this anomalyd knows only 1: update"),
            "{newer}"
        );
        let older = Manifest::from_toml("schema = 0").unwrap_err();
        assert!(
            older.contains("schema 0, which is no longer read"),
            "{older}"
        );
    }

    #[test]
    fn mistakes_name_line_and_key() {
        let text = example().to_toml().unwrap();
        let error =
            Manifest::from_toml(&text.replace("window = 10", "window = \"ten\"")).unwrap_err();
        assert!(
            error.starts_with("extra/manifest.toml: line 7: invalid type"),
            "{error}"
        );
        let error = Manifest::from_toml(&text.replace("period_seconds", "period")).unwrap_err();
        assert!(error.contains("missing field `period_seconds`"), "{error}");
        let error = Manifest::from_toml("schema = ").unwrap_err();
        assert!(error.starts_with("extra/manifest.toml: line 1:"), "{error}");
    }

    #[test]
    fn unknown_keys_are_left_alone() {
        let text = example()
            .to_toml()
            .unwrap()
            .replace("window = 10", "window = 10\nlater = 3");
        assert_eq!(Manifest::from_toml(&text).unwrap(), example());
    }

    proptest! {
        #[test]
        fn every_number_comes_back_bit_for_bit(
            mean in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            name in "\\PC{1,12}",
            unit in "[ -~]{0,6}",
        ) {
            let mut manifest = example();
            manifest.sensors[0].mean = mean;
            manifest.sensors[0].name = name;
            manifest.sensors[0].unit = unit;
            let back = Manifest::from_toml(&manifest.to_toml().unwrap()).unwrap();
            prop_assert_eq!(back.sensors[0].mean.to_bits(), mean.to_bits());
            prop_assert_eq!(back, manifest);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(schema = 1\n)?[a-z\\[\\]={}\"0-9.\n -]{0,80}") {
            let _ = Manifest::from_toml(&text);
        }
    }
}
