//! The service's metrics, once: `web` writes them as Prometheus' text, `output` sends them to a
//! collector. Names and labels are documented in docs/integrations.md, and a test compares both; no
//! label has more values than the configuration has sources. Imports `control` and `histogram`.

use std::time::Duration;

use serde_json::Value;

use crate::control::{Latencies, Status};
use crate::histogram::Histogram;

/// Upper bounds of the histograms, in microseconds. Among them 8 and 10 ms, which the alert rules ask for.
pub const BOUNDS_US: [u64; 18] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 8_000, 10_000, 25_000, 50_000, 100_000,
    250_000, 500_000, 1_000_000, 10_000_000,
];

/// One metric with its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// As Prometheus has it, without the `anomalyd_` before it.
    pub name: &'static str,
    pub help: &'static str,
    pub values: Values,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    Gauge(Vec<Labelled>),
    /// Since the start; never falls while the service runs and reads the same model.
    Counter(Vec<Labelled>),
    Histogram(Box<Histogram>),
}

/// A value, and what tells it from others of its metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// What is known of the service and its machine.
pub fn of_service(status: &Status, latencies: &Latencies) -> Vec<Metric> {
    let mut list = List::default();
    service(&mut list, status, latencies);
    if let Some(health) = &status.health {
        machine(&mut list, health);
    }
    list.0
}

/// Alarms raised, as who gives the metrics has counted them.
pub fn alarms_raised(anomaly: u64, silent: u64) -> Metric {
    let value = |kind: &str, count: u64| Labelled {
        labels: vec![("kind", kind.to_owned())],
        value: count as f64,
    };
    Metric {
        name: "alarms_raised_total",
        help: "Alarms raised since the start, by kind.",
        values: Values::Counter(vec![value("anomaly", anomaly), value("silent", silent)]),
    }
}

fn service(list: &mut List, status: &Status, latencies: &Latencies) {
    list.head("build_info", "Always 1; the version is in the label.");
    list.line(&[("version", &status.version)], 1);
    list.head("model_info", "1 for the model in force.");
    if let (Some(model), Some(engine)) = (&status.model, &status.engine) {
        list.line(&[("model", model), ("engine", engine)], 1);
    }
    list.head("state", "1 for the state that the service is in.");
    for state in ["learning", "watching", "degraded", "stuck"] {
        list.line(&[("state", state)], u8::from(status.state == state));
    }
    list.one(
        "uptime_seconds",
        "Since the service started.",
        Some(status.up_seconds),
    );
    list.one(
        "score",
        "The newest score, relative to the threshold in force: 1 raises an alarm.",
        status.last_score,
    );
    list.one(
        "flood_gain",
        "By how much flood control has raised the threshold; 1 is not at all.",
        Some(status.flood.gain),
    );
    list.one(
        "alarms_open",
        "Alarms that stand.",
        Some(status.alarms.open.len()),
    );
    list.one(
        "alarms_week",
        "Alarms raised in the last seven days.",
        Some(status.alarms.week),
    );
    list.one(
        "sensors",
        "Sensors of the model.",
        Some(status.sensors.total),
    );
    list.one(
        "sensors_fresh",
        "Sensors whose values count now.",
        Some(status.sensors.fresh),
    );
    list.one(
        "sensors_silent",
        "Sensors that have stopped reporting.",
        Some(status.sensors.silent.len()),
    );
    list.one(
        "muted",
        "Sensors and alarms that are muted.",
        Some(status.muted.len()),
    );
    list.one(
        "frames_total",
        "Frames that were made.",
        Some(status.frames),
    );
    list.one(
        "frames_scored_total",
        "Frames with a score.",
        Some(status.scored),
    );
    list.one(
        "frames_unscored_total",
        "Frames that the engine could not score.",
        Some(status.unscored),
    );
    list.one(
        "samples_lost_total",
        "Samples dropped because more came than could be judged.",
        Some(status.samples_lost),
    );
    list.head("source_received_total", "Values received, by source.");
    for source in &status.sources {
        list.line(&[("source", &source.name)], source.received);
    }
    list.head("source_up", "Whether the source works.");
    for source in &status.sources {
        let up = source.state == "connected" || source.state == "running";
        list.line(&[("source", &source.name)], u8::from(up));
    }
    list.histogram(
        "inference_duration_seconds",
        "From the last sample of a frame taken to its score.",
        &latencies.taken_to_score,
    );
    list.histogram(
        "score_age_seconds",
        "From the time that the samples carry to their score, by the clock of this machine.",
        &latencies.age,
    );
}

fn machine(list: &mut List, health: &Value) {
    let number = |name: &str| health[name].as_f64();
    let bit = |value: &Value| value.as_bool().map(|bit| f64::from(u8::from(bit)));
    list.one(
        "memory_resident_bytes",
        "Resident memory of all the service's processes.",
        number("rss_bytes"),
    );
    list.one(
        "memory_anonymous_bytes",
        "The part of it that no file backs.",
        number("rss_anon_bytes"),
    );
    list.one(
        "memory_cgroup_bytes",
        "Memory charged to the control group, file pages included.",
        number("cgroup_memory_bytes"),
    );
    list.one(
        "memory_limit_bytes",
        "MemoryMax= of the service.",
        number("cgroup_memory_max_bytes"),
    );
    list.one(
        "cpu_seconds_total",
        "Processor time of all the service's processes.",
        number("cpu_seconds"),
    );
    list.one(
        "written_bytes_total",
        "Bytes written to storage.",
        number("written_bytes"),
    );
    list.one(
        "wakeups_total",
        "Times that a thread had nothing to do and was woken.",
        number("wakeups"),
    );
    list.one(
        "oom_kills_total",
        "Processes of the service that the kernel killed for want of memory.",
        number("oom_kills"),
    );
    list.one(
        "temperature_celsius",
        "Of the processor.",
        number("soc_temperature_celsius"),
    );
    list.one(
        "cpu_frequency_hertz",
        "Of the processor.",
        number("cpu_frequency_mhz").map(|mhz| mhz * 1e6),
    );
    let throttle = &health["throttle"];
    let slowed = ["frequency_capped", "throttled", "temperature_limited"];
    let slowed = slowed.iter().filter_map(|name| bit(&throttle[*name]));
    list.one(
        "throttled",
        "Whether the processor is slowed down by heat or power.",
        slowed.reduce(f64::max),
    );
    list.one(
        "under_voltage",
        "Whether the supply is too weak.",
        bit(&throttle["under_voltage"]),
    );
    list.one(
        "disk_free_bytes",
        "Of the state directory's file system.",
        health["disk"]["free_bytes"].as_f64(),
    );
    list.one(
        "state_volatile",
        "Whether the state directory is in memory, and gone with the power.",
        bit(&health["state_volatile"]),
    );
    list.one(
        "clock_synchronised",
        "Whether a time server sets the clock.",
        bit(&health["clock_synchronised"]),
    );
}

/// Metrics as they are gathered.
#[derive(Default)]
struct List(Vec<Metric>);

impl List {
    /// Another metric, which has no value yet; one whose name ends in `_total` is a counter.
    fn head(&mut self, name: &'static str, help: &'static str) {
        let values = match name.ends_with("_total") {
            true => Values::Counter(Vec::new()),
            false => Values::Gauge(Vec::new()),
        };
        self.0.push(Metric { name, help, values });
    }

    /// A value of the newest metric.
    fn line(&mut self, labels: &[(&'static str, &str)], value: impl Number) {
        if let Some(Values::Gauge(list) | Values::Counter(list)) =
            self.0.last_mut().map(|metric| &mut metric.values)
        {
            let own = |(label, value): &(&'static str, &str)| (*label, (*value).to_owned());
            list.push(Labelled {
                labels: labels.iter().map(own).collect(),
                value: value.number(),
            });
        }
    }

    /// A metric of one value. What this machine does not have is left out.
    fn one(&mut self, name: &'static str, help: &'static str, value: Option<impl Number>) {
        if let Some(value) = value {
            self.head(name, help);
            self.line(&[], value);
        }
    }

    fn histogram(&mut self, name: &'static str, help: &'static str, histogram: &Histogram) {
        let values = Values::Histogram(Box::new(histogram.clone()));
        self.0.push(Metric { name, help, values });
    }
}

/// Counts are far below what a float counts exactly.
trait Number {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u8 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Number for i32 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Number for u64 {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        self as f64
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
