//! `extra/manifest.toml`: everything about a model that is not a weight.
//! Imports `model` only.

mod check;
mod text;

use serde::{Deserialize, Serialize};

/// Raised when a reader must understand more than before to use the file rightly.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    /// What made the file: `anomalyd 0.1.0`.
    pub created_by: String,
    /// RFC 3339
    pub created_at: String,
    /// The plant or line, as the user calls it.
    pub name: String,
    /// Counts up with each training for the same name; free text for people.
    pub version: String,
    /// Sampling period in seconds.
    pub period_seconds: f64,
    /// T
    pub window: usize,
    /// H; 0 without an autoencoder.
    pub hidden: usize,
    /// Which heads are scored, in this order: `reconstruction`, `neighbour`, `raw`.
    pub heads: Vec<HeadKind>,
    pub max_false_alarms_per_week: f64,
    pub training: Training,
    pub charts: Charts,
    /// One entry a sensor, in column order.
    pub sensors: Vec<Sensor>,
    /// Strongest first within each target sensor.
    pub edges: Vec<Edge>,
}

impl Manifest {
    /// Sampling period in whole nanoseconds, at least 1.
    pub fn period_nanos(&self) -> i64 {
        ((self.period_seconds * 1e9).round() as i64).max(1)
    }

    /// The sensors' names, in the order of the model's values.
    pub fn sensor_names(&self) -> Vec<String> {
        self.sensors.iter().map(|s| s.name.clone()).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadKind {
    Reconstruction,
    Neighbour,
    Raw,
}

impl HeadKind {
    pub fn name(self) -> &'static str {
        match self {
            HeadKind::Reconstruction => "reconstruction",
            HeadKind::Neighbour => "neighbour",
            HeadKind::Raw => "raw",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub rows: usize,
    pub span_seconds: f64,
    /// Share of values that were missing, 0 to 1.
    pub missing: f64,
    /// Mean squared reconstruction error on the training rows; absent without an autoencoder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss: Option<f64>,
    /// The command that made the file, for the record.
    #[serde(default)]
    pub command: String,
}

/// What is kept of the out-of-sample scores, so that the budget can be changed without training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Charts {
    pub a: ChartTail,
    pub b: ChartTail,
}

/// The upper tail of one chart (docs/detection.md, threshold).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChartTail {
    /// w: the 98 % quantile
    pub quantile: f64,
    /// Mean excess of the cluster peaks over w: p − w for chart A, ln(p / w) for chart B.
    pub mean_excess: f64,
    /// λ: cluster peaks a week
    pub peaks_per_week: f64,
    pub peaks: usize,
    pub largest: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Standardiser: x = (value − mean) / deviation
    pub mean: f64,
    pub deviation: f64,
    /// One entry a head, in the order of `heads`.
    pub residual: Vec<ResidualSpread>,
}

/// Out-of-sample residual of one head of one sensor (docs/detection.md, score).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResidualSpread {
    /// m0
    pub median: f64,
    /// s0
    pub spread: f64,
    /// sig of the unsmoothed residual (a = 1)
    pub fast: f64,
    /// sig of the slow average (a = 0.1)
    pub slow: f64,
}

/// `target` is expected to move by `weight` standard deviations with one of `source`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    pub target: usize,
    pub source: usize,
    pub weight: f64,
}

/// A small manifest that is right in every respect, for tests.
#[cfg(test)]
pub(crate) fn example() -> Manifest {
    let residual = ResidualSpread {
        median: -0.01,
        spread: 0.21,
        fast: 0.9,
        slow: 0.4,
    };
    let tail = ChartTail {
        quantile: 1.25,
        mean_excess: 0.5,
        peaks_per_week: 12.0,
        peaks: 9,
        largest: 3.5,
    };
    let sensor = |name: &str, unit: &str, mean: f64| Sensor {
        name: name.to_owned(),
        unit: unit.to_owned(),
        mean,
        deviation: 0.13,
        residual: vec![residual.clone(); 3],
    };
    let edge = |target, source, weight| Edge {
        target,
        source,
        weight,
    };
    Manifest {
        schema: SCHEMA,
        created_by: "anomalyd 0.1.0".to_owned(),
        created_at: "2026-11-25T14:03:07Z".to_owned(),
        name: "plant".to_owned(),
        version: "1".to_owned(),
        period_seconds: 1.0,
        window: 10,
        hidden: 4,
        heads: vec![HeadKind::Reconstruction, HeadKind::Neighbour, HeadKind::Raw],
        max_false_alarms_per_week: 1.0,
        training: Training {
            rows: 86_400,
            span_seconds: 86_400.0,
            missing: 0.0002,
            loss: Some(0.031),
            command: "anomalyd train normal.csv".to_owned(),
        },
        charts: Charts {
            a: tail.clone(),
            b: tail,
        },
        sensors: vec![sensor("FIT401", "m3/h", 1.71), sensor("P401", "", 1.0)],
        edges: vec![edge(0, 1, 0.62), edge(1, 0, 0.58)],
    }
}
