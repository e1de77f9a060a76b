//! The source under test.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::time::Duration;

use anomalyd::broker::BrokerConfig;
use anomalyd::clock::SystemClock;
use anomalyd::ingest::SourceState;
use anomalyd::ingest::mqtt::{MqttConfig, MqttSensor, MqttSource, TimeFrom};
use jiff::tz::TimeZone;

use super::harness::{Running, start};

pub fn config(port: u16, sensors: Vec<MqttSensor>) -> MqttConfig {
    MqttConfig {
        broker: BrokerConfig {
            host: "127.0.0.1".to_owned(),
            port,
            client_id: "anomalyd".to_owned(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(5),
        },
        sensors,
        time: TimeFrom::Arrival,
        zone: TimeZone::UTC,
    }
}

pub fn run(config: MqttConfig) -> Running {
    let names: Vec<String> = config.sensors.iter().map(|s| s.sensor.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    start(
        MqttSource::new(config).unwrap(),
        &names,
        SystemClock,
        100_000,
    )
}

pub fn is_waiting_for(running: &Running, part: &str) -> bool {
    matches!(running.status.state(), SourceState::Waiting { reason } if reason.contains(part))
}

pub async fn until_waiting_for(running: &Running, part: &str) {
    running.until(part, |_| is_waiting_for(running, part)).await;
}
