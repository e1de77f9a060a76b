//! Stage 3: frames in the sensors' units become standardised vectors that an engine takes.
//!
//! Imports `frame` and `model` only.

use crate::frame::{Frame, Freshness};
use crate::model::manifest::{Edge, Sensor};

/// Standardised values are clipped to ±`CLIP`, so that one broken sensor cannot saturate the LSTM.
pub const CLIP: f32 = 10.0;

/// How often a stale sensor's stand-in is refined: chains of stale neighbours settle in two passes.
const IMPUTE_PASSES: usize = 2;

/// Turns frames into standardised vectors x `[F]` and fills in for stale sensors.
#[derive(Debug, Clone)]
pub struct Standardiser {
    mean: Vec<f64>,
    inverse_deviation: Vec<f64>,
    /// Edges of each target: `sources[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    sources: Vec<(usize, f32)>,
}

impl Standardiser {
    pub fn new(sensors: &[Sensor], edges: &[Edge]) -> Self {
        let mut starts = vec![0; sensors.len() + 1];
        let mut sources = Vec::with_capacity(edges.len());
        for target in 0..sensors.len() {
            let of_target = edges.iter().filter(|edge| edge.target == target);
            sources.extend(of_target.map(|edge| (edge.source, edge.weight as f32)));
            starts[target + 1] = sources.len();
        }
        Standardiser {
            mean: sensors.iter().map(|sensor| sensor.mean).collect(),
            inverse_deviation: sensors
                .iter()
                .map(|sensor| 1.0 / sensor.deviation)
                .collect(),
            starts,
            sources,
        }
    }

    pub fn sensors(&self) -> usize {
        self.mean.len()
    }

    /// Writes the standardised frame into `x` `[F]`, always finite.
    ///
    /// A stale sensor is given the value that the sensor graph expects of it, or its training mean
    /// where the graph says nothing. For Gaussian neighbours that is the same as taking it out of
    /// its neighbours' sums and refitting them (the conditional expectation of the conditional
    /// expectation), and the autoencoder sees a plausible frame instead of a hole.
    pub fn standardise(&self, frame: &Frame, x: &mut [f32]) {
        debug_assert_eq!(frame.values.len(), self.sensors());
        let mut any_stale = false;
        for (i, value) in frame.values.iter().enumerate() {
            let scaled = (value - self.mean[i]) * self.inverse_deviation[i];
            if frame.freshness[i] == Freshness::Stale || scaled.is_nan() {
                any_stale = true;
                x[i] = 0.0;
            } else {
                x[i] = (scaled as f32).clamp(-CLIP, CLIP);
            }
        }
        if any_stale {
            self.impute(x, |i| frame.freshness[i] == Freshness::Stale);
        }
    }

    /// Gives the NaN entries of an already standardised row `x` `[F]` the same stand-ins.
    pub fn impute_missing(&self, x: &mut [f32]) {
        if x.iter().any(|value| value.is_nan()) {
            let missing: Vec<bool> = x.iter().map(|value| value.is_nan()).collect();
            x.iter_mut()
                .filter(|value| value.is_nan())
                .for_each(|value| *value = 0.0);
            self.impute(x, |i| missing[i]);
        }
    }

    fn impute(&self, x: &mut [f32], missing: impl Fn(usize) -> bool) {
        for _ in 0..IMPUTE_PASSES {
            for i in (0..self.sensors()).filter(|&i| missing(i)) {
                let sources = &self.sources[self.starts[i]..self.starts[i + 1]];
                let expected: f32 = sources.iter().map(|&(j, weight)| weight * x[j]).sum();
                x[i] = expected.clamp(-CLIP, CLIP);
            }
        }
    }

    /// A standardised value of sensor `i` in the sensor's own unit.
    pub fn in_unit(&self, i: usize, standardised: f32) -> f64 {
        self.mean[i] + f64::from(standardised) / self.inverse_deviation[i]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor(mean: f64, deviation: f64) -> Sensor {
        Sensor {
            name: String::new(),
            unit: String::new(),
            mean,
            deviation,
            residual: vec![],
        }
    }

    #[test]
    fn values_are_scaled_and_clipped() {
        let standardiser = Standardiser::new(&[sensor(10.0, 2.0), sensor(0.0, 1.0)], &[]);
        let mut frame = Frame::new(2);
        frame.values = vec![14.0, -1e12];
        frame.freshness = vec![Freshness::Fresh; 2];
        let mut x = [0.0; 2];
        standardiser.standardise(&frame, &mut x);
        assert_eq!(x, [2.0, -CLIP]);
        assert_eq!(standardiser.in_unit(0, 2.0), 14.0);
    }

    #[test]
    fn a_stale_sensor_stands_where_its_neighbours_expect_it() {
        let edges = [
            Edge {
                target: 1,
                source: 0,
                weight: 0.8,
            },
            Edge {
                target: 2,
                source: 1,
                weight: 0.5,
            },
        ];
        let sensors = [sensor(0.0, 1.0), sensor(0.0, 1.0), sensor(0.0, 1.0)];
        let standardiser = Standardiser::new(&sensors, &edges);
        let mut frame = Frame::new(3);
        frame.values = vec![2.0, f64::NAN, f64::NAN];
        frame.freshness = vec![Freshness::Fresh, Freshness::Stale, Freshness::Stale];
        let mut x = [9.0; 3];
        standardiser.standardise(&frame, &mut x);
        assert_eq!(x, [2.0, 1.6, 0.8]);
    }

    #[test]
    fn nothing_finite_is_ever_lost_to_nan() {
        let standardiser = Standardiser::new(&[sensor(0.0, 1e-300)], &[]);
        let mut frame = Frame::new(1);
        frame.freshness = vec![Freshness::Fresh];
        let mut x = [0.0];
        for value in [f64::MAX, f64::MIN, 0.0, f64::NAN, f64::INFINITY] {
            frame.values[0] = value;
            standardiser.standardise(&frame, &mut x);
            assert!(x[0].is_finite(), "{value}");
        }
    }
}
