//! One alarm as it is known: from its events. Imports its parent.

use serde::{Deserialize, Serialize};

use super::{AlarmEvent, AlarmKind, SensorEvidence, Transition, Verdict};
use crate::frame::Timestamp;

/// What is known of an alarm and its whole life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmRecord {
    pub id: String,
    pub kind: AlarmKind,
    pub raised_at: Timestamp,
    /// Absent while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Timestamp>,
    /// At the raise, relative to the threshold in force.
    pub score: f64,
    pub peak_score: f64,
    /// Flood control's gain at the raise ([`AlarmEvent::threshold`]).
    pub threshold: f64,
    /// As at the raise; of silent sensors all that fell silent.
    pub sensors: Vec<SensorEvidence>,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

impl AlarmRecord {
    /// What the first event of an alarm that we hear of says.
    pub fn new(event: &AlarmEvent) -> Self {
        AlarmRecord {
            id: event.id.clone(),
            kind: event.kind,
            raised_at: event.raised_at,
            cleared_at: (event.transition == Transition::Cleared).then_some(event.time),
            score: event.score,
            peak_score: event.peak_score,
            threshold: event.threshold,
            sensors: event.sensors.clone(),
            model: event.model.clone(),
            verdict: event.verdict,
            degraded: event.degraded.clone(),
        }
    }

    /// The event that tells others what is known.
    pub fn event(&self, transition: Transition, time: Timestamp) -> AlarmEvent {
        AlarmEvent {
            id: self.id.clone(),
            kind: self.kind,
            transition,
            time,
            raised_at: self.raised_at,
            score: match transition {
                Transition::Cleared => 0.0,
                _ => self.score,
            },
            peak_score: self.peak_score,
            threshold: self.threshold,
            sensors: self.sensors.clone(),
            model: self.model.clone(),
            degraded: self.degraded.clone(),
            verdict: self.verdict,
        }
    }

    /// Takes a further event of the same alarm.
    pub fn take(&mut self, event: &AlarmEvent) {
        self.peak_score = self.peak_score.max(event.peak_score);
        self.verdict = event.verdict.or(self.verdict);
        if event.transition == Transition::Cleared {
            self.cleared_at = Some(event.time);
        }
        if event.kind == AlarmKind::Silent && event.sensors.len() > self.sensors.len() {
            self.sensors.clone_from(&event.sensors);
        }
    }

    /// Whether both are the same alarm: ids are short, and of a thousand two may be alike.
    pub fn is_same(&self, id: &str, raised_at: Timestamp) -> bool {
        self.id == id && self.raised_at == raised_at
    }
}
