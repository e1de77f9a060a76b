//! Where in a JSON payload a sensor's value stands, as written in the configuration.
//! Imports nothing from the crate.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// A path such as `status.relays[0].power`, in the spelling that [`Leaves`](super::Leaves) gives
/// its leaves.
///
/// Keys are separated by dots; `[n]` is the item of an array, counted from 0; `["a key"]` is a key
/// that holds dots or brackets; a leading `$.` as in JSONPath may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(String);

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPathError {
    #[error("the path is empty; name the key that holds the value")]
    Empty,
    #[error("a key is missing at character {at} of {path:?}")]
    NoKey { path: String, at: usize },
    #[error(
        "expected an array index such as [0] or a quoted key such as [\"a.b\"] at character {at} of {path:?}"
    )]
    Bracket { path: String, at: usize },
    #[error("expected a dot or [ at character {at} of {path:?}")]
    NoSeparator { path: String, at: usize },
}

impl JsonPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JsonPath {
    type Err = JsonPathError;

    fn from_str(path: &str) -> Result<Self, JsonPathError> {
        let at = |rest: &str| path[..path.len() - rest.len()].chars().count() + 1;
        let mut canonical = String::with_capacity(path.len());
        let mut rest = match path.strip_prefix('$') {
            Some(after) if after.starts_with(['.', '[']) => {
                after.strip_prefix('.').unwrap_or(after)
            }
            _ => path,
        };
        if rest.is_empty() {
            return Err(JsonPathError::Empty);
        }
        // True where a key may stand without a bracket: at the start and after a dot.
        let mut wants_key = true;
        while !rest.is_empty() || wants_key {
            if rest.starts_with('[') && (!wants_key || canonical.is_empty()) {
                let (step, after) = bracket(rest).ok_or_else(|| JsonPathError::Bracket {
                    path: path.to_owned(),
                    at: at(rest),
                })?;
                match step {
                    // Writing to a String cannot fail.
                    Step::Index(index) => drop(write!(canonical, "[{index}]")),
                    Step::Key(key) => push_key(&mut canonical, key),
                }
                rest = after;
            } else if wants_key {
                let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(JsonPathError::NoKey {
                        path: path.to_owned(),
                        at: at(rest),
                    });
                }
                push_key(&mut canonical, &rest[..end]);
                rest = &rest[end..];
            } else {
                return Err(JsonPathError::NoSeparator {
                    path: path.to_owned(),
                    at: at(rest),
                });
            }
            wants_key = false;
            if let Some(after) = rest.strip_prefix('.') {
                rest = after;
                wants_key = true;
            }
        }
        Ok(JsonPath(canonical))
    }
}

enum Step<'a> {
    Index(usize),
    Key(&'a str),
}

/// The step in brackets at the start of `text`, and what follows it.
fn bracket(text: &str) -> Option<(Step<'_>, &str)> {
    let inner = text.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote)?;
            return Some((Step::Key(key), after.strip_prefix(']')?));
        }
    }
    let (digits, after) = inner.split_once(']')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Step::Index(digits.parse().ok()?), after))
}

fn push_key(canonical: &mut String, key: &str) {
    if !canonical.is_empty() {
        canonical.push('.');
    }
    canonical.push_str(key);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_read_into_one_spelling() {
        for (written, canonical) in [
            ("temperature", "temperature"),
            ("status.relays[0].power", "status.relays[0].power"),
            ("params.switch:0.apower", "params.switch:0.apower"),
            ("$.a.b", "a.b"),
            ("$[2].b", "[2].b"),
            ("a[007][1]", "a[7][1]"),
            ("[\"a.b\"].c", "a.b.c"),
            ("x['y z'][0]", "x.y z[0]"),
            ("DS18B20-1.Temperature", "DS18B20-1.Temperature"),
            ("$price", "$price"),
            ("größe.höhe", "größe.höhe"),
        ] {
            let path: JsonPath = written.parse().unwrap();
            assert_eq!(path.as_str(), canonical, "{written}");
        }
    }

    #[test]
    fn a_wrong_path_says_where_it_is_wrong() {
        for (written, message) in [
            ("", "the path is empty; name the key that holds the value"),
            ("a..b", "a key is missing at character 3 of \"a..b\""),
            ("a.", "a key is missing at character 3 of \"a.\""),
            (".a", "a key is missing at character 1 of \".a\""),
            ("a.[0]", "a key is missing at character 3 of \"a.[0]\""),
            (
                "ä[x]",
                "expected an array index such as [0] or a quoted key such as [\"a.b\"] at character 2 of \"ä[x]\"",
            ),
            (
                "a[0",
                "expected an array index such as [0] or a quoted key such as [\"a.b\"] at character 2 of \"a[0\"",
            ),
            ("a[0]b", "expected a dot or [ at character 5 of \"a[0]b\""),
            ("a]b", "expected a dot or [ at character 2 of \"a]b\""),
        ] {
            let error = written.parse::<JsonPath>().unwrap_err();
            assert_eq!(error.to_string(), message, "{written}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_its_spelling_is_stable(text in "[a-z.\\[\\]0-9\"'$ä]{0,20}|.*") {
            if let Ok(path) = text.parse::<JsonPath>() {
                prop_assert!(!text.is_empty());
                // Keys that needed quotes are spelled without them, so only the others read back.
                if !text.contains(['"', '\'', '$']) {
                    prop_assert_eq!(path.as_str().parse::<JsonPath>(), Ok(path));
                }
            }
        }
    }
}
