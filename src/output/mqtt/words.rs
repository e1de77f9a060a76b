//! What is published, and where: topics and payloads. Imports `alarm` and `frame`.

use serde_json::{Map, Value, json};

use super::MqttOutputConfig;
use super::score::ScoreSpan;
use crate::alarm::AlarmEvent;
use crate::frame::Timestamp;
use crate::output::ids::{alarm_message_id, limit_id, milliseconds};
use crate::output::post::{HealthWords, StateWords};
use crate::output::queue::LONGEST_MESSAGE;

/// The last levels of the topics.
pub const STATUS: &str = "status";
pub const ALARM: &str = "alarm";
pub const SCORE: &str = "score";
pub const HEALTH: &str = "health";
pub const HEALTH_EVENT: &str = "health/event";

/// Sensors that an alarm's text names.
const NAMED: usize = 3;
/// An alarm that is longer leaves sensors out.
const LONG: usize = LONGEST_MESSAGE / 2;

impl MqttOutputConfig {
    pub fn topic(&self, last: &str) -> String {
        format!("{}/{}/{last}", self.prefix, self.device)
    }

    pub fn alarm(&self, event: &AlarmEvent) -> Vec<u8> {
        let whole = self.alarm_with(event, event.sensors.len());
        match whole.len() <= LONG {
            true => whole,
            false => self.alarm_with(event, 16.min(event.sensors.len())),
        }
    }

    /// The alarm with its first `most` sensors.
    fn alarm_with(&self, event: &AlarmEvent, most: usize) -> Vec<u8> {
        let mut fields = self.head(&alarm_message_id(event), event.time);
        let left_out = event.sensors.len() - most;
        let mut short = event.clone();
        short.sensors.truncate(most);
        if let Ok(Value::Object(event)) = serde_json::to_value(&short) {
            fields.extend(event);
        }
        fields.insert("text".to_owned(), event.text(NAMED).into());
        if left_out > 0 {
            fields.insert("sensors_left_out".to_owned(), left_out.into());
        }
        bytes(&Value::Object(fields))
    }

    pub fn score(&self, span: &ScoreSpan) -> Vec<u8> {
        let time = span.last_time;
        let mut fields = self.head(&format!("score-{}", milliseconds(time)), time);
        fields.insert("score".to_owned(), rounded(span.last));
        fields.insert("max".to_owned(), rounded(span.max));
        fields.insert("frames".to_owned(), span.frames.into());
        fields.insert("from".to_owned(), json!(span.first_time));
        bytes(&Value::Object(fields))
    }

    /// A reading of everything; `readings` as `anomalyd status --json` has it under `health`.
    pub fn health(&self, readings: &Value, time: Timestamp) -> Vec<u8> {
        let mut fields = self.head(&format!("health-{}", milliseconds(time)), time);
        fields.insert("readings".to_owned(), readings.clone());
        bytes(&Value::Object(fields))
    }

    /// What crossed a limit, with the time as part of the id: `number` tells those of one moment apart.
    pub fn health_event(&self, words: &HealthWords, number: usize) -> Vec<u8> {
        let mut fields = self.head(&limit_id(words, number), words.time);
        if let Ok(Value::Object(event)) = serde_json::to_value(words) {
            fields.insert("event".to_owned(), Value::Object(event));
        }
        bytes(&Value::Object(fields))
    }

    /// `open`: ids of the alarms that stand.
    pub fn status(&self, words: &StateWords, open: &[&str], queue: &Value) -> Vec<u8> {
        bytes(&json!({
            "online": true,
            "device": self.device,
            "name": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "state": match open.is_empty() {
                true => words.state.as_str(),
                false => "alarm",
            },
            "text": words.text,
            "model": words.model,
            "open_alarms": open,
            "queue": queue,
        }))
    }

    /// The last will, and the goodbye.
    pub fn offline(&self) -> Vec<u8> {
        bytes(&json!({ "online": false, "device": self.device, "state": "offline" }))
    }

    fn head(&self, message: &str, time: Timestamp) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("message".to_owned(), message.into());
        fields.insert("device".to_owned(), self.device.clone().into());
        fields.insert("time".to_owned(), json!(time));
        fields
    }
}

fn rounded(score: f64) -> Value {
    json!((score * 1e4).round() / 1e4)
}

fn bytes(value: &Value) -> Vec<u8> {
    // A value is always JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::alarm::{AlarmKind, SensorEvidence, Transition};

    pub fn event(sensors: usize) -> AlarmEvent {
        AlarmEvent {
            id: "a7k2".to_owned(),
            kind: AlarmKind::Silent,
            transition: Transition::Updated,
            time: Timestamp::from_seconds(1_764_079_787),
            raised_at: Timestamp::from_seconds(1_764_079_387),
            score: 0.0,
            peak_score: 0.0,
            threshold: 1.0,
            sensors: (0..sensors)
                .map(|number| SensorEvidence {
                    sensor: format!("{number}{}", "x".repeat(250)),
                    unit: String::new(),
                    seen: None,
                    expected: None,
                    from: vec![],
                    head: "silent",
                    strength: 0.0,
                })
                .collect(),
            model: "plant 1".to_owned(),
            degraded: None,
            verdict: None,
        }
    }

    #[test]
    fn an_alarm_carries_its_id_its_text_and_itself() {
        let payload = example().alarm(&event(2));
        let value: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(value["message"], "a7k2-1764079387000-updated-1764079787000");
        assert_eq!(value["id"], "a7k2");
        assert_eq!(value["device"], "pi");
        assert_eq!(value["sensors"].as_array().unwrap().len(), 2);
        assert!(value["text"].as_str().unwrap().contains("2 sensors"));
        assert!(value.get("sensors_left_out").is_none());
    }

    #[test]
    fn an_alarm_of_a_thousand_sensors_fits() {
        let payload = example().alarm(&event(1_024));
        assert!(payload.len() < LONG);
        let value: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(value["sensors_left_out"], 1_008);
        assert!(value["text"].as_str().unwrap().contains("1024 sensors"));
    }

    #[test]
    fn what_stands_makes_the_state_an_alarm() {
        let words = StateWords {
            state: "watching".to_owned(),
            ..StateWords::default()
        };
        let state = |open: &[&str]| -> Value {
            serde_json::from_slice(&example().status(&words, open, &Value::Null)).unwrap()
        };
        assert_eq!(state(&[])["state"], "watching");
        assert_eq!(state(&["a7k2"])["state"], "alarm");
        assert_eq!(state(&["a7k2"])["online"], true);
    }
}
