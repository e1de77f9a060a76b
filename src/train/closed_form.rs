//! The heads that need no iteration: the sensor graph and the training mean.

use std::collections::HashSet;
use std::ops::Range;

use super::folds::{Fold, folds};
use super::frames::TrainingFrames;
use crate::engine::graph::{Moments, SensorGraph};

/// Folds of the closed-form heads.
const FOLDS: usize = 5;

/// Out-of-sample residuals `[N,F]` of both closed-form heads, NaN where stale.
pub struct ClosedForm {
    pub neighbour: Vec<f32>,
    pub raw: Vec<f32>,
    /// Fitted on all rows.
    pub graph: SensorGraph,
}

/// Fits both heads; `embargo` rows are left out around the judged rows of each fold.
pub fn fit(
    frames: &TrainingFrames,
    embargo: usize,
    allowed: Option<&HashSet<(usize, usize)>>,
) -> ClosedForm {
    let sensors = frames.sensors;
    let mut neighbour = vec![f32::NAN; frames.x.len()];
    let mut raw = vec![f32::NAN; frames.x.len()];
    let mut expected = vec![0.0; sensors];
    for Fold { judged, learnt } in folds(frames.rows(), FOLDS, embargo) {
        let graph = SensorGraph::fit(&moments(frames, &learnt), allowed);
        for row in judged {
            let x = frames.row(row);
            graph.expect(x, &mut expected);
            for i in 0..sensors {
                neighbour[row * sensors + i] = x[i] - expected[i];
                raw[row * sensors + i] = x[i] - graph.mean[i] as f32;
            }
        }
    }
    let everything = 0..frames.rows();
    let graph = SensorGraph::fit(&moments(frames, std::slice::from_ref(&everything)), allowed);
    ClosedForm {
        neighbour,
        raw,
        graph,
    }
}

fn moments(frames: &TrainingFrames, ranges: &[Range<usize>]) -> Moments {
    let mut moments = Moments::new(frames.sensors);
    for row in ranges.iter().cloned().flatten() {
        moments.add(frames.row(row));
    }
    moments
}
