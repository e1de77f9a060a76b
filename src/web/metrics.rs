//! Prometheus' text format of the service's metrics, and of the server's own. Imports `metrics`.

use std::fmt::{Display, Write};

use super::feed::Snapshot;
use crate::histogram::Histogram;
use crate::metrics::{self, BOUNDS_US, Labelled, Metric, Values, cumulative};

/// What the server itself counts.
#[derive(Debug, Clone, Default)]
pub struct ServerCounts {
    pub connections: u64,
    pub connections_total: u64,
    /// Turned away because there were too many.
    pub refused: u64,
    pub clients: u64,
    pub dropped: u64,
    pub logins_failed: u64,
    pub raised_anomaly: u64,
    pub raised_silent: u64,
}

/// The whole page.
pub fn text(snapshot: Option<&Snapshot>, counts: &ServerCounts) -> String {
    let mut text = Text(String::with_capacity(12_000));
    if let Some(snapshot) = snapshot {
        for metric in metrics::of_service(&snapshot.status, &snapshot.latencies) {
            text.metric(&metric);
        }
    }
    text.metric(&metrics::alarms_raised(
        counts.raised_anomaly,
        counts.raised_silent,
    ));
    text.gauge("web_connections", "Open connections.", counts.connections);
    text.counter(
        "web_connections_total",
        "Connections that were accepted.",
        counts.connections_total,
    );
    text.counter(
        "web_connections_refused_total",
        "Connections turned away because there were too many.",
        counts.refused,
    );
    text.gauge(
        "web_event_clients",
        "Pages that are kept up to date.",
        counts.clients,
    );
    text.counter(
        "web_dropped_total",
        "Points that the server did not take in time.",
        counts.dropped,
    );
    text.counter(
        "web_logins_failed_total",
        "Wrong passwords.",
        counts.logins_failed,
    );
    text.0
}

struct Text(String);

impl Text {
    fn metric(&mut self, metric: &Metric) {
        let (name, help) = (metric.name, metric.help);
        match &metric.values {
            Values::Gauge(values) => self.values(name, "gauge", help, values),
            Values::Counter(values) => self.values(name, "counter", help, values),
            Values::Histogram(histogram) => self.histogram(name, help, histogram),
        }
    }

    fn values(&mut self, name: &str, kind: &str, help: &str, values: &[Labelled]) {
        self.head(name, kind, help);
        for one in values {
            let label = |(label, value): &'_ (&'static str, String)| (*label, value.clone());
            let labels: Vec<(&str, String)> = one.labels.iter().map(label).collect();
            self.line(name, &labels, one.value);
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String never fails.
        let _ = write!(
            self.0,
            "# HELP anomalyd_{name} {help}\n# TYPE anomalyd_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, labels: &[(&str, String)], value: impl Display) {
        let _ = write!(self.0, "anomalyd_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let begin = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{begin}{label}=\"{}\"", escaped(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in BOUNDS_US.iter().zip(cumulative(histogram)) {
            let bound = format!("{}", *bound as f64 / 1e6);
            self.line(&bucket, &[("le", bound)], count);
        }
        self.line(&bucket, &[("le", "+Inf".to_owned())], histogram.count());
        self.line(&format!("{name}_sum"), &[], histogram.sum().as_secs_f64());
        self.line(&format!("{name}_count"), &[], histogram.count());
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Latencies, SourceView, Status};
    use std::time::{Duration, Instant};

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut latencies = Latencies::default();
        for micros in [40, 40, 9_000] {
            latencies.taken_to_score.note(Duration::from_micros(micros));
        }
        let snapshot = Snapshot {
            status: Status {
                state: "watching".to_owned(),
                sources: vec![SourceView {
                    name: "a\"b\\".to_owned(),
                    state: "connected".to_owned(),
                    received: 7,
                }],
                health: Some(serde_json::json!({
                    "rss_bytes": 11_000_000,
                    "throttle": {"throttled": true, "frequency_capped": false},
                })),
                ..Status::default()
            },
            latencies,
            taken: Instant::now(),
        };
        let text = text(Some(&snapshot), &ServerCounts::default());
        for line in [
            "anomalyd_state{state=\"watching\"} 1",
            "anomalyd_state{state=\"stuck\"} 0",
            "anomalyd_source_received_total{source=\"a\\\"b\\\\\"} 7",
            "# TYPE anomalyd_inference_duration_seconds histogram",
            "anomalyd_inference_duration_seconds_bucket{le=\"0.00005\"} 2",
            "anomalyd_inference_duration_seconds_bucket{le=\"0.008\"} 2",
            "anomalyd_inference_duration_seconds_bucket{le=\"0.01\"} 3",
            "anomalyd_inference_duration_seconds_bucket{le=\"+Inf\"} 3",
            "anomalyd_memory_resident_bytes 11000000",
            "anomalyd_throttled 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
        assert!(!text.contains("anomalyd_temperature_celsius"), "{text}");
        assert!(!text.contains("anomalyd_score "), "{text}");
        let empty = super::text(None, &ServerCounts::default());
        assert!(empty.contains("anomalyd_web_connections 0"));
    }
}
