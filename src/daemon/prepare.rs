//! From a configuration file to everything a session needs, checked before anything runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;

use super::sources::SourceConfig;
use crate::config::{self, EngineChoice as Choice, Settings};
use crate::engine::Engine;
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::model::ModelFile;
use crate::output::{LogSink, Sink, StdoutSink};
use crate::pipeline::{EngineChoice, Pipeline, PipelineConfig, Stream, open_engine};

/// A session that could be started now.
pub struct Prepared {
    pub settings: Settings,
    /// What the plant is called: the configuration's word, else the model's.
    pub name: String,
    /// `[F]`: the model's sensors.
    pub sensors: Vec<String>,
    pub stream: Stream,
    pub sources: Vec<SourceConfig>,
    pub period: Duration,
}

impl Prepared {
    /// Reads the configuration, loads and verifies the model, checks the sources.
    ///
    /// # Errors
    /// Any of these is unusable; nothing was changed.
    pub fn load(path: &Path, root: &Path) -> anyhow::Result<Self> {
        let (settings, warnings) = config::load(path, root)?;
        // On a reload the level in force stays until all is known to be good.
        crate::logging::start(settings.log_level);
        for warning in &warnings {
            log::warn!(target: "config", "{warning}");
        }
        let model = ModelFile::load(&settings.model)?;
        let sensors: Vec<String> = model
            .manifest
            .sensors
            .iter()
            .map(|s| s.name.clone())
            .collect();
        let against_model = config::check_against_model(&settings, &sensors);
        if against_model.iter().any(config::Mistake::is_error) {
            return Err(config::ConfigError {
                mistakes: against_model,
            }
            .into());
        }
        for warning in &against_model {
            log::warn!(target: "config", "{warning}");
        }
        let period_nanos = settings.period.map_or(model.manifest.period_nanos(), nanos);
        let period = Duration::from_nanos(period_nanos.unsigned_abs());
        let sources = settings
            .sources
            .iter()
            .map(|source| SourceConfig::new(source, &settings, period))
            .collect::<Result<_, _>>()?;
        let align = AlignConfig {
            period_nanos,
            hold: settings.frame.hold,
            stale_after_nanos: nanos(settings.frame.stale_after),
        };
        let mut stream = Stream::new(pipeline(&settings, &model)?, align, settings.alarm.silent);
        for (sensor, hold) in &settings.frame.sensor_hold {
            if let Some(i) = sensors.iter().position(|name| name == sensor) {
                stream.set_hold(i, hold.hold);
            }
        }
        let name = settings.name.clone();
        Ok(Prepared {
            name: name.unwrap_or_else(|| model.manifest.name.clone()),
            sensors,
            stream,
            sources,
            period,
            settings,
        })
    }

    /// What is watched with what, in one line.
    pub fn title(&self) -> String {
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        format!(
            "watching {} every {}: model {}, engine {}, {}",
            count(self.sensors.len(), "sensor"),
            humantime::format_duration(self.period),
            self.stream.pipeline().model_name(),
            self.stream.pipeline().engine_name(),
            count(self.sources.len(), "source"),
        )
    }

    /// `throttled`: whether the machine is slowed down now.
    pub fn sinks(&self, throttled: &Arc<AtomicBool>) -> Vec<Box<dyn Sink>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if self.settings.output.log {
            sinks.push(Box::new(LogSink {
                top_sensors: self.settings.alarm.top_sensors,
                throttled: Arc::clone(throttled),
            }));
        }
        if self.settings.output.stdout {
            sinks.push(Box::new(StdoutSink::default()));
        }
        sinks
    }
}

fn pipeline(settings: &Settings, model: &ModelFile) -> anyhow::Result<Pipeline> {
    let (engine, agreement) = open_engine(model, choice(settings), &torch(settings))?;
    log::info!(
        target: "model",
        "{}: {} golden vectors reproduced on engine {}, largest difference {:.1e}",
        model.path.display(),
        agreement.vectors,
        engine.name(),
        agreement.largest(),
    );
    let config = PipelineConfig {
        max_false_alarms_per_week: settings.max_false_alarms_per_week,
        clear_after_nanos: nanos(settings.alarm.clear_after),
    };
    Ok(Pipeline::new(model, engine, &config))
}

/// Opens another engine for the model in force, whose file has `digest`: the native one, or what the
/// configuration asks for.
///
/// # Errors
/// There is no such engine for this model, or the file is another one by now.
pub fn open_again(
    settings: &Settings,
    native: bool,
    digest: &str,
) -> anyhow::Result<Box<dyn Engine>> {
    let model = ModelFile::load(&settings.model)?;
    if model.digest != digest {
        bail!(
            "{} is another file than the one in force; `anomalyd reload` takes it",
            settings.model.display()
        );
    }
    let choice = if native {
        EngineChoice::Native
    } else {
        choice(settings)
    };
    let (engine, _) = open_engine(&model, choice, &torch(settings))?;
    Ok(engine)
}

fn choice(settings: &Settings) -> EngineChoice {
    match settings.engine {
        Choice::Auto => EngineChoice::Auto,
        Choice::Native => EngineChoice::Native,
        Choice::Torch => EngineChoice::Torch,
    }
}

fn torch(settings: &Settings) -> TorchConfig {
    TorchConfig {
        worker: settings.torch_worker.clone(),
        ..TorchConfig::default()
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
