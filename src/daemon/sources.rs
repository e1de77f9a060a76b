//! From a source's settings to the source itself, complete with the files they name, so that a
//! reload can tell which sources are still the same.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::broker;
use crate::config::{
    ConfigError, Listen, Mistake, ModbusRegister, ModbusSettings, MqttSettings, Settings,
    SimulatorSettings, SourceSettings,
};
use crate::ingest::json::JsonPath;
use crate::ingest::modbus::{ModbusConfig, ModbusSensor, ModbusSource};
use crate::ingest::mqtt::{MqttConfig, MqttSensor, MqttSource, TimeFrom};
use crate::ingest::ndjson::NdjsonSource;
use crate::ingest::simulator::{SimulatorConfig, SimulatorSource};
use crate::ingest::tail::{TailConfig, TailFrom, TailSource};
use crate::ingest::{IngestError, Source};

/// All that makes a source what it is.
#[derive(Clone, PartialEq)]
pub enum SourceConfig {
    Ndjson(Listen, TimeZone),
    Csv(TailConfig),
    /// With the contents of the CA file: a renewed one is another source.
    Mqtt(Box<MqttConfig>, Option<Vec<u8>>),
    Modbus(ModbusConfig),
    Simulator(SimulatorConfig),
}

impl SourceConfig {
    /// # Errors
    /// A file that the source needs is unusable, or so is a key that only the source understands.
    pub fn new(
        source: &SourceSettings,
        settings: &Settings,
        period: Duration,
    ) -> Result<Self, ConfigError> {
        let zone = settings.frame.zone.clone();
        Ok(match source {
            SourceSettings::Ndjson(ndjson) => SourceConfig::Ndjson(ndjson.listen.clone(), zone),
            SourceSettings::Csv(csv) => SourceConfig::Csv(TailConfig {
                path: csv.path.clone(),
                from: if csv.from_start {
                    TailFrom::Start
                } else {
                    TailFrom::End
                },
                zone: csv.zone.clone(),
            }),
            SourceSettings::Mqtt(mqtt) => {
                let config = mqtt_config(mqtt, zone)?;
                // Checks the topics and the certificates.
                if let Err(error) = MqttSource::new(config.clone()) {
                    let key = match &error {
                        IngestError::CaFile { .. } => "source.mqtt.ca_file",
                        _ => "source.mqtt.topics",
                    };
                    return Err(mistake(source, key, &error));
                }
                let ca_file = config
                    .broker
                    .tls
                    .as_ref()
                    .and_then(|tls| tls.ca_file.as_ref());
                let ca = ca_file.and_then(|path| std::fs::read(path).ok());
                SourceConfig::Mqtt(Box::new(config), ca)
            }
            SourceSettings::Modbus(modbus) => {
                let config = modbus_config(modbus);
                // Checks the registers.
                if let Err(error) = ModbusSource::new(config.clone()) {
                    return Err(mistake(source, "source.modbus.registers", &error));
                }
                SourceConfig::Modbus(config)
            }
            SourceSettings::Simulator(simulator) => {
                SourceConfig::Simulator(simulator_config(source, simulator, period)?)
            }
        })
    }

    /// The source, ready to run.
    ///
    /// # Errors
    /// A file that [`SourceConfig::new`] could read has gone since.
    pub fn open(self) -> Result<Box<dyn Source>, IngestError> {
        Ok(match self {
            SourceConfig::Ndjson(Listen::Stdin, zone) => Box::new(NdjsonSource::stdin(zone)),
            SourceConfig::Ndjson(Listen::Socket(path), zone) => {
                Box::new(NdjsonSource::socket(path, zone))
            }
            SourceConfig::Csv(config) => Box::new(TailSource::new(config)),
            SourceConfig::Mqtt(config, _) => Box::new(MqttSource::new(*config)?),
            SourceConfig::Modbus(config) => Box::new(ModbusSource::new(config)?),
            SourceConfig::Simulator(config) => Box::new(SimulatorSource(config)),
        })
    }
}

fn mistake(source: &SourceSettings, key: &str, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError {
        mistakes: vec![Mistake::error(source.place(), key, error.to_string())],
    }
}

fn simulator_config(
    source: &SourceSettings,
    simulator: &SimulatorSettings,
    period: Duration,
) -> Result<SimulatorConfig, ConfigError> {
    let faults = match &simulator.faults {
        Some(path) => crate::simulate::faults::load(path)
            .map_err(|error| mistake(source, "source.simulator.faults", &error))?,
        None => Vec::new(),
    };
    Ok(SimulatorConfig {
        seed: simulator.seed,
        rate: simulator.rate,
        period,
        faults,
    })
}

fn mqtt_config(mqtt: &MqttSettings, zone: TimeZone) -> Result<MqttConfig, ConfigError> {
    let mut sensors = Vec::with_capacity(mqtt.topics.len());
    for topic in &mqtt.topics {
        let json_path = |text: &String| -> Result<JsonPath, ConfigError> {
            text.parse::<JsonPath>().map_err(|error| ConfigError {
                mistakes: vec![Mistake::error(
                    &topic.place,
                    format!("source.mqtt.topics.{}", topic.sensor),
                    format!("path {text:?}: {error}"),
                )],
            })
        };
        let time_path = topic.time_path.as_ref().or(mqtt.time_path.as_ref());
        let conditions = topic.wanted.iter();
        sensors.push(MqttSensor {
            sensor: topic.sensor.clone(),
            topic: topic.topic.clone(),
            path: topic.path.as_ref().map(json_path).transpose()?,
            time_path: time_path.map(json_path).transpose()?,
            conditions: conditions
                .map(|(path, wanted)| Ok((json_path(path)?, wanted.to_string())))
                .collect::<Result<_, ConfigError>>()?,
        });
    }
    Ok(MqttConfig {
        broker: broker::config(&mqtt.broker, "source.mqtt", &mqtt.name)?,
        sensors,
        time: TimeFrom::Arrival,
        zone,
    })
}

fn modbus_config(modbus: &ModbusSettings) -> ModbusConfig {
    ModbusConfig {
        host: modbus.host.clone(),
        port: modbus.port,
        unit: modbus.unit,
        poll: modbus.poll,
        timeout: modbus.timeout,
        max_registers: modbus.max_registers,
        max_gap: modbus.max_gap,
        sensors: modbus.registers.iter().map(modbus_sensor).collect(),
    }
}

fn modbus_sensor(register: &ModbusRegister) -> ModbusSensor {
    ModbusSensor {
        sensor: register.sensor.clone(),
        table: register.table,
        address: register.address,
        kind: register.kind,
        order: register.word_order,
        scale: register.scale,
        offset: register.offset,
        missing: register.missing,
    }
}
