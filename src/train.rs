//! Learning from normal data: standardiser, sensor graph, autoencoder, thresholds → model file.
//!
//! Wires stages 1 to 6 the other way round; `cli::train` and the daemon's own learning call it.
//! Every threshold comes from residuals on rows that the judging fit never saw.

mod autoencoder;
mod basis;
mod closed_form;
mod folds;
mod frames;
mod golden;
mod topology;
mod wrap;

pub use autoencoder::AutoencoderConfig;
pub use frames::TrainingFrames;
pub use topology::{Topology, TopologyError};
pub use wrap::wrap;

use std::path::{Path, PathBuf};

use self::basis::{Basis, Unfinished};
use crate::engine::EngineError;
use crate::engine::torch::TorchConfig;
use crate::engine::torch::trainer::Trainer;
use crate::frame::Timestamp;
use crate::frame::align::AlignConfig;
use crate::model::manifest::HeadKind;
use crate::model::{GraphLstm, ModelError, ModelFile, Network};
use crate::score::calibrate::Calibration;

/// Rows between what a fold learns from and what it judges.
const EMBARGO: usize = 10;
/// Fewer rows than this give quantiles that mean nothing.
pub const FEWEST_ROWS: usize = 200;

/// What to learn and how.
#[derive(Debug, Clone)]
pub struct TrainConfig {
    pub name: String,
    pub version: String,
    /// The command line, for the record.
    pub command: String,
    pub heads: Vec<HeadKind>,
    /// T
    pub window: usize,
    pub max_false_alarms_per_week: f64,
    pub align: AlignConfig,
    pub topology: Option<Topology>,
    pub autoencoder: AutoencoderConfig,
    pub torch: TorchConfig,
}

/// Normal data: times and values `[N,F]` (NaN where missing) of named sensors.
#[derive(Debug, Clone, Copy)]
pub struct NormalData<'a> {
    pub sensors: &'a [String],
    /// `[F]`, empty text where unknown
    pub units: &'a [String],
    pub times: &'a [Timestamp],
    pub values: &'a [f64],
}

/// What training is at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainProgress {
    Graph,
    Autoencoder {
        step: usize,
        steps: usize,
        loss: f64,
    },
    /// A module that was trained elsewhere judges the rows.
    Judging {
        row: usize,
        rows: usize,
    },
    Calibrating,
    Verifying,
}

/// A trained model, not yet on disk, and how its own training rows scored out of sample.
pub struct Trained {
    pub model: ModelFile,
    pub calibration: Calibration,
    /// Why golden vectors of libtorch are absent, when they are.
    pub without_torch: Option<EngineError>,
}

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(
        "{rows} rows on the grid are too few to learn from: give at least {FEWEST_ROWS}, better \
         a day or more of normal operation"
    )]
    TooFewRows { rows: usize },
    #[error(
        "there are no {window} rows in a row without a gap: give data with fewer gaps, or the \
         rows' own distance as --period"
    )]
    NoWindows { window: usize },
    #[error("{found} sensors are too many for one model: leave columns out, {limit} is the most")]
    TooManySensors { found: usize, limit: usize },
    #[error(
        "column {sensor}: its values are too large to learn from, their mean or spread is no \
         number any more; mend the rows, or leave the column out"
    )]
    TooLarge { sensor: String },
    #[error(
        "the module is for {module} sensors, but the recording has {recording}: give it the columns \
         that the module was trained on, in their order"
    )]
    OtherWidth { module: usize, recording: usize },
    #[error("the module answers with values that are not finite; a model must answer every window")]
    NotFinite,
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{path}: {reason}")]
    Scratch { path: PathBuf, reason: String },
}

/// Learns a model from normal data. `scratch` is a folder for the trainer's files.
///
/// # Errors
/// The data are too short or too broken, the topology names unknown sensors, or (with the
/// reconstruction head) the torch worker is missing or fails.
pub fn train(
    data: NormalData<'_>,
    config: &TrainConfig,
    scratch: &Path,
    progress: &mut dyn FnMut(TrainProgress),
) -> Result<Trained, TrainError> {
    let wants_autoencoder = config.heads.contains(&HeadKind::Reconstruction);
    // A missing trainer is told before minutes of other work, not after.
    let trainer = match wants_autoencoder {
        true => Some(Trainer::find(config.torch.worker.as_deref())?),
        false => None,
    };
    progress(TrainProgress::Graph);
    let embargo = EMBARGO.max(config.window);
    let basis = Basis::learn(data, config, embargo)?;
    let Basis {
        frames, x, closed, ..
    } = &basis;

    let fitted = match &trainer {
        Some(trainer) => {
            let rows = autoencoder::Rows {
                frames,
                x,
                window: config.window,
                embargo,
            };
            Some(autoencoder::fit(
                &rows,
                &config.autoencoder,
                trainer,
                scratch,
                progress,
            )?)
        }
        None => None,
    };

    progress(TrainProgress::Calibrating);
    let of_head = |head: &HeadKind| match (head, &fitted) {
        (HeadKind::Reconstruction, Some(fitted)) => (*head, fitted.residual.clone()),
        (HeadKind::Neighbour, _) => (*head, closed.neighbour.clone()),
        (HeadKind::Raw | HeadKind::Reconstruction, _) => (*head, closed.raw.clone()),
    };
    let residuals = config.heads.iter().map(of_head).collect();
    let loss = fitted.as_ref().map(|fitted| fitted.loss);
    let network = GraphLstm {
        sensors: frames.sensors,
        window: config.window,
        autoencoder: fitted.map(|fitted| fitted.autoencoder),
        neighbour: config
            .heads
            .contains(&HeadKind::Neighbour)
            .then(|| closed.graph.to_linear()),
    };
    let model = Unfinished {
        path: scratch.join("trained.pt"),
        network: Network::GraphLstm(network),
        residuals,
        loss,
    };
    basis.finish(model, config, progress)
}
