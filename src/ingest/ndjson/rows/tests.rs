use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::sync::watch;

use super::*;
use crate::clock::SystemClock;
use crate::ingest::{Ingested, SampleQueue, SourceStatus};

const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

fn rows(sensors: &[&str]) -> (NdjsonRows, SourceContext) {
    let names: Vec<String> = sensors.iter().map(|&name| name.to_owned()).collect();
    let ctx = SourceContext {
        sensors: Arc::new(SensorIndex::new(&names)),
        queue: Arc::new(SampleQueue::new(100_000)),
        clock: Arc::new(SystemClock),
        status: Arc::new(SourceStatus::new("test")),
        stop: watch::channel(false).1,
    };
    (NdjsonRows::new(&ctx, TimeZone::UTC), ctx)
}

fn read(rows: &mut NdjsonRows, ctx: &SourceContext, line: &str) -> Vec<Ingested> {
    rows.read_line(line.as_bytes(), NOW, &"test:1");
    rows.intake.push();
    let mut buf = ctx.queue.buffer();
    ctx.queue.pop_wait(&mut buf, Duration::ZERO);
    buf
}

/// (sensor, value) of each sample, NaN as -1.
fn values(row: &[Ingested]) -> Vec<(usize, f64)> {
    row.iter()
        .map(|ingested| {
            let value = ingested.sample.value;
            (
                ingested.sample.sensor,
                if value.is_nan() { -1.0 } else { value },
            )
        })
        .collect()
}

#[test]
fn a_line_becomes_one_row() {
    let (mut rows, ctx) = rows(&["FIT101", "tank.level", "pumps[1]", "mode"]);
    for (line, expected) in [
        (
            r#"{"FIT101": 1.5, "tank": {"level": 812}, "pumps": [0, true], "mode": "ON"}"#,
            &[(0, 1.5), (1, 812.0), (2, 1.0), (3, 1.0)][..],
        ),
        (
            r#"{"tank.level": "3.2", "FIT101": null}"#,
            &[(1, 3.2), (0, -1.0)],
        ),
        (
            r#"{"FIT101": NaN, "mode": "offline", "tank": {"level": 1}}"#,
            &[(0, -1.0), (3, -1.0), (1, 1.0)],
        ),
        (
            r#"{"sensor": "FIT101", "value": 3.2, "unit": "m3/h"}"#,
            &[(0, 3.2)],
        ),
        (r#"{"value": true, "sensor": "mode"}"#, &[(3, 1.0)]),
        (r#"{"sensor": "FIT999", "value": 3.2}"#, &[]),
        ("\u{feff}{\"FIT101\": 2}\r", &[(0, 2.0)]),
        (r#"{"elsewhere": 1}"#, &[]),
        ("{}", &[]),
        ("", &[]),
        ("  \r", &[]),
    ] {
        let row = read(&mut rows, &ctx, line);
        assert_eq!(values(&row), expected, "{line}");
        let ends = row.iter().filter(|ingested| ingested.end_of_row).count();
        assert_eq!(ends, usize::from(!row.is_empty()), "{line}");
    }
    // "offline" alone is bad. Unknown are pumps[0], FIT999 and elsewhere; "unit" belongs to the
    // single form.
    assert_eq!(ctx.status.counters().bad, 1);
    assert_eq!(ctx.status.counters().unknown, 3);
}

#[test]
fn the_time_of_a_row_is_found() {
    let (mut rows, ctx) = rows(&["a"]);
    let noon = Timestamp::from_seconds(1_764_072_000);
    for (line, expected) in [
        (r#"{"time": "2025-11-25T12:00:00Z", "a": 1}"#, noon),
        (
            r#"{"a": 1, "timestamp": "2025-11-25T13:00:00+01:00"}"#,
            noon,
        ),
        (r#"{"ts": 1764072000, "a": 1}"#, noon),
        (r#"{"t": 1764072000000, "a": 1}"#, noon),
        (r#"{"t": "1764072000", "a": 1}"#, noon),
        (
            r#"{"a": 1, "time": 1764072000.1}"#,
            noon.add_nanos(100_000_000),
        ),
        (r#"{"ts": 5, "time": "2025-11-25 12:00:00", "a": 1}"#, noon),
        (r#"{"sensor": "a", "value": 1, "time": 1764072000}"#, noon),
        (r#"{"time": 12, "a": 1}"#, Timestamp::from_seconds(12)),
        // A clock that was never set, and no clock at all.
        (r#"{"ts": 5, "a": 1}"#, NOW),
        (r#"{"time": null, "a": 1}"#, NOW),
        (r#"{"time": "soon", "a": 1}"#, NOW),
        (r#"{"a": 1}"#, NOW),
    ] {
        let row = read(&mut rows, &ctx, line);
        assert_eq!(row.len(), 1, "{line}");
        assert_eq!(row[0].sample.time, expected, "{line}");
    }
    assert_eq!(ctx.status.counters().bad, 2);
    assert_eq!(ctx.status.counters().unknown, 0);
}

#[test]
fn a_sensor_with_the_name_of_a_time_is_a_sensor() {
    let (mut rows, ctx) = rows(&["t", "value", "sensor"]);
    let row = read(
        &mut rows,
        &ctx,
        r#"{"t": 1764072000, "value": 2, "sensor": "3"}"#,
    );
    assert_eq!(values(&row), [(0, 1_764_072_000.0), (1, 2.0), (2, 3.0)]);
    assert_eq!(row[0].sample.time, NOW);
}

#[test]
fn unreadable_lines_are_counted_and_the_next_one_is_read() {
    let (mut rows, ctx) = rows(&["a"]);
    for line in ["{\"a\": 1", "[1, 2]", "12", "hello", "{\"a\": }"] {
        assert!(read(&mut rows, &ctx, line).is_empty(), "{line}");
    }
    rows.read_line(b"{\"a\": \"\xff\"}", NOW, &"test:6");
    assert!(rows.intake.is_empty());
    assert_eq!(ctx.status.counters().bad, 6);
    assert_eq!(read(&mut rows, &ctx, "{\"a\": 1}").len(), 1);
}

#[test]
fn a_hundred_thousand_values_a_second_are_read_with_ease() {
    let names: Vec<String> = (0..51).map(|sensor| format!("SENSOR{sensor}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut rows, ctx) = rows(&names);
    let mut line = String::from(r#"{"time":"2025-11-25T12:00:00.250Z""#);
    for (sensor, name) in names.iter().enumerate() {
        let _ = write!(line, r#","{name}":{}"#, 17.25 * sensor as f64);
    }
    line.push('}');
    let lines = 2_000;
    let started = Instant::now();
    for _ in 0..lines {
        rows.read_line(line.as_bytes(), NOW, &"test:1");
        rows.intake.push();
    }
    let taken = started.elapsed().as_secs_f64();
    let rate = 51.0 * f64::from(lines) / taken;
    println!("{rate:.0} values/s");
    assert_eq!(ctx.status.counters().received, 51 * lines as u64);
    assert!(rate > 100_000.0, "{rate:.0} values/s");
}

proptest! {
    #[test]
    fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (mut rows, _) = rows(&["a"]);
        rows.read_line(&line, NOW, &"test:1");
        let object = [b"{\"a\":", line.as_slice(), b"}"].concat();
        rows.read_line(&object, NOW, &"test:2");
        rows.intake.push();
    }
}

proptest! {
    /// Whatever lines came before, in whatever order their keys were.
    #[test]
    fn a_line_is_read_as_if_it_were_the_first(
        lines in prop::collection::vec(
            prop::collection::vec((prop::sample::select(vec!["a", "b", "c", "x", "time", "t"]), 0_u8..9), 0..6),
            1..8,
        )
    ) {
        let sensors = ["b", "a", "t", "c"];
        let (mut reused, reused_ctx) = rows(&sensors);
        for line in lines {
            let members: Vec<String> = line.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            let line = format!("{{{}}}", members.join(", "));
            let (mut fresh, fresh_ctx) = rows(&sensors);
            prop_assert_eq!(
                values(&read(&mut reused, &reused_ctx, &line)),
                values(&read(&mut fresh, &fresh_ctx, &line))
            );
        }
    }
}
