//! The history for the page, thinned out to what a plot shows. Imports `frame` and `history`.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::frame::Timestamp;
use crate::history::{Bucket, read_since};

/// Points of a plot.
const POINTS: i64 = 400;
const NANOS_A_SECOND: i64 = 1_000_000_000;
/// The history is no longer.
pub const LONGEST_SECONDS: i64 = 40 * 86_400;

/// What the page draws.
#[derive(Debug, Default, Serialize)]
pub struct Past {
    /// How much one point stands for.
    pub step_seconds: i64,
    /// Milliseconds since 1970
    t: Vec<i64>,
    score: Vec<f32>,
    bar: Vec<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    low: Vec<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    high: Vec<f32>,
}

/// The `seconds` before `until`, with the values of `sensor`.
///
/// # Errors
/// The history cannot be read.
pub fn past(
    state: &Path,
    until: Timestamp,
    seconds: i64,
    sensor: Option<&str>,
) -> io::Result<Past> {
    let seconds = seconds.clamp(60, LONGEST_SECONDS);
    let since = until.add_nanos(-seconds * NANOS_A_SECOND);
    // Whole minutes, as the buckets are.
    let step = (seconds / POINTS).div_euclid(60).max(1) * 60;
    let mut past = Past {
        step_seconds: step,
        ..Past::default()
    };
    read_since(state, since, &mut |plan, bucket| {
        let place = sensor.and_then(|name| plan.sensors.iter().position(|one| one == name));
        past.take(&bucket, step, place, sensor.is_some());
    })?;
    Ok(past)
}

impl Past {
    fn take(&mut self, bucket: &Bucket, step: i64, place: Option<usize>, with_sensor: bool) {
        let step = step * NANOS_A_SECOND;
        let start = bucket.start.nanos().div_euclid(step) * step / 1_000_000;
        if self.t.last() != Some(&start) {
            self.t.push(start);
            for values in [&mut self.score, &mut self.bar] {
                values.push(f32::NAN);
            }
            if with_sensor {
                self.low.push(f32::NAN);
                self.high.push(f32::NAN);
            }
        }
        let at = self.t.len() - 1;
        self.score[at] = self.score[at].max(bucket.score);
        self.bar[at] = self.bar[at].max(bucket.bar);
        if let Some(place) = place {
            self.low[at] = self.low[at].min(bucket.low[place]);
            self.high[at] = self.high[at].max(bucket.high[place]);
        }
    }
}
