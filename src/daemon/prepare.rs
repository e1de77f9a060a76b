//! From a configuration file to everything a session needs, checked before anything runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;

use super::post;
use super::sources::SourceConfig;
use crate::config::{self, EngineChoice as Choice, Settings};
use crate::engine::Engine;
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::learn::{self, LearnConfig};
use crate::model::ModelFile;
use crate::output::{LogSink, PostConfig, Sink, StdoutSink};
use crate::pipeline::{EngineChoice, Pipeline, PipelineConfig, Stream, open_engine};
use crate::web::{Feed, WebSink};

/// Of the timer, until the period is learned.
const UNKNOWN_PERIOD: Duration = Duration::from_secs(1);

/// A session that could be started now.
pub struct Prepared {
    pub settings: Settings,
    /// What the plant is called: the configuration's word, else the model's.
    pub name: String,
    /// `[F]`: the model's sensors; while there is none, those that the configuration knows.
    pub sensors: Vec<String>,
    pub plan: Plan,
    pub sources: Vec<SourceConfig>,
    pub period: Duration,
    /// The outputs that store and forward.
    pub posts: Vec<PostConfig>,
}

/// What to do with samples.
pub enum Plan {
    Watch(Box<Stream>),
    /// There is no model yet.
    Learn(LearnConfig),
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
        if is_to_learn(&settings) {
            return Prepared::to_learn(settings);
        }
        let model = ModelFile::load(&settings.model)?;
        let sensors = model.manifest.sensor_names();
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
        let sources = sources(&settings, period)?;
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
            posts: post::configs(&settings)?,
            name: name.unwrap_or_else(|| model.manifest.name.clone()),
            sensors,
            plan: Plan::Watch(Box::new(stream)),
            sources,
            period,
            settings,
        })
    }

    fn to_learn(settings: Settings) -> anyhow::Result<Self> {
        let config = learn_config(&settings);
        let period = settings.period.unwrap_or(UNKNOWN_PERIOD);
        Ok(Prepared {
            posts: post::configs(&settings)?,
            name: config.name.clone(),
            sensors: config.sensors.clone(),
            plan: Plan::Learn(config),
            sources: sources(&settings, period)?,
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
        let sources = count(self.sources.len(), "source");
        match &self.plan {
            Plan::Watch(stream) => format!(
                "watching {} every {}: model {}, engine {}, {sources}",
                count(self.sensors.len(), "sensor"),
                humantime::format_duration(self.period),
                stream.pipeline().model_name(),
                stream.pipeline().engine_name(),
            ),
            Plan::Learn(config) => format!(
                "learning, for there is no model: {} of what comes from {sources} will be recorded",
                humantime::format_duration(config.learn_for),
            ),
        }
    }

    /// Name and version of the model, where there is one.
    pub fn model_name(&self) -> Option<String> {
        match &self.plan {
            Plan::Watch(stream) => Some(stream.pipeline().model_name().to_owned()),
            Plan::Learn(_) => None,
        }
    }

    /// `throttled`: whether the machine is slowed down now.
    pub fn sinks(&self, throttled: &Arc<AtomicBool>, feed: &Feed) -> Vec<Box<dyn Sink>> {
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
        if self.settings.web.enabled {
            sinks.push(Box::new(WebSink { feed: feed.clone() }));
        }
        sinks
    }
}

/// Whether there is no model, and one learned by the service itself would be the one to take.
fn is_to_learn(settings: &Settings) -> bool {
    let state = &settings.state_directory;
    let own = state.join(learn::MODELS).join(learn::store::CURRENT);
    !settings.model.exists()
        && settings.model == own
        && !settings.learn_for.is_zero()
        && state.is_dir()
}

fn learn_config(settings: &Settings) -> LearnConfig {
    let mut sensors: Vec<String> = Vec::new();
    for source in &settings.sources {
        let named = source.named_sensors().unwrap_or_default();
        sensors.extend(named.iter().map(|named| named.sensor.to_owned()));
    }
    sensors.sort_unstable();
    sensors.dedup();
    let defaults = LearnConfig::default();
    let holds = settings.frame.sensor_hold.iter();
    LearnConfig {
        learn_for: settings.learn_for,
        sensors,
        period: settings.period,
        hold: settings.frame.hold,
        sensor_hold: holds
            .map(|(name, hold)| (name.clone(), hold.hold))
            .collect(),
        name: settings.name.clone().unwrap_or(defaults.name),
        max_false_alarms_per_week: settings
            .max_false_alarms_per_week
            .unwrap_or(defaults.max_false_alarms_per_week),
        ..defaults
    }
}

fn sources(settings: &Settings, period: Duration) -> anyhow::Result<Vec<SourceConfig>> {
    let sources = settings.sources.iter();
    sources
        .map(|source| Ok(SourceConfig::new(source, settings, period)?))
        .collect()
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

pub fn choice(settings: &Settings) -> EngineChoice {
    match settings.engine {
        Choice::Auto => EngineChoice::Auto,
        Choice::Native => EngineChoice::Native,
        Choice::Torch => EngineChoice::Torch,
    }
}

pub fn torch(settings: &Settings) -> TorchConfig {
    TorchConfig {
        worker: settings.torch_worker.clone(),
        ..TorchConfig::default()
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
