//! `docs/integrations.md` as it stands: its configuration is loaded, its messages are published to
//! a real mosquitto, and the values behind its arrows must come out.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "sources/harness.rs"]
mod harness;
#[path = "modbus/server.rs"]
mod modbus_server;
#[path = "run/peer.rs"]
mod peer;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anomalyd::clock::SystemClock;
use anomalyd::config;
use anomalyd::daemon::SourceConfig;
use anomalyd::ingest::ndjson::NdjsonSource;
use anomalyd::ingest::{Source, SourceContext, SourceFuture};
use broker::{Broker, Publisher};
use harness::{Running, start};
use jiff::tz::TimeZone;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrations.md");
    std::fs::read_to_string(path).unwrap()
}

/// The contents of the blocks of a kind.
fn blocks(document: &str, kind: &str) -> Vec<String> {
    let fence = format!("\n```{kind}\n");
    let blocks = document.split(&fence).skip(1);
    blocks
        .map(|block| block.split_once("\n```").unwrap().0.to_owned())
        .collect()
}

/// What `mosquitto_pub` is given, and the values that must come of it; NaN is -1.
struct Message {
    topic: String,
    payload: String,
    values: Vec<(String, f64)>,
}

fn messages(document: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for line in blocks(document, "console").iter().flat_map(|b| b.lines()) {
        if let Some(value) = line.strip_prefix("→ ") {
            let (sensor, value) = value.split_once(' ').unwrap();
            let value = match value {
                "missing" => -1.0,
                number => number.parse().unwrap(),
            };
            let values = &mut messages.last_mut().unwrap().values;
            values.push((sensor.to_owned(), value));
        } else {
            let command = line.strip_prefix("$ mosquitto_pub -t '").unwrap();
            let (topic, payload) = command.split_once("' -m '").unwrap();
            messages.push(Message {
                topic: topic.to_owned(),
                payload: payload.strip_suffix('\'').unwrap().to_owned(),
                values: Vec::new(),
            });
        }
    }
    messages
}

struct Boxed(Box<dyn Source>);

impl Source for Boxed {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture {
        self.0.run(ctx)
    }
}

/// The configuration's only source.
fn run(config: &str, sensors: &[String]) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anomalyd.toml");
    std::fs::write(&path, config).unwrap();
    let (settings, _) = config::load(&path, Path::new("/")).unwrap();
    let source = SourceConfig::new(&settings.sources[0], &settings, Duration::from_secs(1));
    let source = Boxed(source.unwrap().open().unwrap());
    let names: Vec<&str> = sensors.iter().map(String::as_str).collect();
    start(source, &names, SystemClock, 1_000)
}

#[tokio::test]
async fn the_messages_of_every_device_give_the_values_in_the_document() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let document = document();
    let mut config = format!(
        "[source.mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[source.mqtt.topics]\nmark = \"mark\"\n",
        broker.port
    );
    let mut sensors = vec!["mark".to_owned()];
    for block in blocks(&document, "toml") {
        let Some(topics) = block.strip_prefix("[source.mqtt.topics]\n") else {
            continue;
        };
        config.push_str(topics);
        config.push('\n');
        let names = topics.lines().map(|line| line.split_once(" = ").unwrap().0);
        sensors.extend(names.map(str::to_owned));
    }
    let mut running = run(&config, &sensors);
    running.connected().await;
    let mut publisher = Publisher::new(broker.port);
    let messages = messages(&document);
    assert!(messages.len() >= 15, "{}", messages.len());
    let mut seen = Vec::new();
    for message in messages {
        publisher.publish(&message.topic, message.payload).await;
        // Behind it, so that a message that says nothing is seen to.
        publisher.publish("mark", "1").await;
        let mut values = Vec::new();
        loop {
            let next = running.values(1).await;
            values.extend(next.iter().map(|&(of, value)| (sensors[of].clone(), value)));
            if values.last().is_some_and(|(sensor, _)| sensor == "mark") {
                values.pop();
                break;
            }
        }
        // A message is one row: its values have no order.
        let sorted = |mut values: Vec<(String, f64)>| {
            values.sort_by(|one, other| one.0.cmp(&other.0));
            values
        };
        let (values, expected) = (sorted(values), sorted(message.values));
        assert_eq!(values, expected, "{}", message.topic);
        seen.extend(values.into_iter().map(|(sensor, _)| sensor));
    }
    // Every sensor of the document was tried.
    for sensor in &sensors[1..] {
        assert!(seen.contains(sensor), "no message for {sensor}");
    }
    publisher.finish().await;
    running.stop().await;
}

#[tokio::test]
async fn the_modbus_registers_are_read() {
    let Some(server) = modbus_server::start() else {
        return;
    };
    let document = document();
    let blocks = blocks(&document, "toml");
    let block = blocks.iter().find(|b| b.starts_with("[source.modbus]"));
    let port = format!("\"127.0.0.1\"\nport = {}", server.port);
    let config = block.unwrap().replace("\"192.168.1.20\"", &port);
    let sensors = ["FIT101", "TIT101", "PIT101", "LIT101", "P101", "MV101"].map(str::to_owned);
    let mut running = run(&config, &sensors);
    let mut values = running.values(6).await;
    values.sort_by_key(|&(sensor, _)| sensor);
    let values: Vec<f64> = values.into_iter().map(|(_, value)| value).collect();
    // 1234, -1234 and so on, of tests/modbus/server.py.
    let expected = [12.34, -123.4, 3.25, 3.25, 1.0, 1.0];
    for (value, expected) in values.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-9, "{values:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_script_writes_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingest.sock");
    let script = blocks(&document(), "python")
        .concat()
        .replace("/run/anomalyd/ingest.sock", &path.display().to_string());
    let source = NdjsonSource::socket(path, TimeZone::UTC);
    let mut running = start(source, &["LIT101", "tank.temperature"], SystemClock, 100);
    running.connected().await;
    let status = match Command::new("python3").args(["-c", &script]).status() {
        Ok(status) => status,
        Err(error) => {
            println!("skipped: python3 cannot be started: {error}");
            return;
        }
    };
    assert!(status.success());
    let values = running.values(6).await;
    let expected = [812.0, 15.5, 813.0, 15.5, -1.0, 15.5];
    assert!(
        values.iter().map(|(_, value)| *value).eq(expected),
        "{values:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_csv_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("today.csv");
    let text = blocks(&document(), "text").concat() + "\n";
    std::fs::write(&path, text).unwrap();
    let config = format!("[source.csv]\npath = {path:?}\nfrom = \"start\"\n");
    let sensors = ["FIT101", "LIT101"].map(str::to_owned);
    let mut running = run(&config, &sensors);
    assert_eq!(running.values(2).await, [(0, 2.47), (1, 812.0)]);
    running.stop().await;
}

#[test]
fn the_outputs_of_the_document_are_configured_rightly() {
    let document = document();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anomalyd.toml");
    let mut seen = 0;
    for block in blocks(&document, "toml") {
        if !block.starts_with("[output.mqtt]") {
            continue;
        }
        std::fs::write(&path, format!("[source.ndjson]\n{block}")).unwrap();
        let (settings, _) = config::load(&path, Path::new("/")).unwrap();
        let mqtt = settings.output.mqtt.unwrap();
        assert_eq!(mqtt.home_assistant, block.contains("home_assistant = true"));
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn the_collector_of_the_document_is_configured_rightly() {
    let document = document();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anomalyd.toml");
    let blocks = blocks(&document, "toml");
    let mut block = blocks.iter().filter(|b| b.starts_with("[output.otlp]"));
    let text = format!("[source.ndjson]\n{}", block.next().unwrap());
    std::fs::write(&path, text).unwrap();
    let (settings, _) = config::load(&path, Path::new("/")).unwrap();
    let otlp = settings.output.otlp.unwrap();
    assert_eq!((otlp.endpoint.port, otlp.endpoint.tls), (4318, false));
    assert_eq!(otlp.device.as_deref(), Some("plant-1"));
    assert_eq!(block.next(), None);
}

#[test]
fn the_alarm_of_the_document_has_the_id_that_its_event_is_given() {
    let document = document();
    let json = blocks(&document, "json").concat();
    let alarm: serde_json::Value = serde_json::from_str(&json).unwrap();
    let time: jiff::Timestamp = alarm["raised_at"].as_str().unwrap().parse().unwrap();
    let id = format!("a7k2-{}-raised", time.as_millisecond());
    assert_eq!(alarm["message"], id);
}

#[test]
fn the_other_sources_of_the_document_are_configured_rightly() {
    let document = document();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anomalyd.toml");
    for table in ["[source.ndjson]", "[source.csv]", "[source.modbus]"] {
        let blocks = blocks(&document, "toml");
        let block = blocks
            .iter()
            .find(|block| block.starts_with(table))
            .unwrap();
        std::fs::write(&path, block).unwrap();
        config::load(&path, Path::new("/")).unwrap();
    }
}
