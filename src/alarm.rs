//! Stage 6 (contract).
use crate::frame::Timestamp;

/// What an alarm says about one responsible sensor.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SensorEvidence {
    pub sensor: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// In the sensor's own unit.
    pub seen: f64,
    pub expected: f64,
    /// The sensors that set the expectation, strongest first (at most three); empty for the raw head.
    pub from: Vec<String>,
    /// The head that spoke loudest: `reconstruction`, `neighbour` or `raw`.
    pub head: &'static str,
    /// How unusual: the sensor's u, in multiples of its normal spread.
    pub strength: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmKind {
    /// The score crossed the threshold.
    Anomaly,
    /// A sensor stopped reporting.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    Raised,
    /// The alarm stands and repeats its notice.
    Updated,
    Cleared,
}

/// One line of the alarm stream, the same for every output.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AlarmEvent {
    /// Stable over raised, updated and cleared: four characters or more, like `a7k2`.
    pub id: String,
    pub kind: AlarmKind,
    pub transition: Transition,
    pub time: Timestamp,
    pub raised_at: Timestamp,
    /// Relative to the threshold in force: 1.0 raises.
    pub score: f64,
    pub peak_score: f64,
    /// Up to five, most responsible first.
    pub sensors: Vec<SensorEvidence>,
    pub model: String,
}
