//! Time text of recordings and live messages to [`Timestamp`]. Imports `frame` only.
//!
//! | form | example |
//! |---|---|
//! | RFC 3339, `T` or a space, with `Z`, `UTC` or an offset | `2026-11-25T14:03:07.5Z`, `2026-11-25 15:03:07 +01:00` |
//! | local time, in the zone given | `2026-11-25 14:03`, `2026-11-25 14:03:07.250` |
//! | time since 1970, with or without decimals | `1764079387`, `1764079387.5`, `1764079387500` |
//!
//! A time since 1970 is taken by its size: below 10^10 it counts seconds (to the year 2262, where
//! [`Timestamp`] ends), from 10^10 milliseconds, from 10^13 microseconds and from 10^16
//! nanoseconds. So milliseconds before 26 April 1970 would be taken for seconds.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::frame::Timestamp;

/// The forms [`parse_time`] reads, for messages.
pub const TIME_FORMS: &str = "2026-11-25T14:03:07Z, 2026-11-25 14:03:07 or seconds since 1970";

/// A zone name that is not known on this machine.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name:?} is not a time zone known here: use UTC, an offset like +01:00, or a name like \
     Europe/Berlin (the names come from the system's tzdata package)"
)]
pub struct UnknownZone {
    pub name: String,
}

/// The zone called `name`: `UTC` and offsets (`+01:00`) work on a system without time zone data,
/// other names are looked up in it.
///
/// # Errors
/// The name is unknown, or the system has no time zone data.
pub fn find_zone(name: &str) -> Result<TimeZone, UnknownZone> {
    let name = name.trim();
    if is_utc(name) {
        return Ok(TimeZone::UTC);
    }
    if let Some(seconds) = parse_offset(name.as_bytes()) {
        let seconds = i32::try_from(seconds).ok();
        if let Some(Ok(offset)) = seconds.map(Offset::from_seconds) {
            return Ok(TimeZone::fixed(offset));
        }
    }
    TimeZone::get(name).map_err(|_| UnknownZone { name: name.into() })
}

/// Reads `text` in one of the module's forms; `zone` applies to times without an offset. An hour
/// that the clocks repeat in autumn is taken the first time, one that they skip in spring is
/// taken as if they had not been changed yet.
pub fn parse_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    parse_time_after(text, zone, None)
}

/// As [`parse_time`], for rows in order: an hour that the clocks repeat in autumn is taken the
/// second time where the first would lie before `previous`.
pub fn parse_time_after(
    text: &str,
    zone: &TimeZone,
    previous: Option<Timestamp>,
) -> Option<Timestamp> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.get(4) == Some(&b'-') {
        parse_calendar(bytes, zone, previous)
    } else {
        parse_epoch(text)
    }
}

/// A calendar date and time of day, checked.
struct Civil {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    /// 0 to 60: RFC 3339 writes a leap second as 60, which is the next minute's first second.
    second: i8,
    nanos: i32,
}

fn parse_calendar(bytes: &[u8], zone: &TimeZone, previous: Option<Timestamp>) -> Option<Timestamp> {
    let (civil, rest) = parse_civil(bytes)?;
    let rest = rest.trim_ascii();
    if rest.is_empty() && *zone != TimeZone::UTC {
        return local_instant(&civil, zone, previous);
    }
    let offset = if rest.is_empty() || std::str::from_utf8(rest).is_ok_and(is_utc) {
        0
    } else {
        parse_offset(rest)?
    };
    let seconds = days_since_epoch(&civil) * 86_400
        + i64::from(civil.hour) * 3_600
        + i64::from(civil.minute) * 60
        + i64::from(civil.second)
        - offset;
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(civil.nanos);
    i64::try_from(nanos).ok().map(Timestamp)
}

fn local_instant(civil: &Civil, zone: &TimeZone, previous: Option<Timestamp>) -> Option<Timestamp> {
    let leap = civil.second == 60;
    let second = if leap { 59 } else { civil.second };
    let time = DateTime::new(
        civil.year,
        civil.month,
        civil.day,
        civil.hour,
        civil.minute,
        second,
        civil.nanos,
    )
    .ok()?;
    let nanos = |instant: jiff::Timestamp| {
        let nanos = i64::try_from(instant.as_nanosecond()).ok()?;
        nanos.checked_add(if leap { 1_000_000_000 } else { 0 })
    };
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let first = nanos(ambiguous.compatible().ok()?)?;
    match previous {
        Some(previous) if first < previous.nanos() && ambiguous.is_ambiguous() => {
            let second = nanos(ambiguous.later().ok()?)?;
            Some(Timestamp(second))
        }
        _ => Some(Timestamp(first)),
    }
}

/// `YYYY-MM-DD`, `T` or a space, `HH:MM[:SS[.fff]]`; returns what follows.
fn parse_civil(bytes: &[u8]) -> Option<(Civil, &[u8])> {
    let (date, time) = bytes.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let year = i16::try_from(number(&date[..4])?).ok()?;
    let month = two_digits(&date[5..], 1, 12)?;
    let day = two_digits(&date[8..], 1, days_in_month(year, month))?;
    let (b'T' | b't' | b' ', time) = time.split_first().map(|(sep, rest)| (*sep, rest))? else {
        return None;
    };
    let hour = two_digits(time, 0, 23)?;
    if time.get(2) != Some(&b':') {
        return None;
    }
    let minute = two_digits(&time[3..], 0, 59)?;
    let mut rest = &time[5..];
    let (mut second, mut nanos) = (0, 0);
    if rest.first() == Some(&b':') {
        second = two_digits(&rest[1..], 0, 60)?;
        rest = &rest[3..];
        if let Some(b'.' | b',') = rest.first() {
            let digits = digits(&rest[1..]);
            if digits.is_empty() {
                return None;
            }
            nanos = i32::try_from(billionths(digits)).ok()?;
            rest = &rest[1 + digits.len()..];
        }
    }
    let civil = Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        nanos,
    };
    Some((civil, rest))
}

fn is_utc(text: &str) -> bool {
    text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc")
}

/// `+HH`, `+HHMM` or `+HH:MM` (or `-`) in seconds east of UTC.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    let (sign, rest) = bytes.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = two_digits(rest, 0, 23)?;
    let minutes = match &rest[2..] {
        [] => 0,
        [b':', minutes @ ..] | minutes if minutes.len() == 2 => two_digits(minutes, 0, 59)?,
        _ => return None,
    };
    Some(sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
}

fn parse_epoch(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (negative, unsigned) = match bytes.first()? {
        b'-' => (true, &bytes[1..]),
        b'+' => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    let whole = digits(unsigned);
    let fraction = match &unsigned[whole.len()..] {
        [] => &[],
        [b'.' | b',', fraction @ ..] if digits(fraction).len() == fraction.len() => fraction,
        // Spreadsheets shorten large numbers: 1.764079387E+09.
        [b'.' | b'e' | b'E', ..] => return parse_exponent(text),
        _ => return None,
    };
    if whole.is_empty() {
        return None;
    }
    let whole = number(whole)?;
    let unit = unit_nanos(whole as f64);
    let magnitude = i128::from(whole) * unit + billionths(fraction) * unit / 1_000_000_000;
    let nanos = if negative { -magnitude } else { magnitude };
    i64::try_from(nanos).ok().map(Timestamp)
}

fn parse_exponent(text: &str) -> Option<Timestamp> {
    let value: f64 = text.parse().ok()?;
    // f64 resolves about 0.2 us around the year 2026; all its digits are kept.
    let nanos = value * unit_nanos(value.abs()) as f64;
    (nanos.abs() < i64::MAX as f64).then_some(Timestamp(nanos as i64))
}

/// What one unit of a time since 1970 of this size is worth, in nanoseconds.
fn unit_nanos(magnitude: f64) -> i128 {
    match magnitude {
        m if m < 1e10 => 1_000_000_000,
        m if m < 1e13 => 1_000_000,
        m if m < 1e16 => 1_000,
        _ => 1,
    }
}

/// The leading digits of `bytes`.
fn digits(bytes: &[u8]) -> &[u8] {
    let len = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    &bytes[..len]
}

/// A number of at most 19 digits and nothing else.
fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.len() > 19 {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// The first two bytes as a number within `low..=high`.
fn two_digits(bytes: &[u8], low: i8, high: i8) -> Option<i8> {
    let value = i8::try_from(number(bytes.get(..2)?)?).ok()?;
    (low..=high).contains(&value).then_some(value)
}

/// The digits of a decimal fraction in 10^-9; further digits are cut off.
fn billionths(digits: &[u8]) -> i128 {
    (0..9).fold(0, |value, place| {
        value * 10
            + digits
                .get(place)
                .map_or(0, |digit| i128::from(digit - b'0'))
    })
}

fn days_in_month(year: i16, month: i8) -> i8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March so that
/// the leap day is the last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_since_epoch(civil: &Civil) -> i64 {
    let (year, month) = (i64::from(civil.year), i64::from(civil.month));
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + i64::from(civil.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
