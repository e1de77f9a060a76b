use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::broker::BrokerConfig;
use crate::clock::SystemClock;
use crate::ingest::{SampleQueue, SensorIndex, SourceStatus};
use tokio::sync::watch;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

fn sensor(name: &str, topic: &str, path: &str) -> MqttSensor {
    MqttSensor {
        path: (!path.is_empty()).then(|| path.parse().unwrap()),
        ..MqttSensor::new(name, topic)
    }
}

fn condition(path: &str, value: &str) -> (JsonPath, String) {
    (path.parse().unwrap(), value.to_owned())
}

fn routes(sensors: Vec<MqttSensor>, time: TimeFrom) -> (Routes, SourceContext) {
    let names: Vec<String> = sensors.iter().map(|s| s.sensor.clone()).collect();
    let ctx = SourceContext {
        sensors: Arc::new(SensorIndex::new(&names)),
        queue: Arc::new(SampleQueue::new(1000)),
        clock: Arc::new(SystemClock),
        status: Arc::new(SourceStatus::new("test")),
        stop: watch::channel(false).1,
    };
    let config = MqttConfig {
        broker: BrokerConfig {
            host: "hub".to_owned(),
            port: 1883,
            client_id: "test".to_owned(),
            username: None,
            password: Some("secret".to_owned()),
            tls: None,
            keep_alive: Duration::from_secs(30),
        },
        sensors,
        time,
        zone: TimeZone::UTC,
    };
    assert!(!format!("{config:?}").contains("secret"));
    (Routes::new(&config, &ctx), ctx)
}

/// (sensor, value, time) of what a message leaves in the queue, NaN as -1.
fn read(
    routes: &mut Routes,
    ctx: &SourceContext,
    topic: &str,
    payload: &[u8],
) -> Vec<(usize, f64, Timestamp)> {
    routes.read_message(topic, payload, false, NOW);
    let mut buf = ctx.queue.buffer();
    ctx.queue.pop_wait(&mut buf, Duration::ZERO);
    buf.iter()
        .map(|ingested| {
            let sample = ingested.sample;
            let value = if sample.value.is_nan() {
                -1.0
            } else {
                sample.value
            };
            (sample.sensor, value, sample.time)
        })
        .collect()
}

#[test]
fn a_bare_payload_is_the_value() {
    let (mut routes, ctx) = routes(vec![sensor("a", "plant/a", "")], TimeFrom::Payload);
    for (payload, value) in [
        (&b"21.5"[..], 21.5),
        (b" -3e2\n", -300.0),
        (b"ON", 1.0),
        (b"closed", 0.0),
        (b"\"21.5\"", 21.5),
        (b"true", 1.0),
        (b"unavailable", -1.0),
        (b"", -1.0),
        (b"offline", -1.0),
        (b"21.5 C", -1.0),
        (b"{\"value\": 3}", -1.0),
        (b"\xff\xfe", -1.0),
    ] {
        let got = read(&mut routes, &ctx, "plant/a", payload);
        assert_eq!(got, [(0, value, NOW)], "{payload:?}");
    }
    assert_eq!(ctx.status.counters().bad, 4);
    assert_eq!(ctx.status.counters().missing, 6);
    assert!(read(&mut routes, &ctx, "plant/b", b"1").is_empty());
}

#[test]
fn one_message_may_hold_several_sensors_and_makes_one_row() {
    let sensors = vec![
        sensor("t", "zigbee2mqtt/tank 1", "temperature"),
        sensor("b", "zigbee2mqtt/tank 1", "battery"),
        sensor("other", "zigbee2mqtt/tank 2", "temperature"),
        sensor("any", "zigbee2mqtt/+", "humidity"),
    ];
    let (mut routes, ctx) = routes(sensors, TimeFrom::Arrival);
    let payload = br#"{"battery":97,"humidity":null,"linkquality":120,"temperature":"18.25"}"#;
    let got = read(&mut routes, &ctx, "zigbee2mqtt/tank 1", payload);
    assert_eq!(got, [(0, 18.25, NOW), (1, 97.0, NOW), (3, -1.0, NOW)]);
    // A device tells its values in turns: what is not in a payload is not missing.
    let got = read(
        &mut routes,
        &ctx,
        "zigbee2mqtt/tank 1",
        br#"{"battery":96}"#,
    );
    assert_eq!(got, [(1, 96.0, NOW)]);
    assert_eq!(
        routes.filters(),
        ["zigbee2mqtt/tank 1", "zigbee2mqtt/tank 2", "zigbee2mqtt/+"]
    );
    assert_eq!(routes.sensors_of("zigbee2mqtt/tank 1"), "t, b");
}

#[test]
fn text_where_json_belongs_is_missing_for_its_own_topic_only() {
    let sensors = vec![
        sensor("own", "dev/state", "v"),
        sensor("wild", "dev/+", "v"),
    ];
    let (mut routes, ctx) = routes(sensors, TimeFrom::Arrival);
    let got = read(&mut routes, &ctx, "dev/state", b"offline");
    assert_eq!(got, [(0, -1.0, NOW)]);
    assert_eq!(ctx.status.counters().bad, 2);
    assert!(read(&mut routes, &ctx, "dev/availability", b"offline").is_empty());
}

#[test]
fn conditions_tell_devices_on_one_topic_apart() {
    let mut indoor = sensor("indoor", "rtl_433/+/events", "temperature_C");
    indoor.conditions = vec![condition("model", "Nexus-TH"), condition("id", "42")];
    let mut outdoor = sensor("outdoor", "rtl_433/+/events", "temperature_C");
    outdoor.conditions = vec![condition("id", "7.0")];
    let (mut routes, ctx) = routes(vec![indoor, outdoor], TimeFrom::Arrival);
    let topic = "rtl_433/raspberrypi/events";
    for (payload, expected) in [
        (
            r#"{"model":"Nexus-TH","id":42,"temperature_C":21.3}"#,
            &[(0, 21.3, NOW)][..],
        ),
        (r#"{"model":"Acurite","id":42,"temperature_C":1.0}"#, &[]),
        (
            r#"{"model":"Acurite","id":"7","temperature_C":2.5}"#,
            &[(1, 2.5, NOW)],
        ),
        (r#"{"temperature_C":2.5}"#, &[]),
    ] {
        assert_eq!(
            read(&mut routes, &ctx, topic, payload.as_bytes()),
            expected,
            "{payload}"
        );
    }
}

#[test]
fn a_payload_is_dated_as_configured() {
    let noon = Timestamp::from_seconds(1_764_072_000);
    let mut tasmota = sensor("tasmota", "tele/pump/SENSOR", "ENERGY.Power");
    tasmota.time_path = Some("Time".parse().unwrap());
    let usual = sensor("usual", "plc", "v");
    let sensors = vec![tasmota, usual];
    let tasmota_payload = br#"{"Time":"2025-11-25T12:00:00","ENERGY":{"Power":340}}"#;
    let usual_payload = br#"{"ts":1764072000000,"v":1}"#;

    let (mut by_payload, ctx) = routes(sensors.clone(), TimeFrom::Payload);
    let got = read(&mut by_payload, &ctx, "tele/pump/SENSOR", tasmota_payload);
    assert_eq!(got, [(0, 340.0, noon)]);
    let got = read(&mut by_payload, &ctx, "plc", usual_payload);
    assert_eq!(got, [(1, 1.0, noon)]);
    let got = read(&mut by_payload, &ctx, "plc", br#"{"ts":12.5,"v":1}"#);
    assert_eq!(got, [(1, 1.0, NOW)]);
    assert_eq!(ctx.status.counters().bad, 1);
    let got = read(&mut by_payload, &ctx, "plc", br#"{"ts":null,"v":1}"#);
    assert_eq!(got, [(1, 1.0, NOW)]);
    assert_eq!(ctx.status.counters().bad, 1);

    let (mut by_arrival, ctx) = routes(sensors, TimeFrom::Arrival);
    let got = read(&mut by_arrival, &ctx, "tele/pump/SENSOR", tasmota_payload);
    assert_eq!(got, [(0, 340.0, noon)]);
    let got = read(&mut by_arrival, &ctx, "plc", usual_payload);
    assert_eq!(got, [(1, 1.0, NOW)]);
}

#[test]
fn a_sensor_that_the_model_does_not_have_is_not_subscribed() {
    let (routes, ctx) = routes(vec![sensor("a", "plant/a", "")], TimeFrom::Arrival);
    assert_eq!(routes.filters(), ["plant/a"]);
    let config = MqttConfig {
        broker: BrokerConfig {
            host: "hub".to_owned(),
            port: 1883,
            client_id: String::new(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(30),
        },
        sensors: vec![sensor("b", "plant/b", ""), sensor("a", "plant/a", "")],
        time: TimeFrom::Arrival,
        zone: TimeZone::UTC,
    };
    assert_eq!(Routes::new(&config, &ctx).filters(), ["plant/a"]);
    assert_eq!(ctx.status.counters().unknown, 1);
}

#[test]
fn a_wrong_path_is_explained_once() {
    let (mut routes, ctx) = routes(vec![sensor("a", "plant/a", "level")], TimeFrom::Arrival);
    assert!(read(&mut routes, &ctx, "plant/a", br#"{"Level": 3}"#).is_empty());
    assert!(routes.routes[0].hinted);
    assert_eq!(ctx.status.counters().received, 0);
}
