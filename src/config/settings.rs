//! Step 3: the settings that the rest of the program sees. Imports `register` and its sibling
//! modules; the stages' own configurations are made from these by `cli` and `daemon`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::endpoint::Endpoint;
use super::fragment::key_text;
use super::mistake::Place;
pub use super::value::FieldValue;
use crate::register::{RegisterTable, RegisterType, WordOrder};

/// The validated configuration. Paths are complete (root folder included) and ready to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The files that were read, in the order in which they win.
    pub files: Vec<PathBuf>,
    /// What the plant is called; else the model's name.
    pub name: Option<String>,
    pub model: PathBuf,
    /// Where `model` was set; `None` when it is the default.
    pub model_place: Option<Place>,
    pub engine: EngineChoice,
    /// Else it is searched for.
    pub torch_worker: Option<PathBuf>,
    /// Else the model's.
    pub max_false_alarms_per_week: Option<f64>,
    /// Time between two frames; else the model's.
    pub period: Option<Duration>,
    pub state_directory: PathBuf,
    pub control_socket: PathBuf,
    /// How much is recorded to learn a model from, where there is none; zero: never by itself.
    pub learn_for: Duration,
    pub log_level: log::LevelFilter,
    pub frame: FrameSettings,
    pub alarm: AlarmSettings,
    /// The sources that are switched on; at least one.
    pub sources: Vec<SourceSettings>,
    pub output: OutputSettings,
    pub health: HealthSettings,
    /// Whether the history is kept.
    pub history: bool,
    pub web: WebSettings,
}

/// The page, the metrics and the health checks.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSettings {
    pub enabled: bool,
    pub listen: SocketAddr,
    /// With which the page may change something; else nobody may.
    pub password: Option<Password>,
    /// Names by which browsers reach it, beside the machine's own.
    pub hosts: Vec<String>,
}

/// Limits of the service's own health.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthSettings {
    /// Else from what the service may have.
    pub memory_warning_bytes: Option<u64>,
    pub memory_critical_bytes: Option<u64>,
    pub cpu_warning_percent: f64,
    pub cpu_critical_percent: f64,
    pub latency_warning: Duration,
    pub latency_critical: Duration,
    pub raise_after: Duration,
    pub clear_after: Duration,
    /// Whether things are left out under pressure.
    pub degrade: bool,
    pub degrade_from_celsius: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineChoice {
    /// Native where it can run the model, else torch.
    Auto,
    Native,
    Torch,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FrameSettings {
    /// Periods for which a sensor's last value is used.
    pub hold: u32,
    /// By the name of the sensor, where it differs from `hold`.
    pub sensor_hold: BTreeMap<String, SensorHold>,
    pub stale_after: Duration,
    /// Of times written without a zone.
    pub zone: TimeZone,
    /// Capacity of the queue between the sources and the model.
    pub queue_samples: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SensorHold {
    /// Periods.
    pub hold: u32,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlarmSettings {
    pub clear_after: Duration,
    /// 1 to 5
    pub top_sensors: usize,
    /// Whether a sensor that stops reporting raises an alarm.
    pub silent: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OutputSettings {
    pub log: bool,
    pub stdout: bool,
    /// Where it is switched on.
    pub mqtt: Option<MqttOutputSettings>,
    pub otlp: Option<OtlpSettings>,
}

/// How a broker is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSettings {
    pub place: Place,
    pub host: String,
    pub port: u16,
    /// Else made from the host name, and the source's name where it is one's.
    pub client_id: Option<String>,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub tls: bool,
    /// PEM; else the system's authorities.
    pub ca_file: Option<PathBuf>,
    pub keep_alive: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MqttOutputSettings {
    pub broker: BrokerSettings,
    /// The first level of all topics.
    pub prefix: String,
    /// The second; else made from the host name.
    pub device: Option<String>,
    /// Zero: no scores.
    pub score_every: Duration,
    /// Zero: no readings.
    pub health_every: Duration,
    pub home_assistant: bool,
    pub home_assistant_prefix: String,
    /// The most that waits on the disk.
    pub queue_bytes: u64,
    /// Messages a second from what waited.
    pub catch_up_per_second: u32,
}

/// A collector that speaks OTLP over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpSettings {
    pub place: Place,
    pub endpoint: Endpoint,
    /// A file of header lines, which may hold secrets.
    pub headers: Option<PathBuf>,
    /// PEM; else the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// By which appliances are told apart; else made from the host name.
    pub device: Option<String>,
    /// Zero: no metrics.
    pub metrics_every: Duration,
    /// The most that waits on the disk.
    pub queue_bytes: u64,
    /// Log records a second from what waited.
    pub catch_up_per_second: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SourceSettings {
    Ndjson(NdjsonSettings),
    Csv(CsvSettings),
    Mqtt(MqttSettings),
    Modbus(ModbusSettings),
    Simulator(SimulatorSettings),
}

impl SourceSettings {
    /// Unique among the sources of its kind, at most 12 bytes.
    pub fn name(&self) -> &str {
        match self {
            SourceSettings::Ndjson(source) => &source.name,
            SourceSettings::Csv(source) => &source.name,
            SourceSettings::Mqtt(source) => &source.name,
            SourceSettings::Modbus(source) => &source.name,
            SourceSettings::Simulator(_) => "simulator",
        }
    }

    /// Where the source was (first) set.
    pub fn place(&self) -> &Place {
        match self {
            SourceSettings::Ndjson(source) => &source.place,
            SourceSettings::Csv(source) => &source.place,
            SourceSettings::Mqtt(source) => &source.broker.place,
            SourceSettings::Modbus(source) => &source.place,
            SourceSettings::Simulator(source) => &source.place,
        }
    }

    /// Its table in the file: `source.mqtt`.
    pub fn key(&self) -> &'static str {
        match self {
            SourceSettings::Ndjson(_) => "source.ndjson",
            SourceSettings::Csv(_) => "source.csv",
            SourceSettings::Mqtt(_) => "source.mqtt",
            SourceSettings::Modbus(_) => "source.modbus",
            SourceSettings::Simulator(_) => "source.simulator",
        }
    }

    /// The sensors that it gives, where it says so beforehand.
    pub fn named_sensors(&self) -> Option<Vec<NamedSensor<'_>>> {
        let named = |list, sensor, place| NamedSensor {
            sensor,
            place,
            list,
        };
        Some(match self {
            SourceSettings::Mqtt(source) => {
                let topics = source.topics.iter();
                topics
                    .map(|topic| named("source.mqtt.topics", topic.sensor.as_str(), &topic.place))
                    .collect()
            }
            SourceSettings::Modbus(source) => {
                let registers = source.registers.iter();
                registers
                    .map(|of| named("source.modbus.registers", of.sensor.as_str(), &of.place))
                    .collect()
            }
            SourceSettings::Ndjson(_) | SourceSettings::Csv(_) | SourceSettings::Simulator(_) => {
                return None;
            }
        })
    }
}

/// A sensor that a source names.
#[derive(Debug, Clone, Copy)]
pub struct NamedSensor<'a> {
    pub sensor: &'a str,
    pub place: &'a Place,
    /// The table that has it as a key: `source.mqtt.topics`.
    pub list: &'static str,
}

impl NamedSensor<'_> {
    /// Its key in the file.
    pub fn key(&self) -> String {
        format!("{}.{}", self.list, key_text(self.sensor))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct NdjsonSettings {
    pub name: String,
    pub place: Place,
    pub listen: Listen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Stdin,
    /// A Unix socket to be made and listened on.
    Socket(PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CsvSettings {
    pub name: String,
    pub place: Place,
    pub path: PathBuf,
    /// Read what is in the file already; else only what is added.
    pub from_start: bool,
    pub zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorSettings {
    pub place: Place,
    pub seed: u64,
    /// Frames a second of wall-clock time.
    pub rate: f64,
    pub faults: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MqttSettings {
    pub name: String,
    pub broker: BrokerSettings,
    /// Where the payloads carry their time, unless a topic says otherwise; else time of arrival.
    pub time_path: Option<String>,
    /// At least one, by the name of the sensor.
    pub topics: Vec<MqttTopic>,
}

/// How one sensor's value comes over MQTT.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttTopic {
    pub sensor: String,
    pub place: Place,
    /// A topic filter: `+` and `#` are wildcards.
    pub topic: String,
    /// Where the value stands in a JSON payload; else the payload is the value.
    pub path: Option<String>,
    /// JSON path and wanted value, all of which a payload must have to be taken.
    pub wanted: BTreeMap<String, FieldValue>,
    pub time_path: Option<String>,
}

/// One Modbus TCP device.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusSettings {
    pub name: String,
    pub place: Place,
    pub host: String,
    pub port: u16,
    pub unit: u8,
    pub poll: Duration,
    pub timeout: Duration,
    /// Of one request.
    pub max_registers: u16,
    /// Unwanted registers between two wanted ones that are read along.
    pub max_gap: u16,
    /// At least one, by the name of the sensor.
    pub registers: Vec<ModbusRegister>,
}

/// How one sensor's value stands in a Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusRegister {
    pub sensor: String,
    pub place: Place,
    pub table: RegisterTable,
    /// Counted from 0.
    pub address: u16,
    pub kind: RegisterType,
    pub word_order: WordOrder,
    /// The value is what is read times `scale` plus `offset`.
    pub scale: f64,
    pub offset: f64,
    /// As it is read, before `scale`: there is no value.
    pub missing: Option<f64>,
}

/// A password, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    Plain(String),
    /// The first line of a file.
    File(PathBuf),
}

impl Password {
    /// The password itself.
    ///
    /// # Errors
    /// The file cannot be read as text.
    pub fn read(&self) -> io::Result<String> {
        match self {
            Password::Plain(text) => Ok(text.clone()),
            Password::File(path) => {
                let text = std::fs::read_to_string(path)?;
                Ok(text.lines().next().unwrap_or_default().to_string())
            }
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Password::Plain(_) => f.write_str("Plain(…)"),
            Password::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_from_its_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mqtt");
        std::fs::write(&path, "s3cret word\r\nrest\n").unwrap();
        assert_eq!(Password::File(path).read().unwrap(), "s3cret word");
        let plain = Password::Plain("s3cret".into());
        assert_eq!(plain.read().unwrap(), "s3cret");
        assert!(!format!("{plain:?}").contains("s3cret"));
        let absent = Password::File(folder.path().join("absent"));
        assert!(absent.read().is_err());
    }
}
