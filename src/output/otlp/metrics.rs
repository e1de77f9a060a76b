//! The service's metrics by OpenTelemetry's conventions, and the request around them. Imports its siblings,
//! `metrics`, `histogram`, and of the outputs `post`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Origin;
use super::words::{attribute, bytes, number, resource, scope, text};
use crate::histogram::Histogram;
use crate::metrics::{BOUNDS_US, Labelled, Metric, Values, cumulative};
use crate::output::post::MetricWords;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: u8 = 2;
/// Of metrics that end so: how their unit is called (UCUM).
const UNITS: [(&str, &str); 4] = [
    ("_seconds", "s"),
    ("_bytes", "By"),
    ("_celsius", "Cel"),
    ("_hertz", "Hz"),
];

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
pub fn request(origin: &Origin, words: &MetricWords, starts: &mut Starts) -> Vec<u8> {
    let time = words.time.nanos();
    let up = i64::try_from(words.up.as_nanos()).unwrap_or(0);
    // Once: later differences would only be those between two clocks.
    starts.service.get_or_insert(time.saturating_sub(up));
    let metrics = words.metrics.iter();
    let metrics: Vec<Value> = metrics
        .filter_map(|metric| one(metric, time, starts))
        .collect();
    starts.before = Some(time);
    bytes(&json!({
        "resourceMetrics": [{
            "resource": resource(origin),
            "scopeMetrics": [{ "scope": scope(), "metrics": metrics }],
        }],
    }))
}

fn one(metric: &Metric, time: i64, starts: &mut Starts) -> Option<Value> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example;
    use super::*;
    use crate::frame::Timestamp;
    use crate::metrics;

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
            let body =
                serde_json::from_slice::<Value>(&request(&example().origin, &words, &mut starts))
                    .unwrap();
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
