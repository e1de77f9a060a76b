//! Connections to an MQTT broker: lost, refused, secured. A real mosquitto wherever one is
//! installed, and a made-up broker for what mosquitto cannot be brought to say.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "mqtt/certificates.rs"]
mod certificates;
#[path = "sources/harness.rs"]
mod harness;
#[path = "mqtt/made_up.rs"]
mod made_up;
#[path = "run/peer.rs"]
mod peer;
#[path = "mqtt/source.rs"]
mod source;

use std::sync::Arc;
use std::time::Duration;

use anomalyd::broker::MqttTls;
use anomalyd::clock::SystemClock;
use anomalyd::ingest::IngestError;
use anomalyd::ingest::mqtt::{MqttSensor, MqttSource};
use broker::{Broker, Publisher};
use harness::{start, within};
use made_up::refusing_broker;
use source::{config, run, until_waiting_for};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_broker_that_is_killed_is_found_again() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let mut running = run(config(broker.port, vec![MqttSensor::new("a", "plant/a")]));
    running.connected().await;
    for value in ["1", "2", "3"] {
        let mut publisher = Publisher::new(broker.port);
        publisher.publish("plant/a", value).await;
        assert_eq!(running.values(1).await, [(0, value.parse().unwrap())]);
        publisher.finish().await;
        broker.kill();
        until_waiting_for(&running, "127.0.0.1").await;
        broker.restart();
        running.connected().await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let port = peer::free_port();
    let running = run(config(port, vec![MqttSensor::new("a", "plant/a")]));
    until_waiting_for(&running, "nothing listens at 127.0.0.1").await;
    // A stop is obeyed in the middle of the wait.
    running.stop().await;

    let Some(mut broker) = Broker::start() else {
        return;
    };
    broker.kill();
    let mut running = run(config(broker.port, vec![MqttSensor::new("a", "plant/a")]));
    until_waiting_for(&running, "nothing listens").await;
    broker.restart();
    running.connected().await;
    let mut publisher = Publisher::new(broker.port);
    publisher.publish("plant/a", "1").await;
    assert_eq!(running.values(1).await, [(0, 1.0)]);
    publisher.finish().await;
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_reported() {
    let Some(broker) = Broker::start_with_password("right") else {
        return;
    };
    let with_password = |password: &str| {
        let mut config = config(broker.port, vec![MqttSensor::new("a", "plant/a")]);
        config.broker.username = Some("anomalyd".to_owned());
        config.broker.password = Some(password.to_owned());
        run(config)
    };
    let refused = with_password("wrong");
    until_waiting_for(
        &refused,
        "refused the login; check username and password_file",
    )
    .await;
    refused.stop().await;
    let accepted = with_password("right");
    accepted.connected().await;
    accepted.stop().await;
}

#[tokio::test]
async fn a_broker_is_trusted_by_its_certificate_only() {
    let Some(openssl) = broker::program("openssl") else {
        return;
    };
    let broker = Broker::start_with(|dir| {
        certificates::make(&openssl, dir);
        let file = |name: &str| dir.join(name).display().to_string();
        format!(
            "allow_anonymous true\ncertfile {}\nkeyfile {}\n",
            file("server.pem"),
            file("server.key")
        )
    });
    let Some(broker) = broker else { return };
    let tls = |host: &str, ca_file: &str| {
        let mut config = config(broker.port, vec![MqttSensor::new("a", "plant/a")]);
        config.broker.host = host.to_owned();
        config.broker.tls = Some(MqttTls {
            ca_file: Some(broker.dir.path().join(ca_file)),
        });
        config
    };
    let with = |host: &str, ca_file: &str| run(tls(host, ca_file));
    let trusted = with("localhost", "ca.pem");
    trusted.connected().await;
    trusted.stop().await;
    for (host, ca_file) in [("localhost", "other.pem"), ("127.0.0.1", "ca.pem")] {
        let refused = with(host, ca_file);
        until_waiting_for(&refused, "no secure connection").await;
        refused.stop().await;
    }
    // A file that is not there is told before anything runs.
    let result = MqttSource::new(tls("localhost", "absent.pem")).map(|_| ());
    assert!(
        matches!(result, Err(IngestError::CaFile { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_wrong_topic_is_an_error_that_names_its_sensor() {
    let error = |sensor| {
        MqttSource::new(config(1, vec![sensor]))
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(
        error(MqttSensor::new("LIT101", "plant/#/lit101")).to_string(),
        "sensor LIT101: topic \"plant/#/lit101\" is not an MQTT topic filter: # can only be the last level"
    );
    let mut sensor = MqttSensor::new("LIT101", "plant/lit101");
    sensor.conditions = vec![("id".parse().unwrap(), "1".to_owned())];
    assert!(matches!(
        error(sensor),
        IngestError::WhereWithoutPath { .. }
    ));
}

#[tokio::test]
async fn without_any_sensor_of_the_model_the_source_says_so_and_waits() {
    let config = config(1, vec![MqttSensor::new("LIT999", "plant/lit999")]);
    let running = start(
        MqttSource::new(config).unwrap(),
        &["LIT101"],
        SystemClock,
        10,
    );
    until_waiting_for(&running, "no topic of 127.0.0.1:1 belongs to a sensor").await;
    assert_eq!(running.status.counters().unknown, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_refused_subscription_is_named_and_the_others_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::default();
    let broker = tokio::spawn(refusing_broker(listener, Arc::clone(&requests)));
    let mut sensors: Vec<MqttSensor> = (0..19)
        .map(|sensor| MqttSensor::new(format!("s{sensor}"), format!("plant/s{sensor}")))
        .collect();
    sensors.push(MqttSensor::new("hidden", "secret/a b"));
    sensors.push(MqttSensor::new("hidden too", "secret/a b"));
    let running = run(config(port, sensors));
    running.connected().await;
    assert_eq!(
        running.status.problem().unwrap(),
        format!(
            "127.0.0.1:{port} refused the subscription to \"secret/a b\" (sensors hidden, hidden too); \
             allow this user to read it in the broker's access list"
        )
    );
    assert_eq!(*requests.lock().unwrap(), [8, 8, 4]);
    running.stop().await;

    let running = run(config(port, vec![MqttSensor::new("hidden", "secret/a")]));
    until_waiting_for(
        &running,
        "refused the subscription to \"secret/a\" (sensors hidden)",
    )
    .await;
    within(Duration::from_secs(1), running.stop()).await;
    broker.abort();
}
