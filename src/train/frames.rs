//! Normal data as the model will see it: aligned, standardised, with its gaps marked.

use std::io;

use super::EachRow;
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

    /// Aligns rows (time and values `[F]`, NaN where missing) to the grid and standardises them on
    /// themselves. `each` hands all of them to the function it is given, the same ones each time: the
    /// grid is gone through once a moment, so that the raw values are never in memory together.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn gather(sensors: usize, config: AlignConfig, each: &EachRow<'_>) -> io::Result<Self> {
        let on_grid = |take: &mut dyn FnMut(&Frame)| {
            let mut aligner = Aligner::new(sensors, config);
            let mut frame = Frame::new(sensors);
            each(&mut |time, values| {
                aligner.push_row(time, values);
                while aligner.next_frame(None, &mut frame) {
                    take(&frame);
                }
            })?;
            while aligner.finish(&mut frame) {
                take(&frame);
            }
            Ok::<(), io::Error>(())
        };
        let mut restart = Vec::new();
        let mut times: Option<(Timestamp, Timestamp)> = None;
        let mut fresh = 0_usize;
        let mut moments = vec![ScaleMoments::default(); sensors];
        on_grid(&mut |frame| {
            restart.push(frame.restart);
            let is_fresh = |freshness: &&Freshness| **freshness == Freshness::Fresh;
            fresh += frame.freshness.iter().filter(is_fresh).count();
            times = Some((times.map_or(frame.time, |(first, _)| first), frame.time));
            for (moments, &value) in moments.iter_mut().zip(&frame.values) {
                moments.count(value);
            }
        })?;
        on_grid(&mut |frame| {
            for (moments, &value) in moments.iter_mut().zip(&frame.values) {
                moments.spread(value);
            }
        })?;
        let scale: Vec<(f64, f64)> = moments.iter().map(ScaleMoments::scale).collect();
        let mut x = Vec::with_capacity(restart.len() * sensors);
        on_grid(&mut |frame| {
            let of_sensors = frame.values.iter().zip(&scale);
            // The clamp keeps NaN, which marks a stale value.
            x.extend(of_sensors.map(|(value, (mean, deviation))| {
                (((value - mean) / deviation) as f32).clamp(-CLIP, CLIP)
            }));
        })?;
        if x.len() != restart.len() * sensors {
            return Err(io::Error::other("they changed meanwhile"));
        }
        let (first, last) = times.unwrap_or((Timestamp::EPOCH, Timestamp::EPOCH));
        Ok(TrainingFrames {
            sensors,
            missing: 1.0 - fresh as f64 / x.len().max(1) as f64,
            x,
            restart,
            first,
            last,
            scale,
        })
    }
}

/// Mean and population deviation of one sensor's finite values, in two passes.
#[derive(Debug, Clone, Copy, Default)]
struct ScaleMoments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl ScaleMoments {
    /// The first pass.
    fn count(&mut self, value: f64) {
        if value.is_finite() {
            self.count += 1.0;
            self.sum += value;
        }
    }

    /// The second pass.
    fn spread(&mut self, value: f64) {
        if value.is_finite() {
            let off = value - self.sum / self.count;
            self.squares += off * off;
        }
    }

    /// Mean and deviation, the latter with the floor for constants.
    fn scale(&self) -> (f64, f64) {
        if self.count == 0.0 {
            return (0.0, ZERO_SCALE);
        }
        let mean = self.sum / self.count;
        let deviation = (self.squares / self.count).sqrt();
        if deviation > CONSTANT_SHARE * mean.abs() && deviation > f64::MIN_POSITIVE {
            (mean, deviation)
        } else {
            (mean, (CONSTANT_SCALE * mean.abs()).max(ZERO_SCALE))
        }
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
        let of = |values: &[f64]| {
            let mut moments = ScaleMoments::default();
            values.iter().for_each(|&value| moments.count(value));
            values.iter().for_each(|&value| moments.spread(value));
            moments.scale()
        };
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
