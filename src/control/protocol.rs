//! What can be asked of the running service, and what it answers.

use serde::{Deserialize, Serialize};

use crate::frame::Timestamp;
use crate::histogram::Histogram;

/// One request. On the wire: `{"do":"ack","alarm":"a7k2","as":"real"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    Status,
    /// How soon frames were scored since the service started.
    Latencies,
    /// A person says what an alarm was.
    Ack {
        alarm: String,
        #[serde(rename = "as")]
        verdict: VerdictWord,
    },
    /// Keeps a sensor or an alarm quiet for a time (ISA-18.2: shelves it).
    Mute {
        what: String,
        seconds: u64,
    },
    Unmute {
        what: String,
    },
    /// Read the configuration and the model again.
    Reload,
    /// Write what the history has so far, for who wants to read it.
    History,
}

impl Request {
    /// Whether things stand otherwise afterwards.
    pub fn changes(&self) -> bool {
        matches!(
            self,
            Request::Ack { .. } | Request::Mute { .. } | Request::Unmute { .. }
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    Real,
    Normal,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub ok: bool,
    /// What was done, or why not, for people.
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<Status>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Box<Latencies>>,
}

impl Answer {
    pub fn done(text: impl Into<String>) -> Self {
        Answer {
            ok: true,
            text: text.into(),
            status: None,
            latencies: None,
        }
    }

    pub fn refused(text: impl Into<String>) -> Self {
        Answer {
            ok: false,
            text: text.into(),
            status: None,
            latencies: None,
        }
    }

    pub fn status(status: Status) -> Self {
        Answer {
            status: Some(Box::new(status)),
            ..Answer::done("")
        }
    }

    pub fn latencies(latencies: Latencies) -> Self {
        Answer {
            latencies: Some(Box::new(latencies)),
            ..Answer::done("")
        }
    }
}

/// How soon frames were scored since the service started, in counts: two answers can be subtracted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the moment that inference took the last sample of a frame to its score.
    pub taken_to_score: Histogram,
    /// From the time that the samples carry to their score, by the clock of this machine: all that
    /// lies between, waiting included.
    pub age: Histogram,
}

/// Everything `anomalyd status` shows. What is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// What the plant is called, where the configuration or the model says so.
    pub name: String,
    pub host: Option<String>,
    pub board: Option<String>,
    /// Since the service started.
    pub up_seconds: f64,
    /// `watching`, `learning` or `degraded`.
    pub state: String,
    /// How far learning has come, or what was degraded and why.
    pub state_text: Option<String>,
    pub model: Option<String>,
    pub heads: usize,
    pub engine: Option<String>,
    pub samples_per_second: f64,
    /// Relative to the threshold in force: 1.0 raises.
    pub last_score: Option<f64>,
    pub frames: u64,
    pub scored: u64,
    pub unscored: u64,
    /// Samples dropped because more came than could be judged.
    pub samples_lost: u64,
    /// Sample complete to score known, 99 of 100 within.
    pub latency_p99_ms: Option<f64>,
    pub alarms: AlarmsStatus,
    pub flood: FloodStatus,
    pub sensors: SensorsStatus,
    pub muted: Vec<MuteStatus>,
    pub sources: Vec<SourceView>,
    /// Outputs that may have to wait for somebody.
    #[serde(default)]
    pub outputs: Vec<OutputStatus>,
    /// Readings of the machine, as `health` names them.
    pub health: Option<serde_json::Value>,
    /// The same in one line.
    pub health_text: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlarmsStatus {
    pub open: Vec<OpenAlarmStatus>,
    /// Raised in the last seven days.
    pub week: usize,
    /// Of these: confirmed as real.
    pub week_confirmed: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAlarmStatus {
    pub id: String,
    pub kind: String,
    pub raised_at: Timestamp,
    pub peak_score: f64,
}

/// Flood control: how much higher than the threshold a score must be to raise an alarm now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FloodStatus {
    pub level: f64,
    pub gain: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SensorsStatus {
    pub total: usize,
    pub fresh: usize,
    pub silent: Vec<SilentStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SilentStatus {
    pub sensor: String,
    /// Absent where it never reported.
    pub last_seen: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MuteStatus {
    /// A sensor's name or an alarm's id.
    pub what: String,
    pub until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceView {
    pub name: String,
    /// `connected`, `waiting: …`, …
    pub state: String,
    pub received: u64,
}

/// An output with a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputStatus {
    pub name: String,
    /// `connected`, `waiting: …`, …
    pub state: String,
    /// Messages in the queue, and the bytes of its files.
    pub waiting: usize,
    pub queue_bytes: u64,
    /// Since the start, for want of room.
    pub dropped_alarms: u64,
    pub dropped_health: u64,
    pub dropped_scores: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_read_as_documented() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        assert_eq!(read(r#"{"do":"status"}"#).unwrap(), Request::Status);
        assert_eq!(
            read(r#"{"do":"ack","alarm":"a7k2","as":"real"}"#).unwrap(),
            Request::Ack {
                alarm: "a7k2".to_owned(),
                verdict: VerdictWord::Real
            }
        );
        assert_eq!(
            read(r#"{"do":"mute","what":"FIT401","seconds":7200}"#).unwrap(),
            Request::Mute {
                what: "FIT401".to_owned(),
                seconds: 7200
            }
        );
        for wrong in [
            r#"{"do":"stop"}"#,
            r#"{"do":"ack","alarm":"a7k2"}"#,
            r#"{"do":"mute","what":"x","seconds":-1}"#,
            "[]",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in any::<Vec<u8>>()) {
            let _ = serde_json::from_slice::<Request>(&line);
        }
    }
}
