//! The scorer of one stream: residuals of the model's heads, charts, and who is responsible.

use super::charts::{ChartState, Charts};
use super::residual::{Column, Residuals};
use crate::engine::Expectation;
use crate::frame::{Frame, Freshness};
use crate::model::manifest::{HeadKind, Manifest};

/// One sensor's part in a sample's score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Responsible {
    pub sensor: usize,
    /// S: the largest u over heads and speeds, in multiples of normal.
    pub strength: f32,
    pub head: HeadKind,
    /// What was expected of the sensor, standardised, with the learnt centre taken in.
    pub expected: f32,
}

/// Scores standardised frames against what an engine expected of them.
#[derive(Debug, Clone)]
pub struct Scorer {
    heads: Vec<HeadKind>,
    residuals: Residuals,
    charts: ChartState,
    /// `[F]` 1 where the newest sample counts, 0 where the sensor is stale
    scored: Vec<f32>,
    /// `[F]` expectation of the raw head
    zeros: Vec<f32>,
}

impl Scorer {
    pub fn new(manifest: &Manifest) -> Self {
        let mut columns = Vec::with_capacity(manifest.heads.len() * manifest.sensors.len());
        for h in 0..manifest.heads.len() {
            columns.extend(manifest.sensors.iter().map(|sensor| {
                let spread = &sensor.residual[h];
                Column {
                    median: spread.median as f32,
                    spread: spread.spread as f32,
                    fast: spread.fast as f32,
                    slow: spread.slow as f32,
                }
            }));
        }
        Scorer::with_columns(manifest.heads.clone(), manifest.sensors.len(), &columns)
    }

    /// `columns` `[heads·F]`, head-major.
    pub fn with_columns(heads: Vec<HeadKind>, sensors: usize, columns: &[Column]) -> Self {
        Scorer {
            heads,
            residuals: Residuals::new(sensors, columns),
            charts: ChartState::default(),
            scored: vec![1.0; sensors],
            zeros: vec![0.0; sensors],
        }
    }

    /// After a gap: averages begin anew, slowly learnt centres stay.
    pub fn restart(&mut self) {
        self.residuals.restart();
        self.charts.restart();
    }

    /// Scores the standardised frame `x` `[F]` of `frame` against `expectation`. `attenuation`
    /// `[F]` comes from flood control; `frozen` while an alarm is on.
    pub fn step(
        &mut self,
        frame: &Frame,
        x: &[f32],
        expectation: &Expectation,
        attenuation: &[f32],
        frozen: bool,
    ) -> Charts {
        for (scored, freshness) in self.scored.iter_mut().zip(&frame.freshness) {
            *scored = if *freshness == Freshness::Stale {
                0.0
            } else {
                1.0
            };
        }
        for h in 0..self.heads.len() {
            let expected = match self.heads[h] {
                HeadKind::Reconstruction => &expectation.reconstruction,
                HeadKind::Neighbour => &expectation.neighbour,
                HeadKind::Raw => &self.zeros,
            };
            self.residuals.step(h, x, expected, &self.scored, frozen);
        }
        self.charts.step(&self.residuals, attenuation)
    }

    /// S_i of every sensor at the newest sample, attenuated by flood control, into `out` `[F]`.
    pub fn strengths(&self, attenuation: &[f32], out: &mut [f32]) {
        for (i, strength) in out.iter_mut().enumerate() {
            *strength = self.strongest_column(i).1 * (-attenuation[i]).exp2();
        }
    }

    /// The sensors most responsible for the newest sample `x` `[F]`, strongest first, at most
    /// `limit`, leaving out those that are not unusual at all.
    pub fn responsible(&self, x: &[f32], attenuation: &[f32], limit: usize) -> Vec<Responsible> {
        let mut order: Vec<(usize, f32)> = (0..self.residuals.sensors())
            .map(|i| (i, self.strongest_column(i).1 * (-attenuation[i]).exp2()))
            .collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order.truncate(limit);
        order.retain(|&(_, strength)| strength > 0.0);
        let evidence = order.into_iter().map(|(sensor, strength)| {
            let (h, _) = self.strongest_column(sensor);
            let expected = x[sensor] - self.residuals.deviation(h, sensor);
            Responsible {
                sensor,
                strength,
                head: self.heads[h],
                expected,
            }
        });
        evidence.collect()
    }

    /// The head with the largest u of sensor `i`, and that u.
    fn strongest_column(&self, i: usize) -> (usize, f32) {
        let mut best = (0, 0.0);
        for h in 0..self.heads.len() {
            let u = self.residuals.fast(h)[i].max(self.residuals.slow(h)[i]);
            if u > best.1 {
                best = (h, u);
            }
        }
        best
    }

    pub fn residuals(&self) -> &Residuals {
        &self.residuals
    }

    pub fn residuals_mut(&mut self) -> &mut Residuals {
        &mut self.residuals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Column = Column {
        median: 0.0,
        spread: 1.0,
        fast: 1.0,
        slow: 1.0,
    };

    fn fresh(values: &[f64]) -> Frame {
        let mut frame = Frame::new(values.len());
        frame.values = values.to_vec();
        frame.freshness = vec![Freshness::Fresh; values.len()];
        frame
    }

    #[test]
    fn the_sensor_that_departs_most_is_named_with_its_winning_head() {
        let heads = vec![HeadKind::Neighbour, HeadKind::Raw];
        let mut scorer = Scorer::with_columns(heads, 3, &[UNIT; 6]);
        let mut expectation = Expectation::zeros(3);
        expectation.neighbour = vec![0.0, -4.0, 0.0];
        let x = [1.0, 2.0, -3.0];
        scorer.step(&fresh(&[0.0; 3]), &x, &expectation, &[0.0; 3], false);
        let named = scorer.responsible(&x, &[0.0; 3], 2);
        assert_eq!(named.len(), 2);
        assert_eq!((named[0].sensor, named[0].head), (1, HeadKind::Neighbour));
        assert_eq!((named[0].strength, named[0].expected), (6.0, -4.0));
        assert_eq!(named[1].sensor, 2);
    }

    #[test]
    fn attenuated_and_stale_sensors_step_back() {
        let mut scorer = Scorer::with_columns(vec![HeadKind::Raw], 3, &[UNIT; 3]);
        let mut frame = fresh(&[0.0; 3]);
        frame.freshness[2] = Freshness::Stale;
        let x = [8.0, 6.0, 9.0];
        scorer.step(&frame, &x, &Expectation::zeros(3), &[1.0, 0.0, 0.0], false);
        let named = scorer.responsible(&x, &[1.0, 0.0, 0.0], 3);
        assert_eq!(named.iter().map(|r| r.sensor).collect::<Vec<_>>(), [1, 0]);
        let mut strengths = [0.0; 3];
        scorer.strengths(&[1.0, 0.0, 0.0], &mut strengths);
        assert_eq!(strengths, [4.0, 6.0, 0.0]);
    }
}
