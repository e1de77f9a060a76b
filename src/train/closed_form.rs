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
    let everything = moments(frames, 0..frames.rows());
    for Fold { judged, .. } in folds(frames.rows(), FOLDS, embargo) {
        let left_out = judged.start.saturating_sub(embargo)
            ..judged.end.saturating_add(embargo).min(frames.rows());
        let mut learnt = everything.clone();
        learnt.remove(&moments(frames, left_out));
        let graph = SensorGraph::fit(&learnt, allowed);
        for row in judged {
            let x = frames.row(row);
            graph.expect(x, &mut expected);
            for i in 0..sensors {
                neighbour[row * sensors + i] = x[i] - expected[i];
                raw[row * sensors + i] = x[i] - graph.mean[i] as f32;
            }
        }
    }
    ClosedForm {
        neighbour,
        raw,
        graph: SensorGraph::fit(&everything, allowed),
    }
}

fn moments(frames: &TrainingFrames, rows: Range<usize>) -> Moments {
    let mut moments = Moments::new(frames.sensors);
    for row in rows {
        moments.add(frames.row(row));
    }
    moments
}
