//! The scorer of one stream: residuals of the model's heads, charts, and who is responsible.

use super::charts::{ChartState, Charts, part};
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
    /// `[F]`: a person muted the sensor
    muted: Vec<bool>,
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
            muted: vec![false; sensors],
            zeros: vec![0.0; sensors],
        }
    }

    /// After a gap: averages begin anew, slowly learnt centres stay.
    pub fn restart(&mut self) {
        self.residuals.restart();
        self.charts.restart();
    }

    /// A muted sensor adds nothing to the charts, is not named and learns nothing, as though it were
    /// stale; what its neighbours expect from it stays as it is. Its averages begin anew when it is
    /// heard again.
    pub fn set_muted(&mut self, sensor: usize, muted: bool) {
        if let Some(was) = self.muted.get_mut(sensor)
            && *was != muted
        {
            *was = muted;
            self.residuals.restart_sensor(sensor);
        }
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
        let sensors = frame.freshness.iter().zip(&self.muted);
        for (scored, (freshness, muted)) in self.scored.iter_mut().zip(sensors) {
            *scored = if *freshness == Freshness::Stale || *muted {
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

    /// How far sensor `i` was from what its neighbours made expect of it at the newest sample (or
    /// the first head, where none looks at them), standardised. Always the same head, so that what
    /// was expected can be drawn over time.
    pub fn deviation(&self, i: usize) -> f32 {
        let of_neighbours = |head: &HeadKind| *head == HeadKind::Neighbour;
        let h = self.heads.iter().position(of_neighbours).unwrap_or(0);
        self.residuals.deviation(h, i)
    }

    /// What sensor `i` alone adds to both charts at the newest sample, before averaging and flood
    /// control.
    pub fn part(&self, i: usize) -> (f32, f32) {
        part(&self.residuals, i)
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
    use proptest::prelude::*;

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

    #[test]
    fn a_muted_sensor_is_not_named_and_begins_anew_when_heard_again() {
        let mut scorer = Scorer::with_columns(vec![HeadKind::Raw], 2, &[UNIT; 2]);
        let expectation = Expectation::zeros(2);
        let step = |scorer: &mut Scorer, x: [f32; 2]| {
            scorer.step(&fresh(&[0.0; 2]), &x, &expectation, &[0.0; 2], false)
        };
        for _ in 0..20 {
            step(&mut scorer, [40.0, 4.0]);
        }
        let learnt = scorer.residuals().learnt().0[0];
        scorer.set_muted(0, true);
        for _ in 0..50 {
            step(&mut scorer, [40.0, 4.0]);
        }
        assert_eq!(scorer.responsible(&[40.0, 4.0], &[0.0; 2], 5).len(), 1);
        assert_eq!(scorer.residuals().learnt().0[0], learnt);
        scorer.set_muted(0, false);
        assert_eq!(
            step(&mut scorer, [0.0, 0.0]).b,
            scorer.residuals().slow(0)[1]
        );
        scorer.set_muted(9, true);
    }

    proptest! {
        /// Muting one sensor leaves to the charts exactly what the others contribute.
        #[test]
        fn muting_never_changes_what_others_contribute(
            rows in prop::collection::vec(prop::array::uniform4(-60.0..60.0f32), 1..80),
            muted in 0..4usize,
        ) {
            let heads = vec![HeadKind::Neighbour, HeadKind::Raw];
            let mut with = Scorer::with_columns(heads.clone(), 4, &[UNIT; 8]);
            let mut without = with.clone();
            with.set_muted(muted, true);
            let mut gone = fresh(&[0.0; 4]);
            gone.freshness[muted] = Freshness::Stale;
            for x in &rows {
                // The neighbours still expect from it what they did.
                let mut expectation = Expectation::zeros(4);
                expectation.neighbour = (0..4).map(|i| 0.5 * x[(i + 1) % 4]).collect();
                let one = with.step(&fresh(&[0.0; 4]), x, &expectation, &[0.5; 4], false);
                let other = without.step(&gone, x, &expectation, &[0.5; 4], false);
                prop_assert_eq!(one, other);
                for i in (0..4).filter(|i| *i != muted) {
                    for h in 0..2 {
                        let (a, b) = (with.residuals(), without.residuals());
                        prop_assert_eq!(a.fast(h)[i], b.fast(h)[i]);
                        prop_assert_eq!(a.slow(h)[i], b.slow(h)[i]);
                        prop_assert_eq!(a.learnt().0[h * 4 + i], b.learnt().0[h * 4 + i]);
                    }
                }
                prop_assert!(with.responsible(x, &[0.0; 4], 4).iter().all(|r| r.sensor != muted));
            }
        }
    }
}
