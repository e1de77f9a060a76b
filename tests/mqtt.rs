//! Samples from an MQTT broker, a real mosquitto.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "sources/harness.rs"]
mod harness;
#[path = "mqtt/payloads.rs"]
mod payloads;
#[path = "run/peer.rs"]
mod peer;
#[path = "mqtt/source.rs"]
mod source;

use std::time::{Duration, Instant};

use anomalyd::clock::{Clock, SystemClock};
use anomalyd::ingest::Ingested;
use anomalyd::ingest::mqtt::{MqttSensor, TimeFrom};
use broker::{Broker, Publisher};
use harness::{NOON, plain};
use source::{config, run};

#[tokio::test]
async fn what_devices_publish_is_read() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut sensors: Vec<MqttSensor> = payloads::CASES.iter().map(payloads::Case::sensor).collect();
    // Published behind each message, so that nothing at all is seen to be nothing at all.
    let mark = sensors.len();
    sensors.push(MqttSensor::new("mark", "test/mark"));
    let mut running = run(config(broker.port, sensors));
    running.connected().await;
    let mut publisher = Publisher::new(broker.port);
    for (sensor, case) in payloads::CASES.iter().enumerate() {
        for (number, (topic, payload, expected)) in case.messages.iter().enumerate() {
            publisher.publish(topic, *payload).await;
            publisher.publish("test/mark", "1").await;
            let mut values = Vec::new();
            while !values.contains(&(mark, 1.0)) {
                values.extend(running.values(1).await);
            }
            let own = values
                .iter()
                .filter(|(of, _)| *of == sensor)
                .map(|(_, value)| *value);
            let own: Vec<f64> = own.collect();
            assert_eq!(
                own,
                expected.as_slice(),
                "{}, message {number}",
                case.device
            );
        }
    }
    publisher.finish().await;
    assert_eq!(running.status.counters().retained, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_payload_can_date_its_sample() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let path = |path: &str| Some(path.parse().unwrap());
    let mut tasmota = MqttSensor::new("tasmota", "tele/boiler/SENSOR");
    tasmota.path = path("ENERGY.Power");
    tasmota.time_path = path("Time");
    let mut plc = MqttSensor::new("plc", "plant/line1");
    plc.path = path("v");
    let mut config = config(
        broker.port,
        vec![tasmota, plc, MqttSensor::new("bare", "bare")],
    );
    config.time = TimeFrom::Payload;
    config.zone = anomalyd::ingest::time::find_zone("+01:00").unwrap();
    let mut running = run(config);
    running.connected().await;
    let before = SystemClock.now();
    let mut publisher = Publisher::new(broker.port);
    publisher
        .publish(
            "tele/boiler/SENSOR",
            r#"{"Time":"2025-11-25T13:00:00","ENERGY":{"Power":340}}"#,
        )
        .await;
    publisher
        .publish("plant/line1", r#"{"timestamp":1764072000000,"v":2.5}"#)
        .await;
    publisher.publish("bare", "7").await;
    let samples = running.samples(3).await;
    assert_eq!(samples[0].sample.time, NOON);
    assert_eq!(samples[1].sample.time, NOON);
    let arrival = samples[2].sample.time;
    assert!(arrival >= before && arrival <= SystemClock.now());
    assert!(samples.iter().all(|ingested| ingested.end_of_row));
    publisher.finish().await;
    running.stop().await;
}

#[tokio::test]
async fn wildcards_reach_every_topic_that_they_mean_and_one_message_is_one_row() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let sensor = |name: &str, topic: &str, path: &str| MqttSensor {
        path: Some(path.parse().unwrap()),
        ..MqttSensor::new(name, topic)
    };
    let mut running = run(config(
        broker.port,
        vec![
            sensor("level", "plant/+/level meter/#", "level"),
            sensor("temperature", "plant/tank 1/level meter/1", "temperature"),
        ],
    ));
    running.connected().await;
    let mut publisher = Publisher::new(broker.port);
    for topic in [
        "plant/tank 1/level meter/1",
        "plant/tank 1/valve",
        "plant/tank 2/level meter",
        "plant/level meter/1",
    ] {
        publisher
            .publish(topic, r#"{"level": 1, "temperature": 2}"#)
            .await;
    }
    publisher
        .publish("plant/x/level meter/end", r#"{"level": 9}"#)
        .await;
    let mut samples = Vec::new();
    while samples
        .last()
        .is_none_or(|last: &Ingested| last.sample.value < 9.0)
    {
        samples.extend(running.samples(1).await);
    }
    let values: Vec<_> = samples
        .iter()
        .map(|i| (plain(i.sample), i.end_of_row))
        .collect();
    // mosquitto delivers a message that two subscriptions ask for once.
    assert_eq!(
        values,
        [
            ((1, 2.0), false),
            ((0, 1.0), true),
            ((0, 1.0), true),
            ((0, 9.0), true)
        ]
    );
    publisher.finish().await;
    running.stop().await;
}

#[tokio::test]
async fn a_retained_message_counts_as_read_now_and_is_counted() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut publisher = Publisher::new(broker.port);
    publisher.retain("plant/lit101", "812").await;
    publisher.finish().await;
    let before = SystemClock.now();
    let mut running = run(config(
        broker.port,
        vec![MqttSensor::new("LIT101", "plant/lit101")],
    ));
    let samples = running.samples(1).await;
    assert_eq!(plain(samples[0].sample), (0, 812.0));
    assert!(samples[0].sample.time >= before);
    assert_eq!(running.status.counters().retained, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_messages_a_second_arrive_completely() {
    const SECONDS: u32 = 3;
    let Some(broker) = Broker::start() else {
        return;
    };
    let sensors = (0..10)
        .map(|sensor| MqttSensor::new(format!("s{sensor}"), format!("plant/s{sensor}")))
        .collect();
    let mut running = run(config(broker.port, sensors));
    running.connected().await;
    let mut publisher = Publisher::new(broker.port);
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for tick in 0..SECONDS * 100 {
        ticks.tick().await;
        for sensor in 0..10 {
            publisher
                .publish(&format!("plant/s{sensor}"), tick.to_string())
                .await;
        }
    }
    let count = (SECONDS * 1000) as usize;
    let values = running.values(count).await;
    println!("{count} messages in {:?}", started.elapsed());
    publisher.finish().await;
    assert_eq!(values.len(), count);
    for (number, (sensor, value)) in values.into_iter().enumerate() {
        assert_eq!((sensor, value), (number % 10, (number / 10) as f64));
    }
    assert_eq!(running.queue.dropped(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_large_message_on_a_wildcard_does_not_end_the_connection() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut sensor = MqttSensor::new("a", "zigbee2mqtt/#");
    sensor.path = Some("temperature".parse().unwrap());
    let mut running = run(config(broker.port, vec![sensor]));
    running.connected().await;
    let mut publisher = Publisher::new(broker.port);
    let device = r#"{"ieee_address":"0x00158d0001dc126a","type":"EndDevice"}"#;
    let devices = format!("[{}]", vec![device; 5_000].join(","));
    publisher
        .publish("zigbee2mqtt/bridge/devices", devices)
        .await;
    publisher
        .publish("zigbee2mqtt/tank", r#"{"temperature": 20}"#)
        .await;
    assert_eq!(running.values(1).await, [(0, 20.0)]);
    publisher.finish().await;
    running.stop().await;
}
