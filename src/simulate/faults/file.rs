//! Reads `faults.toml`: a list of `[[fault]]`.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, FaultError, FaultKind};
use crate::simulate::sensors::{SENSORS, column_of};

const KEYS: [&str; 6] = [
    "kind",
    "sensor",
    "sensors",
    "start",
    "duration",
    "magnitude",
];

/// Reads the faults in the file at `path`.
pub fn load(path: &Path) -> Result<Vec<Fault>, FaultError> {
    let text = fs::read_to_string(path).map_err(|source| FaultError::Unreadable {
        path: path.display().to_string(),
        source,
    })?;
    parse(&text, &path.display().to_string())
}

/// Reads the faults in `text`; `path` is for messages.
pub fn parse(text: &str, path: &str) -> Result<Vec<Fault>, FaultError> {
    let place = Place { text, path };
    let document = DeTable::parse(text).map_err(|error| FaultError::Syntax {
        path: path.to_owned(),
        line: place.line(&error.span().unwrap_or_default()),
        message: error.message().to_owned(),
    })?;
    let mut faults: Vec<Fault> = Vec::new();
    for (key, value) in document.get_ref() {
        if key.get_ref() != "fault" {
            let message = "unknown section; faults are written as [[fault]]".to_owned();
            return Err(FaultError::Syntax {
                path: path.to_owned(),
                line: place.line(&key.span()),
                message: format!("{}: {message}", key.get_ref()),
            });
        }
        let Some(entries) = value.get_ref().as_array() else {
            return Err(place.error(&value.span(), "", "write [[fault]] with two brackets"));
        };
        for entry in entries.iter() {
            let Some(table) = entry.get_ref().as_table() else {
                return Err(place.error(&entry.span(), "", "must be a table of kind, sensor, …"));
            };
            let fault = read_fault(table, &entry.span(), &place)?;
            if let Some(column) = clash(&faults, &fault) {
                let message = format!(
                    "{} has another fault at that time; faults of one sensor must not overlap",
                    SENSORS[column].name
                );
                return Err(place.error(&entry.span(), "start", message));
            }
            faults.push(fault);
        }
    }
    Ok(faults)
}

/// A sensor that `fault` and one of `faults` hit at the same time.
fn clash(faults: &[Fault], fault: &Fault) -> Option<usize> {
    let end = |fault: &Fault| fault.start.saturating_add(fault.duration);
    faults
        .iter()
        .filter(|other| other.start < end(fault) && fault.start < end(other))
        .find_map(|other| other.columns.iter().find(|c| fault.columns.contains(c)))
        .copied()
}

fn read_fault(
    table: &DeTable<'_>,
    whole: &Range<usize>,
    place: &Place<'_>,
) -> Result<Fault, FaultError> {
    for key in table.keys() {
        if !KEYS.contains(&key.get_ref().as_ref()) {
            let nearest = nearest(key.get_ref(), KEYS.into_iter());
            let message = format!("unknown key; {nearest}");
            return Err(place.error(&key.span(), key.get_ref(), message));
        }
    }
    let text_of = |key: &'static str, example: &str| match table.get(key) {
        None => Err(place.error(
            whole,
            key,
            format!("is missing; write {key} = \"{example}\""),
        )),
        Some(value) => match value.get_ref().as_str() {
            Some(text) => Ok((text, value.span())),
            None => {
                let message = format!("must be text, such as \"{example}\"");
                Err(place.error(&value.span(), key, message))
            }
        },
    };
    let (name, span) = text_of("kind", "stuck")?;
    let kind = FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
    let Some(kind) = kind else {
        let nearest = nearest(name, FaultKind::ALL.into_iter().map(FaultKind::name));
        let message = format!("no kind of fault is called \"{name}\"; {nearest}");
        return Err(place.error(&span, "kind", message));
    };
    let columns = match (table.get("sensor"), table.get("sensors")) {
        (Some(_), Some(both)) => {
            let message = "give either sensor or sensors, not both";
            return Err(place.error(&both.span(), "sensors", message));
        }
        (None, Some(list)) => read_sensors(list, place)?,
        _ => {
            let (name, span) = text_of("sensor", "LIT101")?;
            vec![read_sensor(name, &span, "sensor", place)?]
        }
    };
    let time_of = |key: &'static str, example: &str| -> Result<Duration, FaultError> {
        let (text, span) = text_of(key, example)?;
        humantime::parse_duration(text).map_err(|error| {
            let message = format!("\"{text}\": {error}; write a time such as \"{example}\"");
            place.error(&span, key, message)
        })
    };
    let fault = Fault {
        kind,
        columns,
        start: time_of("start", "1h30m")?,
        duration: time_of("duration", "20m")?,
        magnitude: match table.get("magnitude") {
            None => None,
            Some(value) => Some(read_number(value, place)?),
        },
    };
    fault.check().map_err(|problem| {
        let at = table.get(problem.key).map_or(whole.clone(), Spanned::span);
        place.error(&at, problem.key, problem.message)
    })?;
    Ok(fault)
}

fn read_sensors(list: &Spanned<DeValue<'_>>, place: &Place<'_>) -> Result<Vec<usize>, FaultError> {
    let wrong = |span: &Range<usize>| {
        let message = "must be a list of names, such as [\"FIT401\", \"LIT401\"]";
        place.error(span, "sensors", message)
    };
    let entries = list
        .get_ref()
        .as_array()
        .ok_or_else(|| wrong(&list.span()))?;
    let mut columns = Vec::new();
    for entry in entries.iter() {
        let name = entry
            .get_ref()
            .as_str()
            .ok_or_else(|| wrong(&entry.span()))?;
        let column = read_sensor(name, &entry.span(), "sensors", place)?;
        if columns.contains(&column) {
            let message = format!("{name} is listed twice; remove one");
            return Err(place.error(&entry.span(), "sensors", message));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn read_sensor(
    name: &str,
    span: &Range<usize>,
    key: &str,
    place: &Place<'_>,
) -> Result<usize, FaultError> {
    column_of(name).ok_or_else(|| {
        let nearest = nearest(name, SENSORS.iter().map(|sensor| sensor.name));
        let message = format!("no sensor is called \"{name}\"; {nearest}");
        place.error(span, key, message)
    })
}

fn read_number(value: &Spanned<DeValue<'_>>, place: &Place<'_>) -> Result<f64, FaultError> {
    let number = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(whole) if whole.radix() == 10 => whole.as_str().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| place.error(&value.span(), "magnitude", "must be a number, such as 2.5"))
}

/// Where in which file, for messages.
struct Place<'a> {
    text: &'a str,
    path: &'a str,
}

impl Place<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    fn error(&self, span: &Range<usize>, key: &str, message: impl Into<String>) -> FaultError {
        FaultError::Entry {
            path: self.path.to_owned(),
            line: self.line(span),
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

/// `did you mean "…"?` with the known word that takes the fewest edits.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let upper = word.to_uppercase();
    let best = known.min_by_key(|candidate| edits(&upper, &candidate.to_uppercase()));
    format!("did you mean \"{}\"?", best.unwrap_or_default())
}

/// Fewest single-letter changes from `a` to `b` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "
# what an engineer would try
[[fault]]
kind = \"stuck\"
sensor = \"LIT101\"
start = \"1h30m\"
duration = \"20m\"

[[fault]]
kind = \"spoofed\"
sensors = [\"FIT401\", \"LIT401\"]
start = \"2h\"
duration = \"90s\"
magnitude = -2
";

    #[test]
    fn faults_are_read() {
        let faults = parse(GOOD, "faults.toml").unwrap();
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].kind, FaultKind::Stuck);
        assert_eq!(faults[0].start, Duration::from_secs(5_400));
        assert_eq!(faults[1].sensor_names(), "FIT401, LIT401");
        assert_eq!(faults[1].magnitude, Some(-2.0));
        assert!(parse("", "faults.toml").unwrap().is_empty());
    }

    #[test]
    fn errors_name_file_line_key_and_remedy() {
        let message = |from: &str, to: &str| {
            parse(&GOOD.replacen(from, to, 1), "faults.toml")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message("\"LIT101\"", "\"LIT11\""),
            "faults.toml:5: fault.sensor: no sensor is called \"LIT11\"; did you mean \"LIT101\"?"
        );
        assert_eq!(
            message("\"stuck\"", "\"stock\""),
            "faults.toml:4: fault.kind: no kind of fault is called \"stock\"; did you mean \"stuck\"?"
        );
        assert_eq!(
            message("magnitude", "magnitud"),
            "faults.toml:14: fault.magnitud: unknown key; did you mean \"magnitude\"?"
        );
        assert_eq!(
            message("kind = \"stuck\"\n", ""),
            "faults.toml:3: fault.kind: is missing; write kind = \"stuck\""
        );
        assert!(message("\"20m\"", "\"20 parsecs\"").starts_with("faults.toml:7: fault.duration:"));
        assert!(message("\"20m\"", "20").contains("must be text, such as \"20m\""));
        assert!(message("-2", "\"two\"").starts_with("faults.toml:14: fault.magnitude: must be"));
        assert!(message("\"LIT401\"", "\"FIT401\"").contains("listed twice"));
        assert!(message("[[fault]]", "[[fault]").starts_with("faults.toml:3: not TOML"));
        assert!(message("[[fault]]", "[[faults]]").contains("written as [[fault]]"));
    }

    #[test]
    fn two_faults_of_a_sensor_must_not_overlap() {
        let text = GOOD
            .replace("sensors = [\"FIT401\", \"LIT401\"]", "sensor = \"LIT101\"")
            .replace("\"2h\"", "\"1h45m\"");
        let error = parse(&text, "faults.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("faults.toml:9: fault.start: LIT101 has another"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nonexistent/faults.toml")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/nonexistent/faults.toml: cannot be read")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = parse(&text, "faults.toml");
        }

        #[test]
        fn a_damaged_file_gives_an_error_or_sound_faults(at in 0..GOOD.len(), byte in 32_u8..127) {
            let mut damaged = GOOD.as_bytes().to_vec();
            damaged[at] = byte;
            if let Ok(faults) = parse(&String::from_utf8(damaged).unwrap(), "faults.toml") {
                for fault in faults {
                    prop_assert!(fault.check().is_ok());
                }
            }
        }
    }
}
