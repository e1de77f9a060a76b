//! Golden vectors for a new model: consecutive windows of its own normal data, run on every engine
//! that is here.

use super::TrainError;
use super::frames::TrainingFrames;
use crate::engine::native::NativeEngine;
use crate::engine::torch::TorchConfig;
use crate::engine::{Engine, EngineError};
use crate::model::golden::{Golden, GoldenTorch};
use crate::model::{ModelFile, Network};
use crate::pipeline::{golden_scores, open_torch};

/// Windows kept.
const COUNT: usize = 16;

/// Adds golden vectors to `model`. Where the torch worker cannot be had, its half is left out and
/// the reason is returned.
pub fn add(
    mut model: ModelFile,
    frames: &TrainingFrames,
    x: &[f32],
    torch: &TorchConfig,
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
    for g in first..first + COUNT {
        golden
            .windows
            .extend_from_slice(&x[g * sensors..(g + window) * sensors]);
    }
    if let Network::GraphLstm(network) = &model.network {
        let outputs = NativeEngine::new(network)?.run_windows(&golden.windows, COUNT)?;
        golden.score = golden_scores(
            &model.manifest,
            &golden,
            &outputs.reconstruction,
            &outputs.neighbour,
        );
        golden.reconstruction = outputs.reconstruction;
        golden.neighbour = outputs.neighbour;
    }
    model.golden = golden;
    // libtorch judges the file as it will be, so it is written first.
    model.save(&model.path)?;
    let by_torch = open_torch(&model, torch)
        .and_then(|mut engine| engine.run_windows(&model.golden.windows, COUNT));
    let without_torch = match by_torch {
        Ok(outputs) => {
            let score = golden_scores(
                &model.manifest,
                &model.golden,
                &outputs.reconstruction,
                &outputs.neighbour,
            );
            if matches!(model.network, Network::Foreign { .. }) {
                model.golden.reconstruction = outputs.reconstruction.clone();
                model.golden.neighbour = outputs.neighbour.clone();
                model.golden.score = score.clone();
            }
            model.golden.torch = Some(GoldenTorch {
                reconstruction: outputs.reconstruction,
                neighbour: outputs.neighbour,
                score,
            });
            None
        }
        Err(reason) => Some(reason),
    };
    Ok((model, without_torch))
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
