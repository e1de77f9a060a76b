//! What the text of one reading means: a number, a missing value, or text that is neither.
//!
//! Every source that delivers text (CSV, NDJSON, MQTT) reads it by this one rule, so that a
//! recording replays the way the live stream ran. Imports nothing from the crate.

/// What a source's text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Finite.
    Value(f64),
    /// The source says that it has no value.
    Missing,
    /// Neither a number, nor a switch's state, nor a known word for "no value".
    Text,
}

/// Words that switches, valves and pumps report, in lower case.
const ON: [&str; 9] = [
    "on", "open", "opened", "true", "yes", "active", "running", "enabled", "started",
];
const OFF: [&str; 9] = [
    "off", "closed", "close", "false", "no", "inactive", "stopped", "disabled", "idle",
];
/// Words for "no value", in lower case. Infinities and NaN in any spelling are numbers to
/// `f64::from_str` and are caught there.
const MISSING: [&str; 9] = [
    "null",
    "na",
    "n/a",
    "#n/a",
    "none",
    "unavailable",
    "unknown",
    "undefined",
    "nil",
];

/// Reads `text`, without regard to case and surrounding white space.
///
/// - A finite number in the spelling of `f64::from_str` (decimal point, optional exponent) is a
///   value; NaN, an infinity and a number beyond the range of f64 are missing.
/// - `on`, `open`, `true`, `yes`, `active`, `running` and the like are 1, their opposites 0.
/// - Nothing, `-`, `???` (any number of dashes or question marks), `null`, `NA`, `n/a`, `none`,
///   `unavailable`, `unknown` are missing.
///
/// Allocates nothing.
pub fn parse_value(text: &str) -> Reading {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Reading::Value(value),
        Ok(_) => Reading::Missing,
        Err(_) => parse_word(text),
    }
}

/// As [`parse_value`], for files with a decimal comma: `3,75` is 3.75. A decimal point is read
/// too (one file often mixes both), but a thousands separator beside the comma is not.
pub fn parse_decimal_comma(text: &str) -> Reading {
    let text = text.trim();
    let Some(comma) = text.bytes().position(|byte| byte == b',') else {
        return parse_value(text);
    };
    // f64 needs at most 17 significant digits; 64 bytes leave room for any sane spelling.
    let mut pointed = [0_u8; 64];
    let Some(pointed) = pointed.get_mut(..text.len()) else {
        return Reading::Text;
    };
    pointed.copy_from_slice(text.as_bytes());
    pointed[comma] = b'.';
    // A second comma or a point leaves two of them, which no number has.
    match std::str::from_utf8(pointed).map(str::parse::<f64>) {
        Ok(Ok(value)) if value.is_finite() => Reading::Value(value),
        Ok(Ok(_)) => Reading::Missing,
        _ => Reading::Text,
    }
}

fn parse_word(text: &str) -> Reading {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_filler = |filler: u8| text.bytes().all(|byte| byte == filler);
    if is_filler(b'-') || is_filler(b'?') {
        Reading::Missing
    } else if is_one_of(&ON) {
        Reading::Value(1.0)
    } else if is_one_of(&OFF) {
        Reading::Value(0.0)
    } else if is_one_of(&MISSING) {
        Reading::Missing
    } else {
        Reading::Text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_values() {
        for (text, value) in [
            ("0", 0.0),
            (" -3.75\t", -3.75),
            ("+1e3", 1000.0),
            (".5", 0.5),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_value(text), Reading::Value(value), "{text}");
        }
    }

    #[test]
    fn states_of_switches_are_one_and_zero() {
        for text in [
            "ON", "on", "open", "Opened", "TRUE", "yes", "active", "running",
        ] {
            assert_eq!(parse_value(text), Reading::Value(1.0), "{text}");
        }
        for text in [
            "OFF", "off", "closed", "Close", "false", "no", "inactive", "stopped",
        ] {
            assert_eq!(parse_value(text), Reading::Value(0.0), "{text}");
        }
    }

    #[test]
    fn words_for_no_value_are_missing() {
        for text in [
            "",
            "  ",
            "-",
            "--",
            "???",
            "NaN",
            "nan",
            "null",
            "NA",
            "n/a",
            "none",
            "None",
            "inf",
            "-inf",
            "Infinity",
            "1e999",
            "unavailable",
            "unknown",
        ] {
            assert_eq!(parse_value(text), Reading::Missing, "{text:?}");
            assert_eq!(parse_decimal_comma(text), Reading::Missing, "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_text() {
        for text in [
            "7,3O4", "7,3", "1 2", "0x1F", "12 mm", "offline", "-?", "1.2.3",
        ] {
            assert_eq!(parse_value(text), Reading::Text, "{text:?}");
        }
    }

    #[test]
    fn a_decimal_comma_is_read_where_it_is_asked_for() {
        for (text, reading) in [
            ("3,75", Reading::Value(3.75)),
            (" -0,5e2", Reading::Value(-50.0)),
            ("3.75", Reading::Value(3.75)),
            ("ON", Reading::Value(1.0)),
            ("1.234,5", Reading::Text),
            ("1,2,3", Reading::Text),
            ("7,3O4", Reading::Text),
            ("1,0e999", Reading::Missing),
        ] {
            assert_eq!(parse_decimal_comma(text), reading, "{text}");
        }
        assert_eq!(
            parse_decimal_comma(&format!("1,{}", "0".repeat(70))),
            Reading::Text
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_values_are_finite(text in ".*") {
            for reading in [parse_value(&text), parse_decimal_comma(&text)] {
                if let Reading::Value(value) = reading {
                    prop_assert!(value.is_finite());
                }
            }
        }

        #[test]
        fn every_finite_number_survives(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(parse_value(&value.to_string()), Reading::Value(value));
            prop_assert_eq!(parse_value(&format!("{value:e}")), Reading::Value(value));
        }
    }
}
