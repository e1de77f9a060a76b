//! Times and counts as the lines about learning say them. Imports nothing of the crate.

/// `24 h 00 min`, `12 min 05 s`, `30 s`.
pub fn hours(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest:02} s"),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

/// As [`hours`], without what is zero: `24 h`, `10 min`.
pub fn target(seconds: f64) -> String {
    let text = hours(seconds);
    let short = text.strip_suffix(" 00 min").or(text.strip_suffix(" 00 s"));
    short.map_or(text.clone(), str::to_owned)
}

/// A period: `1 s`, `0.1 s`, `90 s`.
pub fn seconds(seconds: f64) -> String {
    format!("{} s", (seconds * 1e6).round() / 1e6)
}

/// `1 sensor`, `2 sensors`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first few of `names`, and how many there are beside them.
pub fn few(names: &[String]) -> String {
    const FEW: usize = 6;
    let shown = names[..names.len().min(FEW)].join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_put_into_words() {
        assert_eq!(hours(86_400.0), "24 h 00 min");
        assert_eq!(hours(22_320.0), "6 h 12 min");
        assert_eq!(hours(725.0), "12 min 05 s");
        assert_eq!((hours(30.0), hours(0.0)), ("30 s".into(), "0 s".into()));
        assert_eq!(target(86_400.0), "24 h");
        assert_eq!(target(600.0), "10 min");
        assert_eq!(target(22_320.0), "6 h 12 min");
        assert_eq!(
            (seconds(1.0), seconds(0.05)),
            ("1 s".into(), "0.05 s".into())
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (1..=8).map(|i| format!("s{i}")).collect();
        assert_eq!(few(&names[..6]), "s1, s2, s3, s4, s5, s6");
        assert_eq!(few(&names), "s1, s2, s3, s4, s5, s6 and 2 more");
        assert_eq!(few(&[]), "");
    }
}
