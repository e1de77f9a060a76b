//! What training and wrapping share: from normal data to frames and the sensor graph, and from the
//! residuals of the heads to a model file.

use std::path::PathBuf;

use super::closed_form::{self, ClosedForm};
use super::frames::{self, TrainingFrames};
use super::golden;
use super::{FEWEST_ROWS, NormalData, TrainConfig, TrainError, TrainProgress, Trained};
use crate::clock::{Clock, SystemClock};
use crate::frame::Timestamp;
use crate::model::golden::Golden;
use crate::model::manifest::{self, HeadKind, Sensor, Training};
use crate::model::{MAX_DIMENSION, Manifest, ModelFile, Network};
use crate::pipeline::CLEAR_AFTER_NANOS;
use crate::score::calibrate::{OutOfSample, calibrate};
use crate::window::Standardiser;

/// Normal data on the grid and what can be learnt of it in closed form.
pub struct Basis {
    pub frames: TrainingFrames,
    /// `[F]`, without residual constants yet
    pub sensors: Vec<Sensor>,
    /// Fills stale values in as the pipeline would.
    pub standardiser: Standardiser,
    pub closed: ClosedForm,
}

/// A model that lacks its calibration.
pub struct Unfinished {
    /// Where the file may be written for libtorch to read; of a foreign module, its own file.
    pub path: PathBuf,
    pub network: Network,
    /// Of each head that is scored, `[N,F]` on the basis' rows; NaN where it could not say.
    pub residuals: Vec<(HeadKind, Vec<f32>)>,
    pub loss: Option<f64>,
}

impl Basis {
    /// Aligns and standardises `data` and fits the closed-form heads; `embargo` rows are left out
    /// around the judged rows of each fold.
    ///
    /// # Errors
    /// The data are too few, too wide or too large, or the topology names unknown sensors.
    pub fn learn(
        data: NormalData<'_>,
        config: &TrainConfig,
        embargo: usize,
    ) -> Result<Self, TrainError> {
        let sensors = data.sensors.len();
        if sensors > MAX_DIMENSION {
            return Err(TrainError::TooManySensors {
                found: sensors,
                limit: MAX_DIMENSION,
            });
        }
        let frames = TrainingFrames::gather(sensors, config.align, &|take| data.each(take))?;
        if frames.rows() < FEWEST_ROWS {
            return Err(TrainError::TooFewRows {
                rows: frames.rows(),
            });
        }
        let overflows = |(mean, deviation): &(f64, f64)| !(mean + deviation).is_finite();
        if let Some(i) = frames.scale.iter().position(overflows) {
            return Err(TrainError::TooLarge {
                sensor: data.sensors[i].clone(),
            });
        }
        let allowed = config
            .topology
            .as_ref()
            .map(|topology| topology.edges(data.sensors))
            .transpose()?;
        let closed = closed_form::fit(&frames, embargo, allowed.as_ref());
        let sensors = frames::manifest_sensors(data.sensors, data.units, &frames.scale);
        let standardiser = Standardiser::new(&sensors, &closed.graph.edges);
        Ok(Basis {
            frames,
            sensors,
            standardiser,
            closed,
        })
    }

    /// `[N,F]` the frames with stale values filled in: finite everywhere.
    pub fn filled_in(&self) -> Vec<f32> {
        let mut x = self.frames.x.clone();
        for row in x.chunks_exact_mut(self.frames.sensors.max(1)) {
            self.standardiser.impute_missing(row);
        }
        x
    }

    /// Calibrates `model` on its residuals and adds manifest and golden vectors.
    ///
    /// # Errors
    /// No engine runs it, or it cannot be written where libtorch could read it.
    pub fn finish(
        self,
        model: Unfinished,
        config: &TrainConfig,
        progress: &mut dyn FnMut(TrainProgress),
    ) -> Result<Trained, TrainError> {
        progress(TrainProgress::Calibrating);
        let (heads, residuals): (Vec<_>, Vec<_>) = model.residuals.into_iter().unzip();
        let residuals = OutOfSample {
            sensors: self.frames.sensors,
            heads: residuals,
            restart: self.frames.restart.clone(),
            period_seconds: config.align.period_nanos as f64 / 1e9,
        };
        let calibration = calibrate(&residuals, separation(config.align.period_nanos));
        let mut sensors = self.sensors;
        for (i, sensor) in sensors.iter_mut().enumerate() {
            let of_sensor = calibration.spreads.iter().map(|head| head[i].clone());
            sensor.residual = of_sensor.collect();
        }
        let frames = &self.frames;
        let manifest = Manifest {
            schema: manifest::SCHEMA,
            created_by: concat!("anomalyd ", env!("CARGO_PKG_VERSION")).to_owned(),
            created_at: created_at(),
            name: config.name.clone(),
            version: config.version.clone(),
            period_seconds: residuals.period_seconds,
            window: config.window,
            hidden: match &model.network {
                Network::GraphLstm(network) => network.hidden(),
                Network::Foreign { .. } => 0,
            },
            heads,
            max_false_alarms_per_week: config.max_false_alarms_per_week,
            training: Training {
                rows: frames.rows(),
                span_seconds: frames.last.seconds_since(frames.first),
                missing: frames.missing,
                loss: model.loss,
                command: config.command.clone(),
            },
            charts: calibration.charts.clone(),
            sensors,
            edges: self.closed.graph.edges,
        };

        progress(TrainProgress::Verifying);
        let model = ModelFile {
            path: model.path,
            network: model.network,
            manifest,
            golden: Golden::default(),
            digest: String::new(),
        };
        let foreign = matches!(model.network, Network::Foreign { .. });
        let torch = (config.golden_by_torch || foreign).then_some(&config.torch);
        let (model, without_torch) = golden::add(model, frames, &self.standardiser, torch)?;
        Ok(Trained {
            model,
            calibration,
            without_torch,
        })
    }
}

/// Samples that part two alarms: the off delay, at least three samples.
fn separation(period_nanos: i64) -> usize {
    let samples = CLEAR_AFTER_NANOS / period_nanos.max(1);
    usize::try_from(samples).unwrap_or(usize::MAX).max(3)
}

/// Now, or the moment that `SOURCE_DATE_EPOCH` names (reproducible-builds.org), so that the same
/// command can make the same file again.
fn created_at() -> String {
    let given = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    // Whole seconds: nobody needs more, and the line stays readable.
    let now = || SystemClock.now().nanos().div_euclid(1_000_000_000);
    Timestamp::from_seconds(given.unwrap_or_else(now)).to_string()
}
