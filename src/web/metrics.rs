//! Prometheus' text format. Names and labels are documented in docs/integrations.md, and a test
//! compares both; no label has more values than the configuration has sources.
//! Imports `control` and `histogram`.

use std::fmt::{Display, Write};
use std::time::Duration;

use serde_json::Value;

use super::feed::Snapshot;
use crate::histogram::Histogram;

/// Upper bounds in microseconds. Among them 8 and 10 ms, which the alert rules ask for.
pub const BOUNDS_US: [u64; 18] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 8_000, 10_000, 25_000, 50_000, 100_000,
    250_000, 500_000, 1_000_000, 10_000_000,
];

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
        service(&mut text, snapshot);
        if let Some(health) = &snapshot.status.health {
            machine(&mut text, health);
        }
    }
    let kind = "Alarms raised since the start, by kind.";
    text.head("alarms_raised_total", "counter", kind);
    for (kind, count) in [
        ("anomaly", counts.raised_anomaly),
        ("silent", counts.raised_silent),
    ] {
        text.line("alarms_raised_total", &[("kind", kind)], count);
    }
    text.gauge(
        "web_connections",
        "Open connections.",
        Some(counts.connections),
    );
    text.counter(
        "web_connections_total",
        "Connections that were accepted.",
        Some(counts.connections_total),
    );
    text.counter(
        "web_connections_refused_total",
        "Connections turned away because there were too many.",
        Some(counts.refused),
    );
    text.gauge(
        "web_event_clients",
        "Pages that are kept up to date.",
        Some(counts.clients),
    );
    text.counter(
        "web_dropped_total",
        "Points that the server did not take in time.",
        Some(counts.dropped),
    );
    text.counter(
        "web_logins_failed_total",
        "Wrong passwords.",
        Some(counts.logins_failed),
    );
    text.0
}

fn service(text: &mut Text, snapshot: &Snapshot) {
    let status = &snapshot.status;
    text.head(
        "build_info",
        "gauge",
        "Always 1; the version is in the label.",
    );
    text.line("build_info", &[("version", &status.version)], 1);
    text.head("model_info", "gauge", "1 for the model in force.");
    if let (Some(model), Some(engine)) = (&status.model, &status.engine) {
        text.line("model_info", &[("model", model), ("engine", engine)], 1);
    }
    text.head("state", "gauge", "1 for the state that the service is in.");
    for state in ["learning", "watching", "degraded", "stuck"] {
        text.line(
            "state",
            &[("state", state)],
            u8::from(status.state == state),
        );
    }
    text.gauge(
        "uptime_seconds",
        "Since the service started.",
        Some(status.up_seconds),
    );
    text.gauge(
        "score",
        "The newest score, relative to the threshold in force: 1 raises an alarm.",
        status.last_score,
    );
    text.gauge(
        "flood_gain",
        "By how much flood control has raised the threshold; 1 is not at all.",
        Some(status.flood.gain),
    );
    text.gauge(
        "alarms_open",
        "Alarms that stand.",
        Some(status.alarms.open.len()),
    );
    text.gauge(
        "alarms_week",
        "Alarms raised in the last seven days.",
        Some(status.alarms.week),
    );
    text.gauge(
        "sensors",
        "Sensors of the model.",
        Some(status.sensors.total),
    );
    text.gauge(
        "sensors_fresh",
        "Sensors whose values count now.",
        Some(status.sensors.fresh),
    );
    text.gauge(
        "sensors_silent",
        "Sensors that have stopped reporting.",
        Some(status.sensors.silent.len()),
    );
    text.gauge(
        "muted",
        "Sensors and alarms that are muted.",
        Some(status.muted.len()),
    );
    text.counter(
        "frames_total",
        "Frames that were made.",
        Some(status.frames),
    );
    text.counter(
        "frames_scored_total",
        "Frames with a score.",
        Some(status.scored),
    );
    text.counter(
        "frames_unscored_total",
        "Frames that the engine could not score.",
        Some(status.unscored),
    );
    text.counter(
        "samples_lost_total",
        "Samples dropped because more came than could be judged.",
        Some(status.samples_lost),
    );
    text.head(
        "source_received_total",
        "counter",
        "Values received, by source.",
    );
    for source in &status.sources {
        text.line(
            "source_received_total",
            &[("source", &source.name)],
            source.received,
        );
    }
    text.head("source_up", "gauge", "Whether the source works.");
    for source in &status.sources {
        let up = source.state == "connected" || source.state == "running";
        text.line("source_up", &[("source", &source.name)], u8::from(up));
    }
    text.histogram(
        "inference_duration_seconds",
        "From the last sample of a frame taken to its score.",
        &snapshot.latencies.taken_to_score,
    );
    text.histogram(
        "score_age_seconds",
        "From the time that the samples carry to their score, by the clock of this machine.",
        &snapshot.latencies.age,
    );
}

fn machine(text: &mut Text, health: &Value) {
    let number = |name: &str| health[name].as_f64();
    let bit = |value: &Value| value.as_bool().map(|bit| f64::from(u8::from(bit)));
    text.gauge(
        "memory_resident_bytes",
        "Resident memory of all the service's processes.",
        number("rss_bytes"),
    );
    text.gauge(
        "memory_anonymous_bytes",
        "The part of it that no file backs.",
        number("rss_anon_bytes"),
    );
    text.gauge(
        "memory_cgroup_bytes",
        "Memory charged to the control group, file pages included.",
        number("cgroup_memory_bytes"),
    );
    text.gauge(
        "memory_limit_bytes",
        "MemoryMax= of the service.",
        number("cgroup_memory_max_bytes"),
    );
    text.counter(
        "cpu_seconds_total",
        "Processor time of all the service's processes.",
        number("cpu_seconds"),
    );
    text.counter(
        "written_bytes_total",
        "Bytes written to storage.",
        number("written_bytes"),
    );
    text.counter(
        "wakeups_total",
        "Times that a thread had nothing to do and was woken.",
        number("wakeups"),
    );
    text.counter(
        "oom_kills_total",
        "Processes of the service that the kernel killed for want of memory.",
        number("oom_kills"),
    );
    text.gauge(
        "temperature_celsius",
        "Of the processor.",
        number("soc_temperature_celsius"),
    );
    text.gauge(
        "cpu_frequency_hertz",
        "Of the processor.",
        number("cpu_frequency_mhz").map(|mhz| mhz * 1e6),
    );
    let throttle = &health["throttle"];
    let slowed = ["frequency_capped", "throttled", "temperature_limited"];
    let slowed = slowed.iter().filter_map(|name| bit(&throttle[*name]));
    text.gauge(
        "throttled",
        "Whether the processor is slowed down by heat or power.",
        slowed.reduce(f64::max),
    );
    text.gauge(
        "under_voltage",
        "Whether the supply is too weak.",
        bit(&throttle["under_voltage"]),
    );
    text.gauge(
        "disk_free_bytes",
        "Of the state directory's file system.",
        health["disk"]["free_bytes"].as_f64(),
    );
    text.gauge(
        "clock_synchronised",
        "Whether a time server sets the clock.",
        bit(&health["clock_synchronised"]),
    );
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String never fails.
        let _ = write!(
            self.0,
            "# HELP anomalyd_{name} {help}\n# TYPE anomalyd_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "anomalyd_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let begin = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{begin}{label}=\"{}\"", escaped(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        // What this machine does not have is left out.
        if let Some(value) = value {
            self.head(name, kind, help);
            self.line(name, &[], value);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        self.one(name, "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        self.one(name, "counter", help, value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in BOUNDS_US.iter().zip(cumulative(histogram)) {
            let bound = format!("{}", *bound as f64 / 1e6);
            self.line(&bucket, &[("le", &bound)], count);
        }
        self.line(&bucket, &[("le", "+Inf")], histogram.count());
        self.line(&format!("{name}_sum"), &[], histogram.sum().as_secs_f64());
        self.line(&format!("{name}_count"), &[], histogram.count());
    }
}

/// How many durations were within each of the bounds; those that only may have been do not count.
pub fn cumulative(histogram: &Histogram) -> [u64; BOUNDS_US.len()] {
    let mut within = [0; BOUNDS_US.len()];
    for (upper, count) in histogram.filled() {
        for (sum, bound) in within.iter_mut().zip(BOUNDS_US) {
            if upper <= Duration::from_micros(bound) {
                *sum += count;
            }
        }
    }
    within
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
    use std::time::Instant;

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
