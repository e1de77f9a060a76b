//! One line of JSON to one row of samples. Imports `frame` and its siblings of stage ingest.

use std::fmt::{self, Write as _};

use jiff::tz::TimeZone;

use super::super::intake::{Intake, Shown};
use super::super::json::{Leaf, Leaves};
use super::super::time::{TIME_FORMS, parse_time};
use super::super::{SensorIndex, SourceContext};
use crate::frame::Timestamp;

/// Keys that hold the time of a row, the first one there counts.
pub(crate) const TIME_KEYS: [&str; 4] = ["time", "timestamp", "ts", "t"];
/// 1973; see the module above.
const LEAST_EPOCH_SECONDS: f64 = 1e8;

/// Reads lines into its intake, a row each.
pub struct NdjsonRows {
    pub intake: Intake,
    leaves: Leaves,
    /// Of each leaf of the line before: its sensor. Lines of one source list their sensors in one
    /// order, so that the same place is tried before the table of names.
    places: Vec<Option<usize>>,
    zone: TimeZone,
}

impl NdjsonRows {
    pub fn new(ctx: &SourceContext, zone: TimeZone) -> Self {
        NdjsonRows {
            intake: Intake::new(ctx, super::LOG_TARGET),
            leaves: Leaves::default(),
            places: Vec::new(),
            zone,
        }
    }

    /// Leaves the row of `line` in the intake: empty where the line is blank, unreadable, or holds
    /// nothing of the model's sensors. `now` dates a line that has no time.
    pub fn read_line(&mut self, line: &[u8], now: Timestamp, origin: &dyn fmt::Display) {
        self.intake.clear();
        // A byte order mark starts files that some Windows programs write.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        if !line.starts_with(b"{") {
            let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
            let what = format_args!(
                "{origin}: {} is not a JSON object, the line is dropped",
                Shown(&shown)
            );
            self.intake.complain(&what);
            return;
        }
        if let Err(error) = self.leaves.parse(line) {
            let what = format_args!("{origin}: not readable as JSON, the line is dropped: {error}");
            self.intake.complain(&what);
            return;
        }
        let time = self.time(now, origin);
        match single_reading(&self.leaves, self.intake.sensors()) {
            Some((name, leaf)) => add(&mut self.intake, name, time, leaf, origin),
            None => {
                self.places.resize(self.leaves.len(), None);
                for ((path, leaf), place) in self.leaves.iter().zip(&mut self.places) {
                    let sensors = self.intake.sensors();
                    let same = place.filter(|&sensor| {
                        sensors.names().get(sensor).is_some_and(|name| name == path)
                    });
                    if let Some(sensor) = same {
                        add_reading(&mut self.intake, sensor, time, leaf, origin);
                        continue;
                    }
                    *place = sensors.get(path);
                    if place.is_some() || !TIME_KEYS.contains(&path) {
                        add(&mut self.intake, path, time, leaf, origin);
                    }
                }
            }
        }
    }

    fn time(&mut self, now: Timestamp, origin: &dyn fmt::Display) -> Timestamp {
        for key in TIME_KEYS {
            let Some(leaf) = self.leaves.get(key) else {
                continue;
            };
            if self.intake.sensors().get(key).is_some() {
                continue;
            }
            match (leaf, leaf_time(leaf, key, &self.zone)) {
                (_, Some(time)) => return time,
                (Leaf::Null, None) => {}
                (leaf, None) => {
                    let shown = leaf.shown();
                    let what = format_args!(
                        "{origin}: {key} {} is not a time ({TIME_FORMS}), the time of arrival is taken",
                        Shown(&shown)
                    );
                    self.intake.complain(&what);
                    return now;
                }
            }
        }
        now
    }
}

/// The time that a leaf called `key` gives; none where it is no time.
pub(crate) fn leaf_time(leaf: Leaf<'_>, key: &str, zone: &TimeZone) -> Option<Timestamp> {
    match leaf {
        Leaf::Text(text) => parse_time(text, zone),
        Leaf::Number(seconds) => {
            if seconds < LEAST_EPOCH_SECONDS && matches!(key, "ts" | "t") {
                return None;
            }
            // By way of the decimal text: 1764079387.1 times 1e9 would not end in zeros.
            let mut text = String::with_capacity(24);
            write!(text, "{seconds}").ok()?;
            parse_time(&text, zone)
        }
        Leaf::Bool(_) | Leaf::Null => None,
    }
}

/// `{"sensor": "LIT101", "value": 3.2}`, unless the model has sensors of these names.
fn single_reading<'a>(leaves: &'a Leaves, sensors: &SensorIndex) -> Option<(&'a str, Leaf<'a>)> {
    let (Leaf::Text(name), value) = (leaves.get("sensor")?, leaves.get("value")?) else {
        return None;
    };
    let of_the_model = |name| sensors.get(name).is_some();
    (!of_the_model("sensor") && !of_the_model("value")).then_some((name, value))
}

fn add(
    intake: &mut Intake,
    name: &str,
    time: Timestamp,
    leaf: Leaf<'_>,
    origin: &dyn fmt::Display,
) {
    match intake.sensors().admit(name) {
        Some(sensor) => add_reading(intake, sensor, time, leaf, origin),
        None => intake.ignore(name, origin),
    }
}

fn add_reading(
    intake: &mut Intake,
    sensor: usize,
    time: Timestamp,
    leaf: Leaf<'_>,
    origin: &dyn fmt::Display,
) {
    match leaf {
        // Without the text, which only a reading that is no number needs.
        Leaf::Number(_) => intake.add(sensor, time, leaf.reading(), "", origin),
        _ => intake.add(sensor, time, leaf.reading(), &leaf.shown(), origin),
    }
}

#[cfg(test)]
mod tests;
