//! Golden vectors for a new model: consecutive windows of its own normal data, run on every engine
//! that is here.

use super::TrainError;
use super::frames::TrainingFrames;
use crate::engine::native::NativeEngine;
use crate::engine::torch::TorchConfig;
use crate::engine::{Engine, EngineError, WindowOutputs};
use crate::model::golden::{Golden, GoldenTorch};
use crate::model::{Manifest, ModelFile, Network};
use crate::pipeline::{golden_scores, open_torch};
use crate::window::Standardiser;

/// Windows kept.
const COUNT: usize = 16;

/// Adds golden vectors to `model`. Where the torch worker is not wanted, or cannot be had, its half
/// is left out and the reason is returned; a foreign module cannot do without.
///
/// # Errors
/// No stretch of the frames is long enough, or no engine runs the model.
pub fn add(
    mut model: ModelFile,
    frames: &TrainingFrames,
    standardiser: &Standardiser,
    torch: Option<&TorchConfig>,
) -> Result<(ModelFile, Option<EngineError>), TrainError> {
    let window = model.manifest.window;
    let first = liveliest_stretch(frames, window).ok_or(TrainError::NoWindows {
        window: window + COUNT - 1,
    })?;
    let sensors = frames.sensors;
    let mut golden = Golden {
        count: COUNT,
        ..Golden::default()
    };
    let stretch = first * sensors..(first + COUNT + window - 1) * sensors;
    let mut x = frames.x[stretch].to_vec();
    for row in x.chunks_exact_mut(sensors.max(1)) {
        standardiser.impute_missing(row);
    }
    for g in 0..COUNT {
        golden
            .windows
            .extend_from_slice(&x[g * sensors..(g + window) * sensors]);
    }
    let of_torch = |model: &ModelFile, windows: &[f32], torch: &TorchConfig| {
        open_torch(model, torch).and_then(|mut engine| engine.run_windows(windows, COUNT))
    };
    let Network::GraphLstm(network) = &model.network else {
        // Only libtorch can say what a foreign module does, and it reads the module itself.
        let outputs = of_torch(
            &model,
            &golden.windows,
            torch.unwrap_or(&TorchConfig::default()),
        )?;
        let answers = answers(&model.manifest, &golden, outputs);
        golden.reconstruction = answers.reconstruction.clone();
        golden.neighbour = answers.neighbour.clone();
        golden.score = answers.score.clone();
        golden.torch = Some(answers);
        model.golden = golden;
        return Ok((model, None));
    };
    let outputs = NativeEngine::new(network)?.run_windows(&golden.windows, COUNT)?;
    let native = answers(&model.manifest, &golden, outputs);
    golden.reconstruction = native.reconstruction;
    golden.neighbour = native.neighbour;
    golden.score = native.score;
    model.golden = golden;
    let Some(torch) = torch else {
        return Ok((model, None));
    };
    // libtorch judges the file as it will be, so it is written first.
    model.save(&model.path)?;
    match of_torch(&model, &model.golden.windows, torch) {
        Ok(outputs) => {
            let answers = answers(&model.manifest, &model.golden, outputs);
            model.golden.torch = Some(answers);
            Ok((model, None))
        }
        Err(reason) => Ok((model, Some(reason))),
    }
}

fn answers(manifest: &Manifest, golden: &Golden, outputs: WindowOutputs) -> GoldenTorch {
    let WindowOutputs {
        reconstruction,
        neighbour,
    } = outputs;
    GoldenTorch {
        score: golden_scores(manifest, golden, &reconstruction, &neighbour),
        reconstruction,
        neighbour,
    }
}

/// First row of the stretch of T+15 rows without a gap in which the sensors move most: windows in
/// which nothing happens would verify little.
fn liveliest_stretch(frames: &TrainingFrames, window: usize) -> Option<usize> {
    let length = window + COUNT - 1;
    let mut best: Option<(usize, f32)> = None;
    let mut start = 0;
    while start + length <= frames.rows() {
        let gap = (start + 1..start + length).find(|&row| frames.restart[row]);
        if let Some(row) = gap {
            start = row;
            continue;
        }
        let energy: f32 = (start..start + length)
            .flat_map(|row| frames.row(row))
            .map(|value| {
                if value.is_finite() {
                    value * value
                } else {
                    0.0
                }
            })
            .sum();
        if best.is_none_or(|(_, most)| energy > most) {
            best = Some((start, energy));
        }
        start += length;
    }
    best.map(|(start, _)| start)
}
