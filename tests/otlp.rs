//! Metrics, alarms and health events to a collector: Rotel, a receiver that is built on the standard's own
//! message types, and a made-up one for what neither can be brought to do.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "otlp/both.rs"]
mod both;
#[path = "mqtt/broker.rs"]
mod broker;
#[path = "mqtt/certificates.rs"]
mod certificates;
#[path = "otlp/collector.rs"]
mod collector;
#[path = "run/daemon.rs"]
#[allow(dead_code)]
mod daemon;
#[path = "run/faults.rs"]
mod faults;
#[path = "sources/harness.rs"]
mod harness;
#[path = "otlp/made_up.rs"]
mod made_up;
#[path = "run/peer.rs"]
mod peer;
#[path = "run/plant.rs"]
#[allow(dead_code)]
mod plant;
#[path = "mqtt/subscriber.rs"]
mod subscriber;
#[path = "otlp/troubles.rs"]
mod troubles;

use std::time::Duration;

use collector::{Receiver, start_collector};
use daemon::{Daemon, Site, feed, until};
use faults::{cycle, site_with_state, status, told};
use serde_json::Value;

/// Samples over a socket, alarms to the collector.
pub fn config(endpoint: &str, more: &str) -> String {
    format!(
        "name = \"Water works\"\nmax_false_alarms_per_week = 10080\n[alarm]\nclear_after = \"20s\"\n\
         [source.ndjson]\nlisten = \"@/ingest.sock\"\n\
         [output.otlp]\nendpoint = \"{endpoint}\"\ndevice = \"pi\"\n{more}"
    )
}

/// A site whose state is kept, with that configuration.
pub fn site(port: u16, more: &str) -> Site {
    site_with_state(&config(&format!("http://127.0.0.1:{port}"), more))
}

/// The text, number or list that stands under a key of a record, a point or a resource.
pub fn attribute(of: &Value, key: &str) -> Value {
    let list = of["attributes"].as_array().unwrap();
    let found = list.iter().find(|one| one["key"] == key);
    found.map_or(Value::Null, |found| {
        found["value"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone()
    })
}

fn word(of: &Value, key: &str) -> String {
    attribute(of, key).as_str().unwrap_or_default().to_owned()
}

/// Id and transition of the alarms among log records, without what came twice, by the id.
pub fn alarms(records: &[Value]) -> Vec<(String, String)> {
    let mut seen = std::collections::HashSet::new();
    let mut alarms = Vec::new();
    for one in records {
        let id = word(one, "anomalyd.alarm.id");
        if !id.is_empty() && seen.insert(word(one, "log.record.uid")) {
            alarms.push((id, word(one, "anomalyd.alarm.transition")));
        }
    }
    alarms
}

fn records(lines: &[Value]) -> Vec<Value> {
    lines.iter().map(|line| line["one"].clone()).collect()
}

/// Waits until what the daemon, and `earlier` ones, told on standard output has come, in order, and no more comes.
pub fn until_all_has_come(
    earlier: &[Value],
    daemon: &Daemon,
    came: impl Fn() -> Vec<Value>,
) -> Vec<(String, String)> {
    let mut since = std::time::Instant::now();
    let mut last = Vec::new();
    until("the same alarms at the collector", || {
        let all = told(&[earlier.to_vec(), daemon.alarms()].concat());
        let heard = alarms(&came());
        if heard != all || all != last {
            since = std::time::Instant::now();
        }
        last = all;
        since.elapsed() > Duration::from_millis(500)
    });
    last
}

/// A fault, and what comes of it through `port`, at the receiver.
fn everything_comes(port: u16, receiver: &Receiver, form: &str, histograms: bool) {
    let site = site(port, "metrics_every = \"1s\"\n");
    let daemon = site.run();
    let mut stream = site.connect();
    feed(&mut stream, &cycle(0));
    daemon.until_alarm("anomaly", "cleared", 1);
    daemon.until_log("connected to http://127.0.0.1");
    until_all_has_come(&[], &daemon, || records(&receiver.received("log")));
    let logs = receiver.received("log");
    let (first, event) = (&logs[0], &daemon.alarms()[0]);
    assert_eq!(first["form"], form);
    for (key, value) in [
        ("service.name", "anomalyd"),
        ("service.instance.id", "pi"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("anomalyd.plant", "Water works"),
    ] {
        assert_eq!(word(&first["resource"], key), value, "{key}");
    }
    assert!(!word(&first["resource"], "host.name").is_empty());
    let record = &first["one"];
    let body = record["body"]["stringValue"].as_str().unwrap();
    assert!(body.starts_with("alarm "), "{body}");
    assert_eq!(record["severityText"], "WARN");
    // To the last but one digit: some collectors round.
    let score = attribute(record, "anomalyd.alarm.score").as_f64().unwrap();
    let expected = event["score"].as_f64().unwrap();
    assert!((score / expected - 1.0).abs() < 1e-12, "{score} {expected}");
    let sensors = &attribute(record, "anomalyd.alarm.sensors")["values"];
    let sensor = &event["sensors"][0]["sensor"];
    assert_eq!(&sensors[0]["stringValue"], sensor);
    let time: jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    assert_eq!(record["timeUnixNano"], time.as_nanosecond().to_string());

    let find = |all: &[Value], name: &str| {
        let found = all.iter().rev().find(|one| one["one"]["name"] == name);
        found.map(|one| one["one"].clone())
    };
    let metrics = receiver.until("metric", "metrics of all frames", |all| {
        let frames = find(all, "anomalyd.frames_scored");
        let point = frames.map(|one| one["sum"]["dataPoints"][0].clone());
        point.is_some_and(|point| point["asDouble"].as_f64() > Some(300.0))
    });
    let duration = find(&metrics, "anomalyd.inference_duration").unwrap();
    assert_eq!(duration["unit"], "s");
    if histograms {
        let histogram = &duration["histogram"];
        assert_eq!(
            histogram["aggregationTemporality"],
            "AGGREGATION_TEMPORALITY_CUMULATIVE"
        );
        let point = &histogram["dataPoints"][0];
        let number = |text: &Value| text.as_str().unwrap().parse::<u64>().unwrap();
        let counts = point["bucketCounts"].as_array().unwrap();
        assert_eq!(
            counts.len(),
            point["explicitBounds"].as_array().unwrap().len() + 1
        );
        let sum: u64 = counts.iter().map(number).sum();
        assert_eq!(sum, number(&point["count"]));
        assert!(sum > 300, "{sum}");
    }
    let frames = find(&metrics, "anomalyd.frames").unwrap();
    assert_eq!(frames["sum"]["isMonotonic"], true);
    let memory = find(&metrics, "anomalyd.memory_resident").unwrap();
    assert_eq!(memory["unit"], "By");
    assert!(
        memory["gauge"]["dataPoints"][0]["asDouble"]
            .as_f64()
            .unwrap()
            > 1e6
    );
    let raised = daemon.events("anomaly", "raised").len() as f64;
    receiver.until("metric", "as many alarms", |all| {
        let metric = find(all, "anomalyd.alarms_raised");
        let point = metric.map(|metric| metric["sum"]["dataPoints"][0].clone());
        point.is_some_and(|point| word(&point, "kind") == "anomaly" && point["asDouble"] == raised)
    });

    let status = status(&site);
    let name = format!("otlp http://127.0.0.1:{port}");
    assert!(
        status.contains(&name) && status.contains("connected"),
        "{status}"
    );
    let finished = daemon.terminate();
    assert!(
        finished.ok().took < Duration::from_secs(2),
        "{:?}",
        finished.took
    );
}

#[test]
fn the_standards_own_types_read_what_is_sent() {
    let Some(receiver) = Receiver::start() else {
        return;
    };
    everything_comes(receiver.port, &receiver, "application/json", true);
}

#[test]
fn a_collector_takes_it_and_passes_it_on() {
    let Some(receiver) = Receiver::start() else {
        return;
    };
    let collector = start_collector(&receiver);
    // Rotel 0.0.1a15 takes no whole number as a text in a histogram, as the standard writes it, and passes
    // that on without its values.
    everything_comes(collector.port, &receiver, "application/x-protobuf", false);
}

#[test]
fn a_collector_is_trusted_by_its_certificate_only() {
    let Some(mut receiver) = Receiver::start() else {
        return;
    };
    receiver.kill();
    let Some(openssl) = broker::program("openssl") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    certificates::make(&openssl, folder.path());
    receiver.restart_with_tls(folder.path());
    let ca = |name: &str| {
        let file = folder.path().join(name).display().to_string();
        let endpoint = format!("https://localhost:{}", receiver.port);
        config(&endpoint, &format!("ca_file = \"{file}\"\n"))
    };
    let site = site_with_state(&ca("other.pem"));
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(0));
    daemon.until_log("no secure connection");
    assert!(receiver.received("log").is_empty());
    site.write(&ca("ca.pem"));
    daemon.reload();
    let come = || records(&receiver.received("log"));
    until_all_has_come(&[], &daemon, come);
    // A file that is no certificate is refused before anything changes.
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    site.write(&ca("empty.pem"));
    daemon.reload();
    daemon.until_log("reload refused");
    daemon.until_log("output.otlp.ca_file");
    daemon.terminate().ok();
}

#[test]
fn a_collector_that_is_away_gets_everything_in_order_later() {
    let Some(mut receiver) = Receiver::start() else {
        return;
    };
    // Away at the start,
    receiver.kill();
    let site = site(receiver.port, "");
    let daemon = site.run();
    let mut stream = site.connect();
    for number in 0..3 {
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number + 1);
    }
    daemon.until_log("alarms wait in the queue");
    // while the service is started anew,
    let finished = daemon.terminate();
    let lines = finished.ok().alarms.iter();
    let mut earlier: Vec<Value> = lines.map(|one| plant::parsed(one)).collect();
    let daemon = site.run();
    let mut stream = site.connect();
    feed(&mut stream, &cycle(3));
    daemon.until_alarm("anomaly", "cleared", 1);
    let status = status(&site);
    assert!(
        status.contains("waiting: nothing listens") && status.contains("messages waiting"),
        "{status}"
    );
    receiver.restart();
    let came = || records(&receiver.received("log"));
    until_all_has_come(&earlier, &daemon, came);
    daemon.until_log("log records wait for it");
    // and killed in between, a few times.
    for number in 4..10 {
        if number % 2 == 0 {
            receiver.kill();
        }
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number - 2);
        if number % 2 == 1 {
            receiver.restart();
            let came = || records(&receiver.received("log"));
            until_all_has_come(&earlier, &daemon, came);
        }
    }
    let all = receiver.received("log");
    assert!(all.iter().all(|one| one["form"] == "application/json"));
    earlier.extend(daemon.alarms());
    assert_eq!(alarms(&records(&all)), told(&earlier));
    assert!(earlier.len() >= 20, "{}", earlier.len());
    daemon.terminate().ok();
}
