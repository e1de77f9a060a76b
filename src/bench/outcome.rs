//! What a benchmark found, as `results.json` holds it (docs/benchmarks.md). Imports `frame`,
//! `histogram`, `health` and its siblings' plain types.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fit::Slope;
use super::target::{Better, EngineName};
use crate::control::Latencies;
use crate::frame::Timestamp;
use crate::health::Throttle;
use crate::histogram::Histogram;

/// Raised when a field changes its meaning or goes; one that is added leaves it.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub schema: u32,
    /// Version of the program.
    pub anomalyd: String,
    pub started: Timestamp,
    pub seconds: f64,
    /// The command line.
    pub command: Vec<String>,
    pub machine: Facts,
    pub engines: Vec<EngineOutcome>,
    /// Round trips through the broker that was named.
    pub broker: Option<Broker>,
    /// Something could not be measured; `missing` says what and why.
    pub partial: bool,
    pub missing: Vec<Missing>,
    pub verdict: Verdict,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub architecture: String,
    pub board: Option<String>,
    pub processor: Option<String>,
    pub cores: usize,
    pub kernel: Option<String>,
    pub governor: Option<String>,
    pub memory_bytes: Option<u64>,
    /// Of the file system that the service's state was on.
    pub disk_total_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
    /// Over the last minute, as the kernel averages it.
    pub load_at_start: Option<f64>,
    pub load_at_end: Option<f64>,
}

/// All that was measured with one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineOutcome {
    pub engine: EngineName,
    pub model: ModelFacts,
    pub cap: Cap,
    /// Program started to `READY=1`, each time.
    pub start_seconds: Vec<f64>,
    /// File opened to golden vectors reproduced, each time.
    pub model_load_seconds: Vec<f64>,
    pub phases: Vec<Phase>,
    pub streamed: Option<Streamed>,
    pub replayed: Option<Replayed>,
    #[serde(default)]
    pub day: Option<Day>,
    pub metrics: Vec<Metric>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    pub name: String,
    pub digest: String,
    pub bytes: u64,
    pub sensors: usize,
    pub window: usize,
    /// Units of the LSTM; absent without one.
    pub hidden: Option<usize>,
}

/// The memory cap that the service was run under.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cap {
    pub active: bool,
    /// How it was set, or why there is none.
    pub how: String,
    pub max_bytes: Option<u64>,
    pub high_bytes: Option<u64>,
}

/// The service under one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `sustained`, `dense` or `quiet`
    pub name: String,
    pub rows_per_second: f64,
    /// What the readings cover, without the warm-up.
    pub seconds: f64,
    pub rows_sent: u64,
    pub frames_scored: u64,
    pub frames_unscored: u64,
    pub samples_lost: u64,
    pub latencies: Latencies,
    /// How late the load itself was: when a row was due to when it was written.
    pub load_lateness: Histogram,
    /// One a second.
    pub readings: Vec<Reading>,
    pub cpu_seconds: f64,
    pub wakeups: Option<u64>,
    /// To storage, by all processes of the service.
    pub written_bytes: Option<u64>,
    /// What the state directory held in the end: about what one save writes.
    pub saved_bytes: Option<u64>,
    pub rss_peak_bytes: Option<u64>,
    pub cgroup_peak_bytes: Option<u64>,
    /// Bytes of RSS a second.
    pub rss_slope: Option<Slope>,
    /// Of its anonymous part alone.
    #[serde(default)]
    pub anon_slope: Option<Slope>,
    /// Processor time of other programs, in cores.
    pub foreign_cores: Option<f64>,
    /// Of a thread that does nothing but wake as often as rows come; `None` where they come seldom.
    #[serde(default)]
    pub wake_up_seconds: Option<f64>,
    /// Of one that then reads as much memory as the model's weights take.
    #[serde(default)]
    pub fetch_seconds: Option<f64>,
}

/// One look at the service and the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Seconds since measuring began.
    pub at: f64,
    pub rss_bytes: Option<u64>,
    pub rss_anon_bytes: Option<u64>,
    pub rss_file_bytes: Option<u64>,
    pub cgroup_bytes: Option<u64>,
    /// Since the reading before; 100 % is one core.
    pub cpu_percent: Option<f64>,
    pub temperature_celsius: Option<f64>,
    pub cpu_mhz: Option<f64>,
    pub throttle: Option<Throttle>,
}

/// Windows as fast as the engine takes them, in this very process (and the worker).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Streamed {
    pub windows: u64,
    pub seconds: f64,
    /// Of this process and the worker.
    pub cpu_seconds: f64,
    /// RSS after warm-up, and after 1000 further windows.
    pub rss_bytes_at_0: Option<u64>,
    pub rss_bytes_at_1000: Option<u64>,
    /// Windows and RSS since the warm-up.
    pub rss: Vec<(u64, u64)>,
    /// Bytes of RSS a million windows.
    pub rss_slope: Option<Slope>,
    /// Input projections that the windows needed, and how many of these were computed.
    pub projections_needed: Option<u64>,
    pub projections_computed: Option<u64>,
}

/// `anomalyd replay` of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    pub rows: u64,
    pub bytes: u64,
    /// As the command says it; reading and parsing included, loading the model not.
    pub rows_per_second: f64,
}

/// A day of the plant, sent as fast as it was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Day {
    pub rows: u64,
    /// But for the saves of the state, which are by the clock.
    pub written_bytes: u64,
}

/// A message of an alarm's size, published and received again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broker {
    pub address: String,
    pub round_trips: Histogram,
    /// From an alarm, over the queue on disk and the broker, to a reader.
    #[serde(default)]
    pub alarms: Option<Histogram>,
}

/// One figure with what it is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub id: String,
    pub name: String,
    pub unit: String,
    pub better: Better,
    /// Absent where it could not be measured; `note` says why.
    pub value: Option<f64>,
    pub note: Option<String>,
    pub seed: Option<f64>,
    pub critical: Option<f64>,
    pub ours: Option<f64>,
    pub against_seed: Grade,
    pub against_ours: Grade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Pass,
    /// Beyond the target, within the critical threshold.
    Warn,
    Fail,
    /// There is no target, or no value.
    None,
}

/// Something that could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    pub what: String,
    pub why: String,
}

/// What it all comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Absent where there is a reason in `refused`.
    pub seed_pass: Option<bool>,
    pub ours_pass: Option<bool>,
    /// Why there is no verdict.
    pub refused: Vec<String>,
    /// What would have been a reason, had it not been accepted on the command line.
    pub accepted: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    #[error("{path}: cannot be read: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: is no result of `anomalyd bench run`: {source}")]
    Syntax {
        path: String,
        source: serde_json::Error,
    },
    #[error("{path}: has schema {found}, this program reads {SCHEMA}: measure anew")]
    OtherSchema { path: String, found: u32 },
}

impl Outcome {
    /// # Errors
    /// The file cannot be read, or is not of this schema.
    pub fn load(path: &Path) -> Result<Outcome, OutcomeError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| OutcomeError::Io {
            path: name.clone(),
            source,
        })?;
        let syntax = |source| OutcomeError::Syntax {
            path: name.clone(),
            source,
        };
        let head: Head = serde_json::from_str(&text).map_err(syntax)?;
        if head.schema != SCHEMA {
            return Err(OutcomeError::OtherSchema {
                path: name,
                found: head.schema,
            });
        }
        serde_json::from_str(&text).map_err(syntax)
    }

    pub fn engine(&self, engine: EngineName) -> Option<&EngineOutcome> {
        self.engines.iter().find(|one| one.engine == engine)
    }
}

impl EngineOutcome {
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    pub fn metric(&self, id: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.id == id)
    }

    pub fn value(&self, id: &str) -> Option<f64> {
        self.metric(id)?.value
    }
}

impl Phase {
    /// Whether the machine was slowed down for heat or want of power during it; none where nothing
    /// tells.
    pub fn slowed(&self) -> Option<bool> {
        let throttles: Vec<&Throttle> = self
            .readings
            .iter()
            .filter_map(|reading| reading.throttle.as_ref())
            .collect();
        let now = throttles.iter().filter_map(|one| one.slowed());
        let now = now.reduce(|one, other| one | other);
        // Between two readings: the bits since boot remember it.
        let since_boot = |one: &&Throttle| one.slowed_since_boot();
        let ends = throttles.first().and_then(since_boot);
        let between = ends.zip(throttles.last().and_then(since_boot));
        let between = between.map(|(first, last)| !first && last);
        match (now, between) {
            (None, None) => None,
            (now, between) => Some(now.unwrap_or(false) || between.unwrap_or(false)),
        }
    }
}
