//! A module that was trained elsewhere becomes a model: calibration only, its weights stay as they
//! are.

use std::path::{Path, PathBuf};

use super::basis::{Basis, Unfinished};
use super::{EMBARGO, NormalData, TrainConfig, TrainError, TrainProgress, Trained};
use crate::engine::native::NativeEngine;
use crate::engine::torch::TorchEngine;
use crate::engine::{Engine, Expectation};
use crate::model::Network;
use crate::model::manifest::HeadKind;

/// Rows between two reports of progress.
const REPORT_ROWS: usize = 256;

/// Makes a model of `network`, the module in the archive at `module`, by calibrating on normal data.
///
/// Of `config`, heads and autoencoder are not looked at: every head that the module answers with is
/// scored, and raw. The residuals of the module's heads are in-sample if it was trained on these
/// data, and its thresholds then too low; those of raw are out of sample as in training.
///
/// # Errors
/// As for [`super::train`]; the module is for another number of sensors; or it is foreign and the
/// torch worker is missing or cannot run it.
pub fn wrap(
    (module, network): (&Path, Network),
    data: NormalData<'_>,
    config: &TrainConfig,
    scratch: &Path,
    progress: &mut dyn FnMut(TrainProgress),
) -> Result<Trained, TrainError> {
    let sensors = data.sensors.len();
    let (network, mut engine, path) = open(module, network, sensors, config, scratch)?;
    progress(TrainProgress::Graph);
    let mut basis = Basis::learn(data, config, EMBARGO.max(config.window))?;
    let judged = judge(&basis, engine.as_mut(), progress)?;
    // Its worker would only take memory from here on.
    drop(engine);

    let mut residuals = Vec::new();
    let mut loss = None;
    if judged.reconstructs {
        loss = Some(mean_square(&judged.reconstruction));
        residuals.push((HeadKind::Reconstruction, judged.reconstruction));
    }
    if judged.estimates {
        residuals.push((HeadKind::Neighbour, judged.neighbour));
    }
    residuals.push((HeadKind::Raw, std::mem::take(&mut basis.closed.raw)));
    let model = Unfinished {
        path,
        network,
        residuals,
        loss,
    };
    basis.finish(model, config, progress)
}

/// The engine for the module, and where libtorch finds it.
fn open(
    module: &Path,
    network: Network,
    sensors: usize,
    config: &TrainConfig,
    scratch: &Path,
) -> Result<(Network, Box<dyn Engine>, PathBuf), TrainError> {
    match network {
        Network::GraphLstm(mut network) => {
            if network.sensors != sensors {
                return Err(TrainError::OtherWidth {
                    module: network.sensors,
                    recording: sensors,
                });
            }
            network.window = config.window;
            let engine = Box::new(NativeEngine::new(&network)?);
            let path = scratch.join("wrapped.pt");
            Ok((Network::GraphLstm(network), engine, path))
        }
        foreign @ Network::Foreign { .. } => {
            let torch = config.torch.clone();
            let engine = TorchEngine::open(module, config.window, sensors, torch)?;
            Ok((foreign, Box::new(engine), module.to_owned()))
        }
    }
}

struct Judged {
    /// `[N,F]`, NaN where no window ends or the sensor is stale
    reconstruction: Vec<f32>,
    neighbour: Vec<f32>,
    /// Whether the module answers with anything but zeros.
    reconstructs: bool,
    estimates: bool,
}

fn judge(
    basis: &Basis,
    engine: &mut dyn Engine,
    progress: &mut dyn FnMut(TrainProgress),
) -> Result<Judged, TrainError> {
    let frames = &basis.frames;
    let sensors = frames.sensors;
    let x = basis.filled_in();
    let mut judged = Judged {
        reconstruction: vec![f32::NAN; x.len()],
        neighbour: vec![f32::NAN; x.len()],
        reconstructs: false,
        estimates: false,
    };
    let mut expectation = Expectation::zeros(sensors);
    for row in 0..frames.rows() {
        if row % REPORT_ROWS == 0 {
            let rows = frames.rows();
            progress(TrainProgress::Judging { row, rows });
        }
        if frames.restart[row] {
            engine.reset();
        }
        let now = &x[row * sensors..(row + 1) * sensors];
        if !engine.step(now, &mut expectation)? {
            continue;
        }
        let answers = expectation
            .reconstruction
            .iter()
            .zip(&expectation.neighbour);
        let values = now.iter().zip(frames.row(row));
        for (i, ((&value, measured), (&expected, &from_others))) in values.zip(answers).enumerate()
        {
            if !expected.is_finite() || !from_others.is_finite() {
                return Err(TrainError::NotFinite);
            }
            judged.reconstructs |= expected != 0.0;
            judged.estimates |= from_others != 0.0;
            if measured.is_finite() {
                judged.reconstruction[row * sensors + i] = value - expected;
                judged.neighbour[row * sensors + i] = value - from_others;
            }
        }
    }
    Ok(judged)
}

/// Of the finite values; 0 without any.
fn mean_square(residual: &[f32]) -> f64 {
    let finite = residual.iter().filter(|r| r.is_finite());
    let (count, sum) = finite.fold((0u64, 0.0), |(count, sum), r| {
        (count + 1, sum + f64::from(*r) * f64::from(*r))
    });
    sum / count.max(1) as f64
}
