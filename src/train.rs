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
    /// Whether golden vectors are made by libtorch too, where it is here. Its worker takes more
    /// memory than all else; a foreign module has no other way.
    pub golden_by_torch: bool,
}

/// Normal data of named sensors.
#[derive(Clone, Copy)]
pub struct NormalData<'a> {
    pub sensors: &'a [String],
    /// `[F]`, empty text where unknown
    pub units: &'a [String],
    pub rows: NormalRows<'a>,
}

/// Times and values `[F]` (NaN where missing), in order.
#[derive(Clone, Copy)]
pub enum NormalRows<'a> {
    /// Times `[N]`, values `[N,F]`
    Table(&'a [Timestamp], &'a [f64]),
    /// Hands each row to the function it is given; the same ones each time. For what would take
    /// much memory as a table.
    Each(&'a EachRow<'a>),
}

/// See [`NormalRows::Each`].
pub type EachRow<'a> = dyn Fn(&mut dyn FnMut(Timestamp, &[f64])) -> std::io::Result<()> + 'a;

impl NormalData<'_> {
    fn each(&self, take: &mut dyn FnMut(Timestamp, &[f64])) -> std::io::Result<()> {
        match self.rows {
            NormalRows::Each(each) => each(take),
            NormalRows::Table(times, values) => {
                let rows = values.chunks_exact(self.sensors.len().max(1));
                times
                    .iter()
                    .zip(rows)
                    .for_each(|(time, row)| take(*time, row));
                Ok(())
            }
        }
    }
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
    #[error("the rows to learn from cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
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
        true => {
            let trainer = Trainer::find(config.torch.worker.as_deref())?;
            Some(match config.autoencoder.one_at_a_time {
                true => trainer.at_a_time(1),
                false => trainer,
            })
        }
        false => None,
    };
    progress(TrainProgress::Graph);
    let embargo = EMBARGO.max(config.window);
    let mut basis = Basis::learn(data, config, embargo)?;

    let fitted = match &trainer {
        Some(trainer) => {
            let rows = autoencoder::Rows {
                frames: &basis.frames,
                x: &basis.filled_in(),
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
    let (autoencoder, loss, reconstruction) = match fitted {
        Some(fitted) => (Some(fitted.autoencoder), Some(fitted.loss), fitted.residual),
        None => (None, None, Vec::new()),
    };
    // Taken and not copied: they are what fills the memory of a small machine.
    let mut of_kind = [
        (HeadKind::Reconstruction, reconstruction),
        (
            HeadKind::Neighbour,
            std::mem::take(&mut basis.closed.neighbour),
        ),
        (HeadKind::Raw, std::mem::take(&mut basis.closed.raw)),
    ];
    of_kind.sort_by_key(|(kind, _)| config.heads.iter().position(|head| head == kind));
    let wanted = |(kind, _): &(HeadKind, Vec<f32>)| config.heads.contains(kind);
    let residuals = of_kind.into_iter().filter(wanted).collect();
    let network = GraphLstm {
        sensors: basis.frames.sensors,
        window: config.window,
        autoencoder,
        neighbour: config
            .heads
            .contains(&HeadKind::Neighbour)
            .then(|| basis.closed.graph.to_linear()),
    };
    let model = Unfinished {
        path: scratch.join("trained.pt"),
        network: Network::GraphLstm(network),
        residuals,
        loss,
    };
    basis.finish(model, config, progress)
}
