//! The LSTM head: fits by the torch worker, out-of-sample reconstructions by the native engine.

use std::path::Path;

use super::folds::{folds, segments};
use super::frames::TrainingFrames;
use super::{TrainError, TrainProgress};
use crate::engine::native::NativeEngine;
use crate::engine::torch::trainer::{Progress, TrainJob, Trainer};
use crate::engine::{Engine, Expectation};
use crate::model::read_weights;
use crate::model::torchscript::save_network;
use crate::model::{Autoencoder, GraphLstm};

/// Folds of the LSTM: each costs a training of its own.
const FOLDS: usize = 3;

/// How long and how hard to train.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderConfig {
    /// H
    pub hidden: usize,
    /// Stacked layers of encoder and decoder each, 1 or 2.
    pub layers: usize,
    /// Updates a fit; `None`: as many as the data call for, see [`default_steps`].
    pub steps: Option<usize>,
    /// Windows an update.
    pub batch: usize,
    pub learning_rate: f64,
    pub seed: u64,
    /// One worker at a time instead of two: half the memory.
    pub one_at_a_time: bool,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        AutoencoderConfig {
            hidden: 64,
            layers: 1,
            steps: None,
            batch: 64,
            learning_rate: 5e-3,
            seed: 1,
            one_at_a_time: false,
        }
    }
}

/// Updates a fit of `rows` rows: twelve passes over the windows, at least 1000 updates (fewer leave
/// a small recording untrained) and at most 4000 (four fits then take some 80 s on two x86 cores,
/// and held-out loss falls only slowly from there).
fn default_steps(rows: usize, batch: usize) -> usize {
    (12 * rows / batch.max(1)).clamp(1000, 4000)
}

/// The trained autoencoder and what its folds say of rows that they never saw.
pub struct Fitted {
    pub autoencoder: Autoencoder,
    /// Mean squared error on the training rows.
    pub loss: f64,
    /// `[N,F]`, NaN where no window ends
    pub residual: Vec<f32>,
}

/// What is learnt from.
pub struct Rows<'a> {
    pub frames: &'a TrainingFrames,
    /// `[N,F]` the frames with stale values filled in: finite everywhere
    pub x: &'a [f32],
    /// T
    pub window: usize,
    /// Rows left out around the judged rows of each fold.
    pub embargo: usize,
}

/// Fits the folds and the final autoencoder.
///
/// # Errors
/// The worker is missing or fails, the rows leave no whole window, or `scratch` cannot be written.
pub fn fit(
    rows: &Rows<'_>,
    config: &AutoencoderConfig,
    trainer: &Trainer,
    scratch: &Path,
    progress: &mut dyn FnMut(TrainProgress),
) -> Result<Fitted, TrainError> {
    let Rows {
        frames,
        x,
        window,
        embargo,
    } = *rows;
    let sensors = frames.sensors;
    let init = GraphLstm {
        neighbour: None,
        ..GraphLstm::init(sensors, config.hidden, window, config.layers, config.seed)
    };
    let archive = scratch.join("initial.pt");
    save_network(&archive, &init)?;
    let rows = scratch.join("rows.safetensors");
    write_rows(&rows, frames, x)?;

    let steps = config
        .steps
        .unwrap_or_else(|| default_steps(frames.rows(), config.batch));
    let mut judged = Vec::new();
    let mut jobs = Vec::new();
    let all = 0..frames.rows();
    let mut ranges: Vec<Vec<std::ops::Range<usize>>> = vec![vec![all]];
    for fold in folds(frames.rows(), FOLDS, embargo) {
        judged.push(fold.judged);
        ranges.push(fold.learnt);
    }
    for (k, learnt) in ranges.iter().enumerate() {
        let segments = segments(learnt, &frames.restart, window);
        if segments.is_empty() {
            return Err(TrainError::NoWindows { window });
        }
        jobs.push(TrainJob {
            archive: archive.clone(),
            rows: rows.clone(),
            segments,
            window,
            steps,
            batch: config.batch,
            learning_rate: config.learning_rate,
            seed: config.seed,
            weights_out: scratch.join(format!("weights-{k}.safetensors")),
        });
    }
    let total = jobs.len() * steps;
    let mut done = vec![0; jobs.len()];
    let mut report = |at: Progress| {
        done[at.job] = at.step;
        progress(TrainProgress::Autoencoder {
            step: done.iter().sum(),
            steps: total,
            loss: at.loss,
        });
    };
    let outcomes = trainer.train(&jobs, &mut report)?;

    let mut residual = vec![f32::NAN; x.len()];
    for (fold, job) in judged.into_iter().zip(&jobs[1..]) {
        let mut network = init.clone();
        read_weights(&job.weights_out, &mut network)?;
        let mut engine = NativeEngine::new(&network)?;
        let mut expectation = Expectation::zeros(sensors);
        for row in fold.start.saturating_sub(window - 1)..fold.end {
            if frames.restart[row] {
                engine.reset();
            }
            let now = &x[row * sensors..(row + 1) * sensors];
            if engine.step(now, &mut expectation)? && row >= fold.start {
                for i in 0..sensors {
                    if frames.row(row)[i].is_finite() {
                        residual[row * sensors + i] = now[i] - expectation.reconstruction[i];
                    }
                }
            }
        }
    }
    let mut network = init;
    read_weights(&jobs[0].weights_out, &mut network)?;
    let autoencoder = network
        .autoencoder
        .ok_or(TrainError::NoWindows { window })?;
    Ok(Fitted {
        autoencoder,
        loss: outcomes[0].loss,
        residual,
    })
}

/// Writes `x` with `valid`, which keeps imputed values out of the loss.
fn write_rows(path: &Path, frames: &TrainingFrames, x: &[f32]) -> Result<(), TrainError> {
    let bytes = |values: &mut dyn Iterator<Item = f32>| -> Vec<u8> {
        values.flat_map(f32::to_le_bytes).collect()
    };
    let shape = vec![frames.rows(), frames.sensors];
    let x = bytes(&mut x.iter().copied());
    let measured = |value: &f32| if value.is_finite() { 1.0 } else { 0.0 };
    let valid = bytes(&mut frames.x.iter().map(measured));
    let view =
        |data| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data);
    let failed = |reason: String| TrainError::Scratch {
        path: path.to_owned(),
        reason,
    };
    let tensors = [
        ("x", view(&x).map_err(|e| failed(e.to_string()))?),
        ("valid", view(&valid).map_err(|e| failed(e.to_string()))?),
    ];
    safetensors::serialize_to_file(tensors, None, path).map_err(|e| failed(e.to_string()))
}
