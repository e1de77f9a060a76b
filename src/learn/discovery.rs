//! The first moments without a model: which sensors report, and how often. Imports `frame` only.
//!
//! It lasts until there are 100 rows of at least 30 s, but no longer than 10 minutes once there are
//! ten rows; what came is kept in memory meanwhile and recorded afterwards.

use crate::frame::{Sample, Timestamp};

const SECOND: i64 = 1_000_000_000;
const LEAST_SPAN: i64 = 30 * SECOND;
const LEAST_ROWS: usize = 100;
/// Slow sources are not waited for longer than this ...
const LONGEST_SPAN: i64 = 600 * SECOND;
/// ... once there are so many rows.
const FEWEST_ROWS: usize = 10;
/// Samples that are kept; 40 bytes each.
const MOST_SAMPLES: usize = 65_536;
/// Steps that are kept a sensor.
const MOST_STEPS: usize = 256;
/// A period is rounded to so many digits if that changes it by less than this share: the clock of
/// a source is not better.
const DIGITS: [i32; 3] = [1, 2, 3];
const ROUNDED_BY: f64 = 0.002;

pub struct Discovery {
    /// Said by the user.
    period: Option<i64>,
    samples: Vec<(Sample, bool)>,
    rows: usize,
    span: Option<(Timestamp, Timestamp)>,
    /// `[F]`
    sensors: Vec<Steps>,
}

/// When a sensor reported.
#[derive(Default, Clone)]
struct Steps {
    last: Option<Timestamp>,
    steps: Vec<i64>,
    reported: bool,
}

impl Discovery {
    pub fn new(period: Option<i64>) -> Self {
        Discovery {
            period,
            samples: Vec::new(),
            rows: 0,
            span: None,
            sensors: Vec::new(),
        }
    }

    /// Takes a sample; true when enough is known.
    pub fn push(&mut self, sample: Sample, end_of_row: bool) -> bool {
        if self.samples.len() >= MOST_SAMPLES {
            // So many samples of one instant say nothing of the period: the source began wrongly.
            self.samples.clear();
        }
        self.samples.push((sample, end_of_row));
        self.rows += usize::from(end_of_row);
        let time = sample.time;
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        if sample.sensor >= self.sensors.len() {
            self.sensors.resize(sample.sensor + 1, Steps::default());
        }
        self.sensors[sample.sensor].see(sample);
        end_of_row && self.is_enough()
    }

    fn is_enough(&self) -> bool {
        let Some((first, last)) = self.span else {
            return false;
        };
        let span = last.nanos_since(first);
        let usual = span >= LEAST_SPAN && (self.rows >= LEAST_ROWS || self.period.is_some());
        let slow = span >= LONGEST_SPAN && self.rows >= FEWEST_ROWS;
        let full = self.samples.len() >= MOST_SAMPLES;
        (usual || slow || full) && self.period_found().is_some()
    }

    /// Sensors that have reported a value.
    pub fn sensors(&self) -> usize {
        self.sensors.iter().filter(|steps| steps.reported).count()
    }

    /// What was said, or else the middle one of the sensors' median steps.
    pub fn period_nanos(&self) -> i64 {
        self.period_found().unwrap_or(SECOND)
    }

    fn period_found(&self) -> Option<i64> {
        if self.period.is_some() {
            return self.period;
        }
        let steps = self.sensors.iter().filter(|steps| steps.reported);
        let medians: Vec<i64> = steps.filter_map(|steps| median(&steps.steps)).collect();
        median(&medians).map(rounded)
    }

    /// What came so far, in order, with the ends of rows.
    pub fn take_samples(&mut self) -> Vec<(Sample, bool)> {
        std::mem::take(&mut self.samples)
    }
}

impl Steps {
    fn see(&mut self, sample: Sample) {
        self.reported |= sample.value.is_finite();
        let step = self.last.map(|last| sample.time.nanos_since(last));
        if let Some(step) = step.filter(|step| *step > 0 && self.steps.len() < MOST_STEPS) {
            self.steps.push(step);
        }
        self.last = Some(sample.time);
    }
}

/// The lower one of two in the middle.
fn median(values: &[i64]) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn rounded(period: i64) -> i64 {
    let exact = period as f64;
    let magnitude = exact.log10().floor() as i32;
    let candidates = DIGITS.map(|digits| {
        let unit = 10_f64.powi(magnitude + 1 - digits);
        (exact / unit).round() * unit
    });
    let near = |rounded: &f64| (rounded - exact).abs() <= ROUNDED_BY * exact;
    let rounded = candidates.into_iter().find(near).unwrap_or(exact);
    (rounded.round() as i64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sensor: usize, nanos: i64, value: f64) -> Sample {
        Sample {
            sensor,
            time: Timestamp(nanos),
            value,
        }
    }

    /// Seconds after which it has enough of rows that are `step` apart.
    fn seconds_until_enough(step: i64, period: Option<i64>) -> i64 {
        let mut discovery = Discovery::new(period);
        let row = (0..).find(|row| discovery.push(sample(0, row * step, 1.0), true));
        row.unwrap() * step / SECOND
    }

    #[test]
    fn it_lasts_as_long_as_is_said_above() {
        assert_eq!(seconds_until_enough(SECOND, None), 99);
        assert_eq!(seconds_until_enough(SECOND / 100, None), 30);
        assert_eq!(seconds_until_enough(20 * SECOND, None), 600);
        assert_eq!(seconds_until_enough(300 * SECOND, None), 9 * 300);
        assert_eq!(seconds_until_enough(SECOND, Some(SECOND)), 30);
        // As many samples as are kept.
        assert_eq!(seconds_until_enough(SECOND / 10_000, None), 6);
    }

    #[test]
    fn the_period_is_the_usual_step_of_a_sensor_and_not_of_messages() {
        let mut discovery = Discovery::new(None);
        for second in 0..100 {
            for sensor in 0..51 {
                let jitter = (second * 7 + sensor as i64 * 3) % 11 * 100_000;
                let nanos = second * SECOND + sensor as i64 * 10_000_000 + jitter;
                discovery.push(sample(sensor, nanos, 1.0), true);
            }
            // One that only ever says that it has no value.
            discovery.push(sample(51, second * SECOND, f64::NAN), true);
        }
        assert_eq!(discovery.period_nanos(), SECOND);
        assert_eq!(discovery.sensors(), 51);
        assert_eq!(discovery.take_samples().len(), 5_200);
    }

    #[test]
    fn periods_are_rounded_where_the_source_means_it() {
        let of = |seconds: f64| rounded((seconds * 1e9) as i64) as f64 / 1e9;
        assert_eq!(of(1.000_3), 1.0);
        assert_eq!(of(0.099_95), 0.1);
        assert_eq!(of(1.25), 1.25);
        assert_eq!(of(0.333_333), 0.333);
        assert_eq!(of(1.007_3), 1.007_3);
        assert_eq!((of(59.99), of(900.0), of(1e-9)), (60.0, 900.0, 1e-9));
    }

    #[test]
    fn samples_of_one_instant_never_end_it_nor_fill_the_memory() {
        let mut discovery = Discovery::new(None);
        for _ in 0..200_000 {
            assert!(!discovery.push(sample(0, 5, 1.0), true));
        }
        assert!(discovery.samples.len() <= MOST_SAMPLES);
    }
}
