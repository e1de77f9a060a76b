//! Normal data as the model will see it: aligned, standardised, with its gaps marked.

use crate::frame::align::{AlignConfig, Aligner};
use crate::frame::{Frame, Freshness, Timestamp};
use crate::model::manifest::Sensor;
use crate::window::CLIP;

/// A sensor counts as constant when its spread is below this share of its value.
const CONSTANT_SHARE: f64 = 1e-9;
/// A constant sensor is scaled by this share of its value ...
const CONSTANT_SCALE: f64 = 0.01;
/// ... and a constant zero by this, in its own unit: all that is known is that it stood still.
const ZERO_SCALE: f64 = 0.01;

/// The training rows on the grid.
#[derive(Debug, Clone)]
pub struct TrainingFrames {
    pub sensors: usize,
    /// `[N,F]` standardised and clipped; NaN where stale
    pub x: Vec<f32>,
    /// `[N]` true where a row does not follow from the one before it
    pub restart: Vec<bool>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Share of values that were not read fresh, 0 to 1.
    pub missing: f64,
    /// `[F]` mean and deviation of the sensors' own units
    pub scale: Vec<(f64, f64)>,
}

impl TrainingFrames {
    pub fn rows(&self) -> usize {
        self.restart.len()
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.x[row * self.sensors..(row + 1) * self.sensors]
    }

    /// Aligns `rows` (time and values `[F]`, NaN where missing) to the grid and standardises them
    /// on themselves.
    pub fn gather<'a>(
        sensors: usize,
        config: AlignConfig,
        rows: impl Iterator<Item = (Timestamp, &'a [f64])>,
    ) -> Self {
        let mut raw = RawFrames {
            values: Vec::new(),
            restart: Vec::new(),
            times: None,
            fresh: 0,
        };
        let mut aligner = Aligner::new(sensors, config);
        let mut frame = Frame::new(sensors);
        for (time, values) in rows {
            aligner.push_row(time, values);
            while aligner.next_frame(None, &mut frame) {
                raw.take(&frame);
            }
        }
        while aligner.finish(&mut frame) {
            raw.take(&frame);
        }
        raw.standardise(sensors)
    }
}

struct RawFrames {
    values: Vec<f64>,
    restart: Vec<bool>,
    times: Option<(Timestamp, Timestamp)>,
    fresh: usize,
}

impl RawFrames {
    fn take(&mut self, frame: &Frame) {
        self.values.extend_from_slice(&frame.values);
        self.restart.push(frame.restart);
        self.fresh += frame
            .freshness
            .iter()
            .filter(|f| **f == Freshness::Fresh)
            .count();
        let first = self.times.map_or(frame.time, |(first, _)| first);
        self.times = Some((first, frame.time));
    }

    fn standardise(self, sensors: usize) -> TrainingFrames {
        let scale: Vec<(f64, f64)> = (0..sensors)
            .map(|i| mean_and_deviation(self.values.iter().skip(i).step_by(sensors).copied()))
            .collect();
        let x = self.values.iter().enumerate().map(|(place, value)| {
            let (mean, deviation) = scale[place % sensors];
            // The clamp keeps NaN, which marks a stale value.
            (((value - mean) / deviation) as f32).clamp(-CLIP, CLIP)
        });
        let (first, last) = self.times.unwrap_or((Timestamp::EPOCH, Timestamp::EPOCH));
        TrainingFrames {
            sensors,
            x: x.collect(),
            missing: 1.0 - self.fresh as f64 / self.values.len().max(1) as f64,
            restart: self.restart,
            first,
            last,
            scale,
        }
    }
}

/// Mean and population deviation of the finite values, the latter with the floor for constants.
fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (count, sum) = finite
        .clone()
        .fold((0.0, 0.0), |(n, s), value| (n + 1.0, s + value));
    if count == 0.0 {
        return (0.0, ZERO_SCALE);
    }
    let mean = sum / count;
    let variance = finite
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / count;
    let deviation = variance.sqrt();
    if deviation > CONSTANT_SHARE * mean.abs() && deviation > f64::MIN_POSITIVE {
        (mean, deviation)
    } else {
        (mean, (CONSTANT_SCALE * mean.abs()).max(ZERO_SCALE))
    }
}

/// The sensors as the manifest lists them, without residual constants yet.
pub fn manifest_sensors(names: &[String], units: &[String], scale: &[(f64, f64)]) -> Vec<Sensor> {
    let of_sensor = names.iter().zip(units).zip(scale);
    of_sensor
        .map(|((name, unit), &(mean, deviation))| Sensor {
            name: name.clone(),
            unit: unit.clone(),
            mean,
            deviation,
            residual: Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_get_a_scale_from_their_value() {
        let of = |values: &[f64]| mean_and_deviation(values.iter().copied());
        assert_eq!(of(&[5.0; 10]), (5.0, 0.05));
        assert_eq!(of(&[0.0; 10]), (0.0, ZERO_SCALE));
        assert_eq!(of(&[f64::NAN, f64::NAN]), (0.0, ZERO_SCALE));
        assert_eq!(of(&[1.0, f64::NAN, 3.0]), (2.0, 1.0));
        let tiny = of(&[1e-9, 3e-9]);
        assert!(
            (tiny.1 - 1e-9).abs() < 1e-15,
            "a small unit is not a constant: {tiny:?}"
        );
    }
}
