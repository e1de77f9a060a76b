//! What is sent, in the standard's JSON: log records, metrics, and the requests around them. 64-bit whole
//! numbers are text there, and enumerations numbers. Imports `alarm`, `frame`, `metrics`, and of the outputs
//! `post` and `ids`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Origin;
use crate::alarm::{AlarmEvent, SensorEvidence, Transition};
use crate::frame::Timestamp;
use crate::histogram::Histogram;
use crate::metrics::{BOUNDS_US, Labelled, Metric, Values, cumulative};
use crate::output::ids::{alarm_message_id, limit_id};
use crate::output::post::{HealthWords, MetricWords};
use crate::output::queue::LONGEST_MESSAGE;

/// Sensors that an alarm's text names.
const NAMED: usize = 3;
/// A record that is longer leaves sensors out.
const LONG: usize = LONGEST_MESSAGE / 2;
/// Severities of the standard's table.
const INFO: (u8, &str) = (9, "INFO");
const WARN: (u8, &str) = (13, "WARN");
const ERROR: (u8, &str) = (17, "ERROR");
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: u8 = 2;
/// Of metrics that end so: how their unit is called (UCUM).
const UNITS: [(&str, &str); 4] = [
    ("_seconds", "s"),
    ("_bytes", "By"),
    ("_celsius", "Cel"),
    ("_hertz", "Hz"),
];

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
pub fn logs(origin: &Origin, records: &[Vec<u8>]) -> Vec<u8> {
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

/// When counters began: with the service, or where one fell since, because another model is counted, at
/// the request before.
#[derive(Debug, Default)]
pub struct Starts {
    service: Option<i64>,
    before: Option<i64>,
    counters: HashMap<String, (f64, i64)>,
}

impl Starts {
    fn of(&mut self, key: String, value: f64) -> i64 {
        let service = self.service.unwrap_or_default();
        let before = self.before.unwrap_or(service);
        let (last, start) = self.counters.entry(key).or_insert((value, service));
        if value < *last {
            *start = before;
        }
        *last = value;
        *start
    }
}

/// The body of a request with metrics.
pub fn metrics(origin: &Origin, words: &MetricWords, starts: &mut Starts) -> Vec<u8> {
    let time = words.time.nanos();
    let up = i64::try_from(words.up.as_nanos()).unwrap_or(0);
    // Once: later differences would only be those between two clocks.
    starts.service.get_or_insert(time.saturating_sub(up));
    let metrics = words.metrics.iter();
    let metrics: Vec<Value> = metrics
        .filter_map(|metric| self::metric(metric, time, starts))
        .collect();
    starts.before = Some(time);
    bytes(&json!({
        "resourceMetrics": [{
            "resource": resource(origin),
            "scopeMetrics": [{ "scope": scope(), "metrics": metrics }],
        }],
    }))
}

fn metric(metric: &Metric, time: i64, starts: &mut Starts) -> Option<Value> {
    let (name, unit) = name_and_unit(metric.name);
    let mut value = Map::new();
    value.insert("name".to_owned(), name.into());
    value.insert("description".to_owned(), metric.help.into());
    if !unit.is_empty() {
        value.insert("unit".to_owned(), unit.into());
    }
    let time_text = time.to_string();
    match &metric.values {
        Values::Gauge(values) => {
            let point = |one: &Labelled| {
                let attributes = labels(one);
                number(one.value)?;
                Some(json!({
                    "attributes": attributes,
                    "timeUnixNano": time_text,
                    "asDouble": one.value,
                }))
            };
            let points: Vec<Value> = values.iter().filter_map(point).collect();
            if points.is_empty() {
                return None;
            }
            value.insert("gauge".to_owned(), json!({ "dataPoints": points }));
        }
        Values::Counter(values) => {
            let mut points = Vec::with_capacity(values.len());
            for one in values {
                number(one.value)?;
                let start = starts.of(format!("{} {:?}", metric.name, one.labels), one.value);
                points.push(json!({
                    "attributes": labels(one),
                    "startTimeUnixNano": start.to_string(),
                    "timeUnixNano": time_text,
                    "asDouble": one.value,
                }));
            }
            if points.is_empty() {
                return None;
            }
            let sum = json!({
                "aggregationTemporality": CUMULATIVE,
                "isMonotonic": true,
                "dataPoints": points,
            });
            value.insert("sum".to_owned(), sum);
        }
        Values::Histogram(histogram) => {
            let start = starts.of(metric.name.to_owned(), histogram.count() as f64);
            let point = histogram_point(histogram, start, &time_text);
            let histogram = json!({
                "aggregationTemporality": CUMULATIVE,
                "dataPoints": [point],
            });
            value.insert("histogram".to_owned(), histogram);
        }
    }
    Some(Value::Object(value))
}

fn histogram_point(histogram: &Histogram, start: i64, time: &str) -> Value {
    let mut before = 0;
    let mut counts: Vec<String> = Vec::with_capacity(BOUNDS_US.len() + 1);
    for within in cumulative(histogram) {
        counts.push((within - before).to_string());
        before = within;
    }
    counts.push((histogram.count() - before).to_string());
    let bounds: Vec<f64> = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).collect();
    json!({
        "startTimeUnixNano": start.to_string(),
        "timeUnixNano": time,
        "count": histogram.count().to_string(),
        "sum": histogram.sum().as_secs_f64(),
        "bucketCounts": counts,
        "explicitBounds": bounds,
    })
}

/// By OpenTelemetry's conventions: with a dot behind the service's name, the unit beside the name, and no
/// word for a counter. What makes Prometheus' names of these gives the same ones as `/metrics` has.
fn name_and_unit(name: &str) -> (String, &'static str) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let unit = UNITS
        .iter()
        .find_map(|(end, unit)| Some((name.strip_suffix(end)?, *unit)));
    let (name, unit) = unit.unwrap_or((name, ""));
    (format!("anomalyd.{name}"), unit)
}

fn labels(of: &Labelled) -> Vec<Value> {
    let label = |(name, value): &(&'static str, String)| attribute(name, text(value));
    of.labels.iter().map(label).collect()
}

fn resource(origin: &Origin) -> Value {
    let mut attributes = vec![
        attribute("service.name", text("anomalyd")),
        attribute("service.instance.id", text(&origin.instance)),
        attribute("service.version", text(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some(host) = &origin.host {
        attributes.push(attribute("host.name", text(host)));
    }
    if let Some(plant) = &origin.plant {
        attributes.push(attribute("anomalyd.plant", text(plant)));
    }
    json!({ "attributes": attributes })
}

fn scope() -> Value {
    json!({ "name": "anomalyd", "version": env!("CARGO_PKG_VERSION") })
}

fn attribute(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

fn text(text: &str) -> Value {
    json!({ "stringValue": text })
}

fn number(number: f64) -> Option<Value> {
    number.is_finite().then(|| json!({ "doubleValue": number }))
}

fn array(values: impl Iterator<Item = Value>) -> Value {
    json!({ "arrayValue": { "values": values.collect::<Vec<Value>>() } })
}

/// As JSON has it, where that is a text.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    // A value is always JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example;
    use super::*;
    use crate::alarm::AlarmKind;
    use crate::metrics;

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
        let body = parsed(&logs(&example().origin, &records));
        let resource = &body["resourceLogs"][0];
        let records = &resource["scopeLogs"][0]["logRecords"];
        assert_eq!(records.as_array().unwrap().len(), 2);
        let instance = find(&resource["resource"]["attributes"], "service.instance.id");
        assert_eq!(instance.unwrap()["stringValue"], "pi");
    }

    #[test]
    fn names_are_those_of_prometheus_in_other_words() {
        for (name, expected) in [
            ("score", ("anomalyd.score", "")),
            (
                "inference_duration_seconds",
                ("anomalyd.inference_duration", "s"),
            ),
            ("cpu_seconds_total", ("anomalyd.cpu", "s")),
            ("memory_resident_bytes", ("anomalyd.memory_resident", "By")),
            ("frames_total", ("anomalyd.frames", "")),
        ] {
            let (name, unit) = name_and_unit(name);
            assert_eq!((name.as_str(), unit), expected);
        }
    }

    #[test]
    fn metrics_are_cumulative_and_a_counter_that_fell_began_anew() {
        let mut starts = Starts::default();
        let mut send = |second: i64, up: u64, raised: u64| {
            let mut latencies = Histogram::default();
            for micros in [40, 40, 9_000, 20_000_000] {
                latencies.note(Duration::from_micros(micros));
            }
            let words = MetricWords {
                time: Timestamp::from_seconds(second),
                up: Duration::from_secs(up),
                metrics: vec![
                    metrics::alarms_raised(raised, 0),
                    Metric {
                        name: "inference_duration_seconds",
                        help: "",
                        values: Values::Histogram(Box::new(latencies)),
                    },
                    Metric {
                        name: "model_info",
                        help: "",
                        values: Values::Gauge(vec![]),
                    },
                ],
            };
            let body = parsed(&super::metrics(&example().origin, &words, &mut starts));
            body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].clone()
        };
        let first = send(1_000, 100, 5);
        assert_eq!(
            first.as_array().unwrap().len(),
            2,
            "nothing without a value"
        );
        let sum = |metrics: &Value| metrics[0]["sum"]["dataPoints"][0].clone();
        assert_eq!(first[0]["sum"]["aggregationTemporality"], 2);
        assert_eq!(sum(&first)["startTimeUnixNano"], "900000000000");
        assert_eq!(sum(&first)["asDouble"], 5.0);
        let point = &first[1]["histogram"]["dataPoints"][0];
        assert_eq!(point["count"], "4");
        let counts = point["bucketCounts"].as_array().unwrap();
        assert_eq!(
            counts.len(),
            point["explicitBounds"].as_array().unwrap().len() + 1
        );
        let all: u64 = counts
            .iter()
            .map(|c| c.as_str().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(
            (all, counts[2].as_str(), counts[18].as_str()),
            (4, Some("2"), Some("1"))
        );
        // A little late: the start stays where it was.
        assert_eq!(
            sum(&send(1_060, 161, 6))["startTimeUnixNano"],
            "900000000000"
        );
        assert_eq!(
            sum(&send(1_120, 220, 1))["startTimeUnixNano"],
            "1060000000000"
        );
        assert_eq!(
            sum(&send(1_180, 280, 2))["startTimeUnixNano"],
            "1060000000000"
        );
    }
}
