//! Frames become buckets of a minute, or longer where there are many sensors. Imports `frame` only.

use std::sync::Arc;

use super::chunk::chunk_bytes;
use super::{CHUNK_BUCKETS, DAY_BYTES, DAYS, MOST_BYTES};
use crate::frame::{Frame, Freshness, Timestamp};

const MINUTE_NANOS: i64 = 60_000_000_000;
const DAY_NANOS: i64 = 86_400_000_000_000;
/// How long a bucket may be, in minutes.
const LENGTHS: [i64; 7] = [1, 2, 5, 10, 15, 30, 60];

/// Which sensors are kept, and how finely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub bucket_nanos: i64,
    /// `[F]`
    pub sensors: Vec<String>,
}

impl Plan {
    /// As finely as a day's writes allow.
    pub fn new(sensors: Vec<String>) -> Self {
        let fits = |minutes: &&i64| day_bytes(sensors.len(), **minutes * MINUTE_NANOS) <= DAY_BYTES;
        let minutes = LENGTHS.iter().find(fits).copied().unwrap_or(60);
        Plan {
            bucket_nanos: minutes * MINUTE_NANOS,
            sensors,
        }
    }

    /// How much is kept.
    pub(super) fn most_bytes(&self) -> u64 {
        let days = DAYS * day_bytes(self.sensors.len(), self.bucket_nanos);
        days.min(MOST_BYTES)
    }
}

/// What a day of whole chunks writes.
fn day_bytes(sensors: usize, bucket_nanos: i64) -> u64 {
    let buckets = (DAY_NANOS / bucket_nanos.max(1)) as u64;
    let chunks = buckets.div_ceil(CHUNK_BUCKETS as u64);
    chunks * chunk_bytes(sensors, CHUNK_BUCKETS) as u64
}

/// What happened from `start` on, for the plan's length.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub start: Timestamp,
    pub frames: u32,
    pub scored: u32,
    /// The highest, in multiples of the model's own threshold; NaN where nothing was scored.
    pub score: f32,
    pub mean_score: f32,
    /// What raised an alarm, in the same measure; the highest.
    pub bar: f32,
    /// `[F]`; NaN where nothing was read.
    pub low: Vec<f32>,
    /// `[F]`
    pub high: Vec<f32>,
}

impl Bucket {
    /// Nothing was read of `sensors` sensors.
    pub(super) fn empty(start: Timestamp, sensors: usize) -> Self {
        Bucket {
            start,
            frames: 0,
            scored: 0,
            score: f32::NAN,
            mean_score: f32::NAN,
            bar: f32::NAN,
            low: vec![f32::NAN; sensors],
            high: vec![f32::NAN; sensors],
        }
    }
}

/// Gathers frames into buckets.
#[derive(Debug)]
pub struct Gatherer {
    plan: Arc<Plan>,
    bucket: Option<Bucket>,
    sum: f64,
}

impl Gatherer {
    pub fn new(sensors: Vec<String>) -> Self {
        Gatherer {
            plan: Arc::new(Plan::new(sensors)),
            bucket: None,
            sum: 0.0,
        }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a frame with its score and the bar, where it was scored. Gives the bucket that has
    /// ended with it.
    pub fn take(&mut self, frame: &Frame, score: Option<(f32, f32)>) -> Option<Bucket> {
        let start = frame.time.nanos().div_euclid(self.plan.bucket_nanos) * self.plan.bucket_nanos;
        let same = self.bucket.as_ref().map(|bucket| bucket.start.nanos()) == Some(start);
        let ended = if same { None } else { self.finish() };
        let sensors = self.plan.sensors.len();
        let bucket = self
            .bucket
            .get_or_insert_with(|| Bucket::empty(Timestamp(start), sensors));
        bucket.frames = bucket.frames.saturating_add(1);
        if let Some((score, bar)) = score {
            bucket.scored = bucket.scored.saturating_add(1);
            // The minimum and maximum of a number and NaN is the number.
            bucket.score = bucket.score.max(score);
            bucket.bar = bucket.bar.max(bar);
            self.sum += f64::from(score);
        }
        let bounds = bucket.low.iter_mut().zip(&mut bucket.high);
        let seen = frame.values.iter().zip(&frame.freshness);
        for ((low, high), (value, freshness)) in bounds.zip(seen) {
            if *freshness != Freshness::Stale {
                let value = (*value as f32).clamp(f32::MIN, f32::MAX);
                *low = low.min(value);
                *high = high.max(value);
            }
        }
        ended
    }

    /// The bucket that was begun, as far as it has come.
    pub fn finish(&mut self) -> Option<Bucket> {
        let mut bucket = self.bucket.take()?;
        if bucket.scored > 0 {
            bucket.mean_score = (self.sum / f64::from(bucket.scored)) as f32;
        }
        self.sum = 0.0;
        Some(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(second: i64, values: [f64; 2]) -> Frame {
        let mut frame = Frame::new(2);
        frame.time = Timestamp::from_seconds(second);
        for (i, value) in values.into_iter().enumerate() {
            if !value.is_nan() {
                frame.values[i] = value;
                frame.freshness[i] = Freshness::Fresh;
            }
        }
        frame
    }

    #[test]
    fn a_minute_has_the_extremes_of_its_frames() {
        let mut gatherer = Gatherer::new(vec!["A".to_owned(), "B".to_owned()]);
        for (second, a, score) in [(0, 3.0, 0.5), (30, 1.0, 2.0), (59, 2.0, 0.5)] {
            let frame = frame(second, [a, f64::NAN]);
            assert_eq!(gatherer.take(&frame, Some((score, 1.5))), None);
        }
        let ended = gatherer.take(&frame(60, [1e308, 4.0]), None).unwrap();
        assert_eq!(
            (ended.start, ended.frames, ended.scored),
            (Timestamp(0), 3, 3)
        );
        assert_eq!((ended.score, ended.mean_score, ended.bar), (2.0, 1.0, 1.5));
        assert_eq!((ended.low[0], ended.high[0]), (1.0, 3.0));
        assert!(ended.low[1].is_nan() && ended.high[1].is_nan());
        let rest = gatherer.finish().unwrap();
        assert!(rest.score.is_nan() && rest.high[0].is_finite());
        assert_eq!(gatherer.finish(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_bucket() {
        let mut gatherer = Gatherer::new(vec!["A".to_owned(), "B".to_owned()]);
        gatherer.take(&frame(600, [1.0, 1.0]), None);
        let ended = gatherer.take(&frame(-5, [1.0, 1.0]), None).unwrap();
        assert_eq!(ended.start, Timestamp::from_seconds(600));
        let rest = gatherer.finish().unwrap();
        assert_eq!(rest.start, Timestamp::from_seconds(-60));
    }

    #[test]
    fn a_day_of_any_plant_stays_within_what_it_may_write() {
        for (sensors, minutes) in [(1, 1), (51, 1), (115, 1), (116, 2), (200, 2), (1_024, 10)] {
            let plan = Plan::new((0..sensors).map(|i| format!("S{i}")).collect());
            assert_eq!(plan.bucket_nanos / MINUTE_NANOS, minutes, "{sensors}");
            assert!(
                day_bytes(sensors, plan.bucket_nanos) <= DAY_BYTES,
                "{sensors}"
            );
            assert!(plan.most_bytes() <= MOST_BYTES);
        }
    }
}
