//! `anomalyd history`: scores and sensors of the last days, from the files that the service keeps.
//!
//! Where the service runs, it is asked to write what it has so far; without it the files are read as
//! they are.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::print::{print, tell};
use super::state_folder::{StateArgs, StatePlace};
use crate::alarm::AlarmRecord;
use crate::control::{Request, ask};
use crate::frame::Timestamp;
use crate::history::{Bucket, Plan, read, read_since};
use crate::state::{ALARMS, AlarmLog};

/// Lines of a table, unless `--every` asks for more.
const LINES: u64 = 48;
const MINUTE: u64 = 60;
/// Steps that people think in, in seconds.
const STEPS: [u64; 11] = [
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    3_600,
    2 * 3_600,
    6 * 3_600,
    12 * 3_600,
    86_400,
];

const AFTER_HELP: &str = "\
Examples:
  anomalyd history --since 2h
  anomalyd history --since 7days --sensor FIT401 --every 1h
  anomalyd history --json | jq -c '[.time, .score]'";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct HistoryArgs {
    /// How far back from the newest: 30m, 2h, 7days
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = how_long)]
    since: Duration,
    /// What one line stands for; else so that the table fits a screen
    #[arg(long, value_name = "TIME", value_parser = how_long)]
    every: Option<Duration>,
    /// Show this sensor's lowest and highest values too
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    #[command(flatten)]
    state: StateArgs,
    /// One JSON object a line, with all sensors, as finely as it is kept
    #[arg(long)]
    json: bool,
}

/// # Errors
/// There is no history, no such sensor, or it cannot be read.
pub fn run(args: &HistoryArgs) -> anyhow::Result<()> {
    let StatePlace { folder, socket } = args.state.likely()?;
    // Where the service does not run, what is on the disk is all there is.
    if let Some(socket) = socket
        && let Ok(answer) = ask(&socket, &Request::History)
        && !answer.ok
    {
        tell(&answer.text);
    }
    let unreadable = || "as root, or as the user that the service runs as, it may be";
    let mut newest: Option<Timestamp> = None;
    read(&folder, &mut |plan, bucket| {
        newest = newest.max(Some(bucket.start.add_nanos(plan.bucket_nanos)));
    })
    .with_context(|| format!("{}: the history cannot be read", folder.display()))
    .with_context(unreadable)?;
    let Some(newest) = newest else {
        bail!(
            "there is no history in {} yet: the service writes it every half hour of watching, and \
             when it ends",
            folder.display()
        );
    };
    let span = i64::try_from(args.since.as_nanos()).unwrap_or(i64::MAX);
    let since = newest.add_nanos(-span);
    if args.json {
        return print_lines(args, &folder, since);
    }
    let alarms = AlarmLog::read(&folder.join(ALARMS)).unwrap_or_default();
    let step = args.every.map_or_else(
        || fitting(args.since.as_secs()),
        |every| every.as_secs().max(MINUTE),
    );
    let mut table = Table::new(step, args.sensor.clone());
    read_since(&folder, since, &mut |plan, bucket| {
        table.take(plan, &bucket);
    })
    .with_context(unreadable)?;
    if let Some(sensor) = args.sensor.as_ref().filter(|_| !table.known) {
        bail!(
            "the history has no sensor {sensor}; it has {}",
            table.names()
        );
    }
    print(table.text(&alarms))
}

/// The folder of the state, once the service has written what it has.
fn print_lines(
    args: &HistoryArgs,
    folder: &std::path::Path,
    since: Timestamp,
) -> anyhow::Result<()> {
    let mut printed = Ok(());
    read_since(folder, since, &mut |plan, bucket| {
        if printed.is_ok() {
            let line = line(plan, &bucket, args.sensor.as_deref());
            printed = print(format_args!("{line}\n"));
        }
    })?;
    printed
}

fn line(plan: &Plan, bucket: &Bucket, only: Option<&str>) -> serde_json::Value {
    let sensors = plan.sensors.iter().zip(bucket.low.iter().zip(&bucket.high));
    let sensors = sensors
        .filter(|(name, (low, _))| !low.is_nan() && only.is_none_or(|only| only == name.as_str()));
    let sensors: serde_json::Map<String, serde_json::Value> = sensors
        .map(|(name, (low, high))| (name.clone(), json!([decimal(*low), decimal(*high)])))
        .collect();
    json!({
        "time": bucket.start,
        "seconds": plan.bucket_nanos / 1_000_000_000,
        "frames": bucket.frames,
        "scored": bucket.scored,
        "score": decimal(bucket.score),
        "mean_score": decimal(bucket.mean_score),
        "bar": decimal(bucket.bar),
        "sensors": sensors,
    })
}

/// The shortest number that is this one as an `f32`; none where there is none.
fn decimal(value: f32) -> Option<f64> {
    value
        .to_string()
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
}

/// The finest step that keeps the table on a screen.
fn fitting(seconds: u64) -> u64 {
    let fits = |step: &&u64| seconds.div_ceil(**step) <= LINES;
    STEPS.iter().find(fits).copied().unwrap_or(86_400)
}

struct Table {
    step: i64,
    sensor: Option<String>,
    /// Whether the sensor was ever seen.
    known: bool,
    seen: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    start: i64,
    frames: u64,
    score: f32,
    bar: f32,
    low: f32,
    high: f32,
}

impl Table {
    fn new(step: u64, sensor: Option<String>) -> Self {
        Table {
            step: i64::try_from(step).unwrap_or(86_400) * 1_000_000_000,
            sensor,
            known: false,
            seen: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn take(&mut self, plan: &Plan, bucket: &Bucket) {
        let start = bucket.start.nanos().div_euclid(self.step) * self.step;
        if self.rows.last().map(|row| row.start) != Some(start) {
            self.rows.push(Row {
                start,
                frames: 0,
                score: f32::NAN,
                bar: f32::NAN,
                low: f32::NAN,
                high: f32::NAN,
            });
        }
        let Some(row) = self.rows.last_mut() else {
            return;
        };
        row.frames += u64::from(bucket.frames);
        // The maximum of a number and NaN is the number.
        row.score = row.score.max(bucket.score);
        row.bar = row.bar.max(bucket.bar);
        let name = self.sensor.as_ref();
        let place = name.and_then(|name| plan.sensors.iter().position(|one| one == name));
        if let Some(place) = place {
            self.known = true;
            row.low = row.low.min(bucket.low[place]);
            row.high = row.high.max(bucket.high[place]);
        }
        if self.seen.is_empty() {
            self.seen.clone_from(&plan.sensors);
        }
    }

    fn names(&self) -> String {
        let first = self.seen.iter().take(8).map(String::as_str);
        let first = first.collect::<Vec<_>>().join(", ");
        match self.seen.len().saturating_sub(8) {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }

    fn text(&self, alarms: &[AlarmRecord]) -> String {
        let mut text = format!(
            "{:<23}{:>7}{:>7}{:>8}",
            "time (UTC)", "score", "bar", "frames"
        );
        if self.sensor.is_some() {
            text.push_str(&format!("{:>12}{:>12}", "lowest", "highest"));
        }
        text.push_str("  alarms raised\n");
        for row in &self.rows {
            let start = Timestamp(row.start);
            let end = start.add_nanos(self.step);
            let time = start.date_clock_text();
            let time = time.trim_end_matches(" UTC");
            let (score, bar) = (number(row.score, 2), number(row.bar, 2));
            text.push_str(&format!("{time:<23}{score:>7}{bar:>7}{:>8}", row.frames));
            if self.sensor.is_some() {
                let (low, high) = (number(row.low, 3), number(row.high, 3));
                text.push_str(&format!("{low:>12}{high:>12}"));
            }
            let raised = alarms
                .iter()
                .filter(|alarm| alarm.raised_at >= start && alarm.raised_at < end);
            let ids: Vec<&str> = raised.map(|alarm| alarm.id.as_str()).collect();
            if !ids.is_empty() {
                text.push_str("  ");
                text.push_str(&ids.join(" "));
            }
            text.push('\n');
        }
        text
    }
}

fn number(value: f32, decimals: usize) -> String {
    match value.is_nan() {
        true => "-".to_owned(),
        false => format!("{value:.decimals$}"),
    }
}

fn how_long(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(60) || time > Duration::from_secs(40 * 86_400) {
        return Err("must be from 1m to 40days".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_a_screen() {
        assert_eq!(fitting(2 * 3_600), 5 * 60);
        assert_eq!(fitting(86_400), 1_800);
        assert_eq!(fitting(7 * 86_400), 6 * 3_600);
        assert_eq!(fitting(40 * 86_400), 86_400);
    }

    #[test]
    fn minutes_become_lines_and_what_is_missing_is_said() {
        let plan = Plan::new(vec!["A".to_owned(), "B".to_owned()]);
        let bucket = |minute: i64, score, low: f32| Bucket {
            start: Timestamp::from_seconds(60 * minute),
            frames: 60,
            scored: 60,
            score,
            mean_score: score,
            bar: 1.0,
            low: vec![low, f32::NAN],
            high: vec![low + 1.0, f32::NAN],
        };
        let mut table = Table::new(300, Some("A".to_owned()));
        for (minute, score, low) in [(0, 0.5, 1.0), (4, 0.75, -2.0), (5, f32::NAN, 3.0)] {
            table.take(&plan, &bucket(minute, score, low));
        }
        let text = table.text(&[]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "1970-01-01 00:00:00       0.75   1.00     120      -2.000       2.000"
        );
        assert!(
            lines[2].starts_with("1970-01-01 00:05:00          -   1.00      60"),
            "{text}"
        );
        assert_eq!(
            line(&plan, &bucket(0, 0.5, 1.0), None)["sensors"],
            json!({"A": [1.0, 2.0]})
        );
        assert!(lines.iter().all(|line| line.len() <= 92));
    }
}
