//! Alarms and health events as log records, and the request around them. Imports its siblings, `alarm`,
//! `frame`, and of the outputs `post`, `queue` and `ids`.

use serde_json::{Value, json};

use super::Origin;
use super::words::{array, attribute, bytes, number, resource, scope, text, word};
use crate::alarm::{AlarmEvent, SensorEvidence, Transition};
use crate::frame::Timestamp;
use crate::output::ids::{alarm_message_id, limit_id};
use crate::output::post::HealthWords;
use crate::output::queue::LONGEST_MESSAGE;

/// Sensors that an alarm's text names.
const NAMED: usize = 3;
/// A record that is longer leaves sensors out.
const LONG: usize = LONGEST_MESSAGE / 2;
/// Severities of the standard's table.
const INFO: (u8, &str) = (9, "INFO");
const WARN: (u8, &str) = (13, "WARN");
const ERROR: (u8, &str) = (17, "ERROR");

/// A log record of an event of an alarm.
pub fn alarm(event: &AlarmEvent, now: Timestamp) -> Vec<u8> {
    let whole = alarm_with(event, event.sensors.len(), now);
    match whole.len() <= LONG {
        true => whole,
        false => alarm_with(event, 16.min(event.sensors.len()), now),
    }
}

/// With the first `most` sensors.
fn alarm_with(event: &AlarmEvent, most: usize, now: Timestamp) -> Vec<u8> {
    let sensors = &event.sensors[..most];
    let names = sensors.iter().map(|one| text(&one.sensor));
    let transition = word(&event.transition);
    let mut attributes = vec![
        attribute("anomalyd.alarm.id", text(&event.id)),
        attribute("anomalyd.alarm.kind", text(&word(&event.kind))),
        attribute("anomalyd.alarm.transition", text(&transition)),
        attribute("anomalyd.alarm.raised_at", text(&word(&event.raised_at))),
        attribute("anomalyd.alarm.sensors", array(names)),
        attribute(
            "anomalyd.alarm.evidence",
            array(sensors.iter().map(evidence)),
        ),
        attribute("anomalyd.model", text(&event.model)),
    ];
    for (key, score) in [
        ("anomalyd.alarm.score", event.score),
        ("anomalyd.alarm.peak_score", event.peak_score),
        ("anomalyd.alarm.threshold", event.threshold),
    ] {
        attributes.extend(number(score).map(|score| attribute(key, score)));
    }
    if let Some(degraded) = &event.degraded {
        attributes.push(attribute("anomalyd.degraded", text(&word(degraded))));
    }
    if most < event.sensors.len() {
        let left_out = event.sensors.len() - most;
        let left_out = json!({ "intValue": left_out.to_string() });
        attributes.push(attribute("anomalyd.alarm.sensors_left_out", left_out));
    }
    record(
        &Record {
            id: &alarm_message_id(event),
            name: &format!("anomalyd.alarm.{transition}"),
            time: event.time,
            severity: match event.transition {
                Transition::Raised | Transition::Updated => WARN,
                Transition::Cleared => INFO,
            },
            text: &event.text(NAMED),
        },
        attributes,
        now,
    )
}

fn evidence(of: &SensorEvidence) -> Value {
    let mut values = vec![attribute("sensor", text(&of.sensor))];
    if !of.unit.is_empty() {
        values.push(attribute("unit", text(&of.unit)));
    }
    let numbers = [
        ("seen", of.seen),
        ("expected", of.expected),
        ("strength", Some(of.strength)),
    ];
    for (key, value) in numbers {
        values.extend(value.and_then(number).map(|value| attribute(key, value)));
    }
    values.push(attribute("head", text(of.head)));
    values.push(attribute(
        "from",
        array(of.from.iter().map(|name| text(name))),
    ));
    json!({ "kvlistValue": { "values": values } })
}

/// A log record of a limit that was crossed; `number` tells those of one moment apart.
pub fn health_event(words: &HealthWords, number: usize, now: Timestamp) -> Vec<u8> {
    let is_over = matches!(words.change, "cleared" | "recovered");
    let attributes = vec![
        attribute("anomalyd.health.change", text(words.change)),
        attribute("anomalyd.health.level", text(words.level)),
    ];
    record(
        &Record {
            id: &limit_id(words, number),
            name: &format!("anomalyd.health.{}", words.change),
            time: words.time,
            severity: match words.level {
                _ if is_over => INFO,
                "critical" => ERROR,
                _ => WARN,
            },
            text: &words.text,
        },
        attributes,
        now,
    )
}

struct Record<'a> {
    id: &'a str,
    name: &'a str,
    time: Timestamp,
    severity: (u8, &'static str),
    text: &'a str,
}

fn record(of: &Record<'_>, mut attributes: Vec<Value>, now: Timestamp) -> Vec<u8> {
    // By OpenTelemetry's conventions a second record of this id is the same one.
    attributes.insert(0, attribute("log.record.uid", text(of.id)));
    bytes(&json!({
        "timeUnixNano": of.time.nanos().to_string(),
        "observedTimeUnixNano": now.nanos().to_string(),
        "severityNumber": of.severity.0,
        "severityText": of.severity.1,
        "eventName": of.name,
        "body": text(of.text),
        "attributes": attributes,
    }))
}

/// The body of a request that has these `records`.
pub fn request(origin: &Origin, records: &[Vec<u8>]) -> Vec<u8> {
    let head = format!(
        r#"{{"resourceLogs":[{{"resource":{},"scopeLogs":[{{"scope":{},"logRecords":["#,
        resource(origin),
        scope()
    );
    let mut body = head.into_bytes();
    body.reserve(records.iter().map(|record| record.len() + 1).sum::<usize>() + 8);
    for (number, record) in records.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend(record);
    }
    body.extend(b"]}]}]}");
    body
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::alarm::AlarmKind;

    const NOW: Timestamp = Timestamp(1_764_079_800_000_000_000);

    fn event(sensors: usize) -> AlarmEvent {
        AlarmEvent {
            id: "a7k2".to_owned(),
            kind: AlarmKind::Anomaly,
            transition: Transition::Raised,
            time: Timestamp::from_seconds(1_764_079_387),
            raised_at: Timestamp::from_seconds(1_764_079_387),
            score: 3.5,
            peak_score: f64::NAN,
            threshold: 1.0,
            sensors: (0..sensors)
                .map(|number| SensorEvidence {
                    sensor: format!("{number}{}", "x".repeat(250)),
                    unit: "m3/h".to_owned(),
                    seen: Some(0.5),
                    expected: None,
                    from: vec!["P401".to_owned()],
                    head: "raw",
                    strength: 2.0,
                })
                .collect(),
            model: "plant 1".to_owned(),
            degraded: None,
            verdict: None,
        }
    }

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    fn find<'a>(attributes: &'a Value, key: &str) -> Option<&'a Value> {
        let list = attributes.as_array().unwrap();
        list.iter()
            .find(|one| one["key"] == key)
            .map(|one| &one["value"])
    }

    #[test]
    fn an_alarm_is_a_record_with_its_id_and_sensors() {
        let record = parsed(&alarm(&event(2), NOW));
        assert_eq!(record["timeUnixNano"], "1764079387000000000");
        assert_eq!(record["severityNumber"], 13);
        assert_eq!(record["eventName"], "anomalyd.alarm.raised");
        let of = |key: &str| {
            find(&record["attributes"], key)
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(
            of("log.record.uid")["stringValue"],
            "a7k2-1764079387000-raised"
        );
        assert_eq!(of("anomalyd.alarm.score")["doubleValue"], 3.5);
        assert_eq!(of("anomalyd.alarm.peak_score"), Value::Null);
        let sensors = &of("anomalyd.alarm.sensors")["arrayValue"]["values"];
        assert_eq!(sensors.as_array().unwrap().len(), 2);
        assert!(
            record["body"]["stringValue"]
                .as_str()
                .unwrap()
                .contains("a7k2 raised")
        );
    }

    #[test]
    fn an_alarm_of_a_thousand_sensors_fits() {
        let record = alarm(&event(1_024), NOW);
        assert!(record.len() < LONG);
        let record = parsed(&record);
        let left_out = find(&record["attributes"], "anomalyd.alarm.sensors_left_out");
        assert_eq!(left_out.unwrap()["intValue"], "1008");
    }

    #[test]
    fn a_request_holds_its_records_and_who_sends() {
        let records = [alarm(&event(1), NOW), alarm(&event(0), NOW)];
        let body = parsed(&request(&example().origin, &records));
        let resource = &body["resourceLogs"][0];
        let records = &resource["scopeLogs"][0]["logRecords"];
        assert_eq!(records.as_array().unwrap().len(), 2);
        let instance = find(&resource["resource"]["attributes"], "service.instance.id");
        assert_eq!(instance.unwrap()["stringValue"], "pi");
    }
}
