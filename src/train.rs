//! Learning from normal data: standardiser, sensor graph, autoencoder, thresholds → model file.
//!
//! Wires stages 1 to 6 the other way round; `cli::train` and the daemon's own learning call it.
//! Every threshold comes from residuals on rows that the judging fit never saw.

mod autoencoder;
mod closed_form;
mod folds;
mod frames;
mod golden;
mod topology;

pub use autoencoder::AutoencoderConfig;
pub use frames::TrainingFrames;
pub use topology::{Topology, TopologyError};

use std::path::{Path, PathBuf};

use crate::engine::EngineError;
use crate::engine::torch::TorchConfig;
use crate::engine::torch::trainer::Trainer;
use crate::frame::Timestamp;
use crate::frame::align::AlignConfig;
use crate::model::manifest::{self, HeadKind, Training};
use crate::model::{GraphLstm, Manifest, ModelError, ModelFile, Network};
use crate::pipeline::CLEAR_AFTER_NANOS;
use crate::score::calibrate::{Calibration, OutOfSample, calibrate};
use crate::window::Standardiser;

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
        "no stretch of the data without a gap is longer than a window of {window} rows: give \
         --period, or data with fewer gaps"
    )]
    NoWindows { window: usize },
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
    let sensors = data.sensors.len();
    let rows = data
        .times
        .iter()
        .copied()
        .zip(data.values.chunks_exact(sensors.max(1)));
    let frames = TrainingFrames::gather(sensors, config.align, rows);
    if frames.rows() < FEWEST_ROWS {
        return Err(TrainError::TooFewRows {
            rows: frames.rows(),
        });
    }
    let allowed = config
        .topology
        .as_ref()
        .map(|t| t.edges(data.sensors))
        .transpose()?;
    let wants_autoencoder = config.heads.contains(&HeadKind::Reconstruction);
    // A missing trainer is told before minutes of other work, not after.
    let trainer = match wants_autoencoder {
        true => Some(Trainer::find(config.torch.worker.as_deref())?),
        false => None,
    };

    progress(TrainProgress::Graph);
    let embargo = EMBARGO.max(config.window);
    let closed = closed_form::fit(&frames, embargo, allowed.as_ref());
    let mut manifest_sensors = frames::manifest_sensors(data.sensors, data.units, &frames.scale);
    let standardiser = Standardiser::new(&manifest_sensors, &closed.graph.edges);
    let x = imputed(&frames, &standardiser);

    let fitted = match &trainer {
        Some(trainer) => {
            let rows = autoencoder::Rows {
                frames: &frames,
                x: &x,
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
        (HeadKind::Reconstruction, Some(fitted)) => fitted.residual.clone(),
        (HeadKind::Neighbour, _) => closed.neighbour.clone(),
        (HeadKind::Raw | HeadKind::Reconstruction, _) => closed.raw.clone(),
    };
    let residuals = OutOfSample {
        sensors,
        heads: config.heads.iter().map(of_head).collect(),
        restart: frames.restart.clone(),
        period_seconds: config.align.period_nanos as f64 / 1e9,
    };
    let calibration = calibrate(&residuals, separation(config.align.period_nanos));
    for (i, sensor) in manifest_sensors.iter_mut().enumerate() {
        sensor.residual = calibration
            .spreads
            .iter()
            .map(|head| head[i].clone())
            .collect();
    }

    let loss = fitted.as_ref().map(|fitted| fitted.loss);
    let network = GraphLstm {
        sensors,
        window: config.window,
        autoencoder: fitted.map(|fitted| fitted.autoencoder),
        neighbour: config
            .heads
            .contains(&HeadKind::Neighbour)
            .then(|| closed.graph.to_linear()),
    };
    let manifest = Manifest {
        schema: manifest::SCHEMA,
        created_by: concat!("anomalyd ", env!("CARGO_PKG_VERSION")).to_owned(),
        created_at: created_at(),
        name: config.name.clone(),
        version: config.version.clone(),
        period_seconds: residuals.period_seconds,
        window: config.window,
        hidden: network.hidden(),
        heads: config.heads.clone(),
        max_false_alarms_per_week: config.max_false_alarms_per_week,
        training: Training {
            rows: frames.rows(),
            span_seconds: frames.last.seconds_since(frames.first),
            missing: frames.missing,
            loss,
            command: config.command.clone(),
        },
        charts: calibration.charts.clone(),
        sensors: manifest_sensors,
        edges: closed.graph.edges.clone(),
    };

    progress(TrainProgress::Verifying);
    let model = ModelFile {
        path: scratch.join("trained.pt"),
        network: Network::GraphLstm(network),
        manifest,
        golden: crate::model::golden::Golden::default(),
        digest: String::new(),
    };
    let (model, without_torch) = golden::add(model, &frames, &x, &config.torch)?;
    Ok(Trained {
        model,
        calibration,
        without_torch,
    })
}

/// `frames.x` with stale values filled in as the pipeline would.
fn imputed(frames: &TrainingFrames, standardiser: &Standardiser) -> Vec<f32> {
    let mut x = frames.x.clone();
    for row in x.chunks_exact_mut(frames.sensors.max(1)) {
        standardiser.impute_missing(row);
    }
    x
}

/// Samples that part two alarms: the off delay, at least three samples.
fn separation(period_nanos: i64) -> usize {
    let samples = CLEAR_AFTER_NANOS / period_nanos.max(1);
    usize::try_from(samples).unwrap_or(usize::MAX).max(3)
}

/// Now, or the moment that `SOURCE_DATE_EPOCH` names (reproducible-builds.org), so that the same
/// command can make the same file again.
fn created_at() -> String {
    use crate::clock::{Clock, SystemClock};
    let given = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    // Whole seconds: nobody needs more, and the line stays readable.
    let now = || SystemClock.now().nanos().div_euclid(1_000_000_000);
    Timestamp::from_seconds(given.unwrap_or_else(now)).to_string()
}
