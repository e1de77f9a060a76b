//! Instants as nanoseconds since the Unix epoch, UTC; how they are written and how spans of time
//! are put into words.

use std::fmt;
use std::time::Duration;

/// An instant, in nanoseconds since 1970-01-01T00:00:00Z. Covers the years 1678 to 2261.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const EPOCH: Timestamp = Timestamp(0);

    pub fn from_seconds(seconds: i64) -> Self {
        Timestamp(seconds.saturating_mul(1_000_000_000))
    }

    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self - earlier` in nanoseconds; negative when `earlier` is later.
    pub fn nanos_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn seconds_since(self, earlier: Timestamp) -> f64 {
        self.nanos_since(earlier) as f64 / 1e9
    }

    pub fn add_nanos(self, nanos: i64) -> Self {
        Timestamp(self.0.saturating_add(nanos))
    }

    pub fn plus(self, span: Duration) -> Self {
        self.add_nanos(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }

    /// `14:03:07 UTC`, for lines that people read.
    pub fn clock_text(self) -> String {
        self.instant().strftime("%H:%M:%S UTC").to_string()
    }

    /// `2026-11-25 14:03:07 UTC`
    pub fn date_clock_text(self) -> String {
        self.instant().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    fn instant(self) -> jiff::Timestamp {
        // Every i64 of nanoseconds lies within jiff's range of years -9999 to 9999.
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// RFC 3339 in UTC, with as many decimals as are needed: `2026-11-25T14:03:07.5Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.instant().fmt(f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        i64::try_from(instant.as_nanosecond())
            .map(Timestamp)
            .map_err(serde::de::Error::custom)
    }
}

/// A span as a person says it, with its two largest units: `6 min 40 s`, `12 d 4 h`, `0.4 s`.
pub fn format_span(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    let (days, hours, minutes, rest) = (
        whole / 86_400,
        whole / 3_600 % 24,
        whole / 60 % 60,
        whole % 60,
    );
    if seconds < 9.95 {
        format!("{:.1} s", seconds.max(0.0))
    } else if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes:02} min")
    } else if minutes > 0 {
        format!("{minutes} min {rest} s")
    } else {
        format!("{rest} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_and_read_back() {
        let instant = Timestamp(1_764_079_387_500_000_000);
        assert_eq!(instant.to_string(), "2025-11-25T14:03:07.5Z");
        let json = serde_json::to_string(&instant).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
        assert_eq!(instant.clock_text(), "14:03:07 UTC");
    }

    #[test]
    fn the_extremes_do_not_panic() {
        for nanos in [i64::MIN, -1, 0, i64::MAX] {
            assert!(!Timestamp(nanos).to_string().is_empty());
        }
        assert_eq!(Timestamp(i64::MAX).add_nanos(1), Timestamp(i64::MAX));
    }

    #[test]
    fn spans_are_put_into_words() {
        assert_eq!(format_span(0.42), "0.4 s");
        assert_eq!(format_span(42.0), "42 s");
        assert_eq!(format_span(400.0), "6 min 40 s");
        assert_eq!(format_span(22_320.0), "6 h 12 min");
        assert_eq!(format_span(1_051_200.0), "12 d 4 h");
    }
}
