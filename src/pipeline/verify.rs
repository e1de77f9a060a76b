//! Golden vectors: does this machine, with this engine, reproduce what the file says?

use crate::engine::{Engine, EngineError, Expectation};
use crate::frame::{Frame, Freshness};
use crate::model::golden::Golden;
use crate::model::{Manifest, ModelFile};
use crate::score::Scorer;

/// The largest difference at which an engine counts as reproducing the golden vectors.
pub const GOLDEN_TOLERANCE: f32 = 1e-5;

/// How well an engine reproduced the golden vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    pub vectors: usize,
    /// Largest absolute difference of the reconstruction, standardised units.
    pub reconstruction: f32,
    pub neighbour: f32,
    /// Largest difference of the score, relative to max(1, score).
    pub score: f32,
    /// The vector with the largest difference of all.
    pub worst_vector: usize,
}

impl Agreement {
    pub fn largest(&self) -> f32 {
        self.reconstruction.max(self.neighbour).max(self.score)
    }

    pub fn holds(&self) -> bool {
        self.largest() <= GOLDEN_TOLERANCE
    }
}

/// Runs the golden windows of `model` on `engine` and compares outputs and scores.
///
/// # Errors
/// The engine cannot run them.
pub fn verify(engine: &mut dyn Engine, model: &ModelFile) -> Result<Agreement, EngineError> {
    let golden = &model.golden;
    let outputs = engine.run_windows(&golden.windows, golden.count)?;
    let score = golden_scores(
        &model.manifest,
        golden,
        &outputs.reconstruction,
        &outputs.neighbour,
    );
    let mut agreement = Agreement {
        vectors: golden.count,
        reconstruction: 0.0,
        neighbour: 0.0,
        score: 0.0,
        worst_vector: 0,
    };
    let per_window = model.manifest.window * model.manifest.sensors.len();
    let sensors = model.manifest.sensors.len();
    for (g, (score, golden_score)) in score.iter().zip(&golden.score).enumerate() {
        let before = agreement.largest();
        let window = g * per_window..(g + 1) * per_window;
        let row = g * sensors..(g + 1) * sensors;
        let off = largest(
            &outputs.reconstruction[window.clone()],
            &golden.reconstruction[window],
        );
        agreement.reconstruction = agreement.reconstruction.max(off);
        let off = largest(&outputs.neighbour[row.clone()], &golden.neighbour[row]);
        agreement.neighbour = agreement.neighbour.max(off);
        let off = (score - golden_score).abs() / golden_score.abs().max(1.0);
        agreement.score = agreement
            .score
            .max(if off.is_nan() { f32::INFINITY } else { off });
        if agreement.largest() > before {
            agreement.worst_vector = g;
        }
    }
    Ok(agreement)
}

/// Largest absolute difference; a NaN on either side is infinitely far off.
fn largest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |most, (a, b)| {
        let off = (a - b).abs();
        if off.is_nan() {
            f32::INFINITY
        } else {
            most.max(off)
        }
    })
}

/// The published score of each golden window, scored in order from a fresh scorer, given the
/// outputs `reconstruction` `[G,T,F]` and `neighbour` `[G,F]`.
pub fn golden_scores(
    manifest: &Manifest,
    golden: &Golden,
    reconstruction: &[f32],
    neighbour: &[f32],
) -> Vec<f32> {
    let (window, sensors) = (manifest.window, manifest.sensors.len());
    let mut scorer = Scorer::new(manifest);
    let mut frame = Frame::new(sensors);
    frame.freshness.fill(Freshness::Fresh);
    let attenuation = vec![0.0; sensors];
    let mut expectation = Expectation::zeros(sensors);
    (0..golden.count)
        .map(|g| {
            let newest = (g * window + window - 1) * sensors;
            expectation
                .reconstruction
                .copy_from_slice(&reconstruction[newest..newest + sensors]);
            expectation
                .neighbour
                .copy_from_slice(&neighbour[g * sensors..(g + 1) * sensors]);
            let x = &golden.windows[newest..newest + sensors];
            scorer
                .step(&frame, x, &expectation, &attenuation, false)
                .published
        })
        .collect()
}
