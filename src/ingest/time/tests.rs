use proptest::prelude::*;

use super::*;

const AT: i64 = 1_764_079_387_000_000_000; // 2025-11-25T14:03:07Z

fn utc(text: &str) -> Option<i64> {
    parse_time(text, &TimeZone::UTC).map(Timestamp::nanos)
}

#[test]
fn every_form_names_the_same_instant() {
    for text in [
        "2025-11-25T14:03:07Z",
        "2025-11-25t14:03:07z",
        "2025-11-25 14:03:07",
        "2025-11-25T14:03:07",
        " 2025-11-25 14:03:07 UTC ",
        "2025-11-25 15:03:07+01:00",
        "2025-11-25 15:03:07 +0100",
        "2025-11-25T09:03:07-05",
        "2025-11-25T14:03:07.000Z",
        "1764079387",
        "1764079387.0",
        "1764079387000",
        "1764079387000000",
        "1764079387000000000",
        "1.764079387E+09",
    ] {
        assert_eq!(utc(text), Some(AT), "{text}");
    }
}

#[test]
fn decimals_are_kept_to_the_nanosecond() {
    assert_eq!(utc("2025-11-25 14:03:07.25"), Some(AT + 250_000_000));
    assert_eq!(
        utc("2025-11-25T14:03:07.123456789Z"),
        Some(AT + 123_456_789)
    );
    assert_eq!(utc("2025-11-25T14:03:07,5Z"), Some(AT + 500_000_000));
    assert_eq!(utc("1764079387.123456789"), Some(AT + 123_456_789));
    assert_eq!(utc("1764079387123.5"), Some(AT + 123_500_000));
    assert_eq!(utc("-0.5"), Some(-500_000_000));
}

#[test]
fn the_size_decides_between_seconds_and_milliseconds() {
    assert_eq!(utc("9223372036"), Some(9_223_372_036_000_000_000));
    assert_eq!(utc("9999999999"), None);
    assert_eq!(utc("10000000000"), Some(10_000_000_000_000_000));
}

#[test]
fn minutes_suffice_and_leap_seconds_are_the_next_minute() {
    assert_eq!(utc("2025-11-25 14:03"), Some(AT - 7_000_000_000));
    assert_eq!(utc("2016-12-31T23:59:60Z"), utc("2017-01-01T00:00:00Z"));
    assert_eq!(utc("2024-02-29 00:00"), Some(1_709_164_800_000_000_000));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "time",
        "2025-11-25",
        "2025-13-01 00:00",
        "2025-02-29 00:00",
        "2025-11-25 24:00:00",
        "2025-11-25 14:03:61",
        "2025-11-25 14:03:07.",
        "2025-11-25 14:03:07 CET",
        "2025-11-25 14:03:07+1:00",
        "25.11.2025 14:03",
        "14:03:07",
        "1764079387 s",
        "99999999999999999999",
        "1600-01-01 00:00",
        "NaN",
        "1e999",
        ".5",
    ] {
        assert_eq!(utc(text), None, "{text:?}");
    }
}

#[test]
fn local_times_follow_the_zone() {
    let east = find_zone("+01:00").unwrap();
    let time = parse_time("2025-11-25 15:03:07", &east).unwrap();
    assert_eq!(time.nanos(), AT);
    let time = parse_time("2025-11-25T14:03:07Z", &east).unwrap();
    assert_eq!(time.nanos(), AT, "an offset in the text comes first");
}

#[test]
fn utc_needs_no_time_zone_data_and_unknown_zones_are_named() {
    assert_eq!(find_zone("utc").unwrap(), TimeZone::UTC);
    let error = find_zone("Europe/Berln").unwrap_err().to_string();
    assert!(error.contains("\"Europe/Berln\""), "{error}");
}

#[test]
fn the_hour_that_autumn_repeats_goes_on() {
    let rule = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let first = parse_time("2025-10-26 02:30:00", &rule).unwrap();
    assert_eq!(first.to_string(), "2025-10-26T00:30:00Z");
    let before = parse_time("2025-10-26 02:59:59", &rule);
    let second = parse_time_after("2025-10-26 02:00:00", &rule, before).unwrap();
    assert_eq!(second.to_string(), "2025-10-26T01:00:00Z");
    let skipped = parse_time("2025-03-30 02:30:00", &rule).unwrap();
    assert_eq!(skipped.to_string(), "2025-03-30T01:30:00Z");
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".{0,40}") {
        let _ = utc(&text);
    }

    #[test]
    fn near_misses_are_read_without_panic(text in "[0-9]{4}-[0-9:T .+Z,-]{0,30}") {
        let _ = utc(&text);
    }

    #[test]
    fn written_instants_are_read_back(nanos in any::<i64>()) {
        let written = Timestamp(nanos).to_string();
        prop_assert_eq!(utc(&written), Some(nanos), "{}", written);
    }

    #[test]
    fn our_calendar_agrees_with_the_zone_library(seconds in -9_000_000_000_i64..9_000_000_000) {
        let text = Timestamp::from_seconds(seconds).date_clock_text();
        let local = text.trim_end_matches(" UTC");
        let zone = TimeZone::fixed(Offset::from_seconds(-3_600).unwrap());
        prop_assert_eq!(utc(local), Some(seconds * 1_000_000_000));
        let behind = parse_time(local, &zone).unwrap();
        prop_assert_eq!(behind.nanos(), (seconds + 3_600) * 1_000_000_000);
    }
}
