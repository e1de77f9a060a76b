//! Which model judges a recording, with which engine and how strictly: what `replay` and `evaluate`
//! share on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::ingest::csv::{BadValues, CsvOptions};
use crate::model::{Manifest, ModelFile};
use crate::pipeline::{EngineChoice, Pipeline, PipelineConfig, Stream, open_engine};

#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// The model, as `anomalyd train` wrote it
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// What runs the model; auto is native where that reproduces the golden vectors, else torch
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
    /// The promise: at most this many false alarms a week [default: the model's]
    #[arg(long, value_name = "N", value_parser = super::budget)]
    pub max_false_alarms_per_week: Option<f64>,
    /// Sampling period, such as 5s [default: the model's]
    #[arg(long, value_parser = super::period)]
    pub period: Option<Duration>,
    /// Zone of times without an offset
    #[arg(long, default_value = "UTC", value_parser = super::time_zone)]
    pub zone: TimeZone,
    /// The torch worker [default: beside this program, or on PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub torch_worker: Option<PathBuf>,
}

impl JudgeArgs {
    /// Loads the model and makes the stream that judges with it.
    ///
    /// # Errors
    /// The model is refused, or no engine reproduces its golden vectors.
    pub fn open(&self, watch_silence: bool) -> anyhow::Result<(ModelFile, Stream)> {
        let model = ModelFile::load(&self.model)?;
        let torch = TorchConfig {
            worker: self.torch_worker.clone(),
            ..TorchConfig::default()
        };
        let (engine, _) = open_engine(&model, self.engine, &torch)?;
        let config = PipelineConfig {
            max_false_alarms_per_week: self.max_false_alarms_per_week,
            ..PipelineConfig::default()
        };
        let align = AlignConfig::new(self.period_nanos(&model.manifest));
        let pipeline = Pipeline::new(&model, engine, &config);
        Ok((model, Stream::new(pipeline, align, watch_silence)))
    }

    fn period_nanos(&self, manifest: &Manifest) -> i64 {
        self.period.map_or(manifest.period_nanos(), super::nanos)
    }

    /// Distance of the frames that are judged, in seconds.
    pub fn period_seconds(&self, manifest: &Manifest) -> f64 {
        self.period_nanos(manifest) as f64 / 1e9
    }

    /// How the recording is read: what is no number is missing, as for the daemon.
    pub fn csv_options(&self) -> CsvOptions {
        CsvOptions {
            zone: self.zone.clone(),
            bad: BadValues::Missing,
        }
    }
}
