//! From a configuration file to everything a session needs, checked before anything runs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::config::{self, EngineChoice as Choice, Listen, MqttSettings, Settings, SourceSettings};
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::ingest::Source;
use crate::ingest::json::JsonPath;
use crate::ingest::mqtt::{MqttConfig, MqttSensor, MqttSource, MqttTls, TimeFrom};
use crate::ingest::ndjson::NdjsonSource;
use crate::ingest::simulator::SimulatorSource;
use crate::ingest::tail::{TailConfig, TailFrom, TailSource};
use crate::model::ModelFile;
use crate::pipeline::{EngineChoice, Pipeline, PipelineConfig, Stream, open_engine};

/// A session that could be started now.
pub struct Prepared {
    pub settings: Settings,
    pub model: ModelFile,
    pub stream: Stream,
    pub sources: Vec<Box<dyn Source>>,
    pub period: Duration,
}

impl Prepared {
    /// Reads the configuration, loads and verifies the model, makes the sources.
    ///
    /// # Errors
    /// Any of these is unusable; nothing was changed.
    pub fn load(path: &Path, root: &Path) -> anyhow::Result<Self> {
        let (settings, warnings) = config::load(path, root)?;
        crate::logging::start(settings.log_level);
        for warning in &warnings {
            log::warn!(target: "config", "{warning}");
        }
        let model = ModelFile::load(&settings.model)?;
        let names: Vec<String> = model
            .manifest
            .sensors
            .iter()
            .map(|s| s.name.clone())
            .collect();
        let against_model = config::check_against_model(&settings, &names);
        if against_model.iter().any(config::Mistake::is_error) {
            return Err(config::ConfigError {
                mistakes: against_model,
            }
            .into());
        }
        for warning in &against_model {
            log::warn!(target: "config", "{warning}");
        }
        let torch = TorchConfig {
            worker: settings.torch_worker.clone(),
            ..TorchConfig::default()
        };
        let choice = match settings.engine {
            Choice::Auto => EngineChoice::Auto,
            Choice::Native => EngineChoice::Native,
            Choice::Torch => EngineChoice::Torch,
        };
        let (engine, agreement) = open_engine(&model, choice, &torch)?;
        log::info!(
            target: "model",
            "{}: {} golden vectors reproduced on engine {}, largest difference {:.1e}",
            model.path.display(),
            agreement.vectors,
            engine.name(),
            agreement.largest(),
        );
        let pipeline = Pipeline::new(
            &model,
            engine,
            &PipelineConfig {
                max_false_alarms_per_week: settings.max_false_alarms_per_week,
                clear_after_nanos: nanos(settings.alarm.clear_after),
            },
        );
        let period_nanos = settings.period.map_or(model.manifest.period_nanos(), nanos);
        let align = AlignConfig {
            period_nanos,
            hold: settings.frame.hold,
            stale_after_nanos: nanos(settings.frame.stale_after),
        };
        let mut stream = Stream::new(pipeline, align, settings.alarm.silent);
        for (sensor, hold) in &settings.frame.sensor_hold {
            if let Some(i) = names.iter().position(|name| name == sensor) {
                stream.set_hold(i, hold.hold);
            }
        }
        let period = Duration::from_nanos(period_nanos.unsigned_abs());
        let make = |source| make_source(source, &settings, period);
        let sources = settings
            .sources
            .iter()
            .map(make)
            .collect::<anyhow::Result<_>>()?;
        Ok(Prepared {
            sources,
            period,
            settings,
            model,
            stream,
        })
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn make_source(
    source: &SourceSettings,
    settings: &Settings,
    period: Duration,
) -> anyhow::Result<Box<dyn Source>> {
    let zone = settings.frame.zone.clone();
    Ok(match source {
        SourceSettings::Ndjson(ndjson) => Box::new(match &ndjson.listen {
            Listen::Stdin => NdjsonSource::stdin(zone),
            Listen::Socket(path) => NdjsonSource::socket(path.clone(), zone),
        }),
        SourceSettings::Csv(csv) => Box::new(TailSource::new(TailConfig {
            path: csv.path.clone(),
            from: if csv.from_start {
                TailFrom::Start
            } else {
                TailFrom::End
            },
            zone: csv.zone.clone(),
        })),
        SourceSettings::Mqtt(mqtt) => {
            let place = || format!("{}: source.mqtt", mqtt.place);
            Box::new(MqttSource::new(
                mqtt_config(mqtt, settings).with_context(place)?,
            )?)
        }
        SourceSettings::Simulator(simulator) => Box::new(SimulatorSource::open(
            simulator.seed,
            simulator.rate,
            period,
            simulator.faults.as_deref(),
        )?),
    })
}

fn mqtt_config(mqtt: &MqttSettings, settings: &Settings) -> anyhow::Result<MqttConfig> {
    let json_path = |text: &String| -> anyhow::Result<JsonPath> {
        text.parse()
            .map_err(|error| anyhow::anyhow!("path {text:?}: {error}"))
    };
    let mut sensors = Vec::with_capacity(mqtt.topics.len());
    for topic in &mqtt.topics {
        let time_path = topic.time_path.as_ref().or(mqtt.time_path.as_ref());
        let conditions = topic.wanted.iter();
        sensors.push(MqttSensor {
            sensor: topic.sensor.clone(),
            topic: topic.topic.clone(),
            path: topic.path.as_ref().map(json_path).transpose()?,
            time_path: time_path.map(json_path).transpose()?,
            conditions: conditions
                .map(|(path, wanted)| Ok((json_path(path)?, wanted.to_string())))
                .collect::<anyhow::Result<_>>()?,
        });
    }
    let password = mqtt
        .password
        .as_ref()
        .map(config::Password::read)
        .transpose();
    Ok(MqttConfig {
        host: mqtt.host.clone(),
        port: mqtt.port,
        client_id: mqtt
            .client_id
            .clone()
            .unwrap_or_else(|| default_client_id(&mqtt.name)),
        username: mqtt.username.clone(),
        password: password.context("the password cannot be read")?,
        tls: mqtt.tls.then(|| MqttTls {
            ca_file: mqtt.ca_file.clone(),
        }),
        keep_alive: mqtt.keep_alive,
        sensors,
        time: TimeFrom::Arrival,
        zone: settings.frame.zone.clone(),
    })
}

/// Two appliances at one broker must not take the connection from each other.
fn default_client_id(source: &str) -> String {
    let host = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    format!(
        "anomalyd-{}-{source}",
        host.as_deref().unwrap_or("appliance")
    )
}
