//! The keys of the configuration file: their shapes, limits, defaults and meaning.
//!
//! This one table drives the checking, the defaults, the suggestions for mistyped keys and the
//! tables of `docs/configuration.md` (a test compares them row by row). Imports `key` and `rules` only.

use std::time::Duration;

use super::key::Presence::{Default, Optional, Required};
use super::key::{Key, Shape, key};
use super::rules;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

const fn table(name: &'static str, keys: &'static [Key], meaning: &'static str) -> Key {
    key(name, Shape::Table(keys), Optional("defaults"), meaning)
}

/// The whole file.
#[rustfmt::skip]
pub const TOP: &[Key] = &[
    key("name", Shape::Text(rules::LABEL), Optional("the model's"),
        "What the plant or line is called in alarms."),
    key("model", Shape::Path, Default("\"/var/lib/anomalyd/models/current.pt\""),
        "The model file that `anomalyd train` made."),
    key("engine", Shape::Choice(&["auto", "native", "torch"]), Default("\"auto\""),
        "What runs the model: `native` is plain Rust for anomalyd's own models, `torch` a \
         libtorch worker for any TorchScript model, `auto` takes `native` where it can."),
    key("torch_worker", Shape::Path, Optional("searched for"), "The program `anomalyd-torch`."),
    key("max_false_alarms_per_week", Shape::Number(0.01, 10_080.0), Optional("the model's"),
        "How many false alarms a week you accept; fewer means later and fewer alarms."),
    key("period", Shape::Duration(Duration::from_millis(1), DAY), Optional("the model's"),
        "Time between two frames; only a model trained at this period gives sensible scores."),
    key("state_directory", Shape::Path, Default("\"/var/lib/anomalyd\""),
        "Where the daemon keeps what must survive a restart."),
    key("control_socket", Shape::Path, Default("\"/run/anomalyd/control.sock\""),
        "Where `anomalyd status`, `ack`, `mute` and `reload` find the service."),
    key("learn_for", Shape::Duration(Duration::ZERO, Duration::from_secs(30 * 86_400)), Default("\"24h\""),
        "Without a model: how much is recorded before one is learned from it; `\"0s\"` never learns \
         by itself."),
    key("log_level", Shape::Choice(&["error", "warn", "info", "debug", "trace"]), Default("\"info\""),
        "How much the log says."),
    table("frame", FRAME, "How samples become frames on a fixed time grid."),
    table("alarm", ALARM, "When an alarm ends and what it says."),
    table("source", SOURCE, "Where samples come from; at least one."),
    table("output", OUTPUT, "Where alarms go."),
    table("health", HEALTH, "When the service warns of itself, and when it does without something."),
    table("history", HISTORY, "Scores and sensors of the last 30 days, for the page and `anomalyd history`."),
    table("web", WEB, "The page, the metrics and the health checks over HTTP."),
];

#[rustfmt::skip]
const FRAME: &[Key] = &[
    key("hold", Shape::Integer(0, 1_000_000), Default("3"),
        "For how many periods a sensor's last value is used when no new one comes."),
    key("stale_after", Shape::Duration(SECOND, Duration::from_secs(30 * 86_400)), Default("\"5m\""),
        "A sensor without a value for longer than this raises an alarm of its own (\"silent\")."),
    key("zone", Shape::Text(rules::ZONE), Default("\"UTC\""),
        "Time zone of times that are written without one: \"UTC\" or a name like \
         \"Europe/Berlin\"."),
    key("queue_samples", Shape::Integer(64, 1_048_576), Default("65536"),
        "Samples that may wait between the sources and the model (32 bytes each); when full, the \
         oldest is dropped and counted."),
    key("sensor", Shape::Sensors { keys: FRAME_SENSOR, short: false }, Optional("none"),
        "Exceptions for single sensors."),
];

#[rustfmt::skip]
const FRAME_SENSOR: &[Key] = &[
    key("hold", Shape::Integer(0, 1_000_000), Required("60"),
        "As `frame.hold`, for this sensor; for sensors that report only when something changes."),
];

#[rustfmt::skip]
const ALARM: &[Key] = &[
    key("clear_after", Shape::Duration(Duration::ZERO, DAY), Default("\"10m\""),
        "An alarm ends after the score was low for this long (and for at least three frames)."),
    key("top_sensors", Shape::Integer(1, 5), Default("3"),
        "How many responsible sensors an alarm names."),
    key("silent", Shape::Bool, Default("true"), "Raise an alarm when a sensor falls silent."),
];

#[rustfmt::skip]
const SOURCE: &[Key] = &[
    key("ndjson", Shape::Instances(NDJSON), Optional("none"),
        "JSON objects, one a line, from standard input or a Unix socket."),
    key("csv", Shape::Instances(CSV), Optional("none"), "A CSV file that grows."),
    key("mqtt", Shape::Instances(MQTT), Optional("none"), "An MQTT broker."),
    key("modbus", Shape::Instances(MODBUS), Optional("none"), "A Modbus TCP device."),
    key("simulator", Shape::Table(SIMULATOR), Optional("none"),
        "The built-in water-treatment plant, to try things out."),
];

#[rustfmt::skip]
const ENABLED: Key = key("enabled", Shape::Bool, Default("true"),
    "`false` switches the source off, so that a drop-in can do it.");

#[rustfmt::skip]
const NDJSON: &[Key] = &[
    key("name", Shape::Text(rules::SOURCE_NAME), Default("\"ndjson\""),
        "Tells several of them apart, in the file and in the log."),
    ENABLED,
    key("listen", Shape::Text(rules::LISTEN), Default("\"stdin\""),
        "`\"stdin\"`, or the full path of the Unix socket to listen on."),
];

#[rustfmt::skip]
const CSV: &[Key] = &[
    key("name", Shape::Text(rules::SOURCE_NAME), Default("\"csv\""),
        "Tells several of them apart, in the file and in the log."),
    ENABLED,
    key("path", Shape::Path, Required("\"/var/lib/plant/today.csv\""),
        "The file; it need not exist yet and may be rotated."),
    key("from", Shape::Choice(&["start", "end"]), Default("\"end\""),
        "Read what is in the file already, or only what is added."),
    key("zone", Shape::Text(rules::ZONE), Optional("`frame.zone`"),
        "Time zone of the file's times."),
];

#[rustfmt::skip]
const SIMULATOR: &[Key] = &[
    ENABLED,
    key("seed", Shape::Integer(0, i64::MAX), Default("1"),
        "Another seed is another day of the same plant."),
    key("rate", Shape::Number(0.01, 100_000.0), Default("1.0"), "Frames a second."),
    key("faults", Shape::Path, Optional("no faults"),
        "A file of faults to inject, as for `anomalyd simulate --faults`."),
];

/// How a broker is reached.
#[rustfmt::skip]
const fn broker(client_id: &'static str) -> [Key; 9] {
    [
        key("host", Shape::Text(rules::HOST), Required("\"192.168.1.10\""),
            "The broker's host name or address."),
        key("port", Shape::Integer(1, 65_535), Optional("1883, or 8883 with `tls`"),
            "The broker's port."),
        key("client_id", Shape::Text(rules::FILLED), Optional(client_id),
            "Must be the only client of this id at the broker."),
        key("username", Shape::Text(rules::FILLED), Optional("none"),
            "For brokers that ask for one."),
        key("password_file", Shape::Credential, Optional("none"),
            "A file with the password, or the name of a systemd credential (`LoadCredential=`)."),
        key("password", Shape::Text(rules::FILLED), Optional("none"),
            "The password itself; works, but `password_file` keeps it out of this file."),
        key("tls", Shape::Bool, Default("false"), "Encrypt, and check the broker's certificate."),
        key("ca_file", Shape::Path, Optional("the system's"),
            "PEM file of the authority that signed the broker's certificate."),
        key("keep_alive", Shape::Duration(SECOND, Duration::from_secs(65_535)), Default("\"30s\""),
            "How soon a dead connection is noticed."),
    ]
}

/// Of some keys, those of a broker, and others.
const fn around_broker<const N: usize>(
    before: &[Key],
    broker: [Key; 9],
    after: &[Key],
) -> [Key; N] {
    assert!(before.len() + broker.len() + after.len() == N);
    let mut keys = [broker[0]; N];
    let mut at = 0;
    while at < N {
        keys[at] = if at < before.len() {
            before[at]
        } else if at < before.len() + broker.len() {
            broker[at - before.len()]
        } else {
            after[at - before.len() - broker.len()]
        };
        at += 1;
    }
    keys
}

#[rustfmt::skip]
const MQTT: &[Key] = &around_broker::<13>(&[
    key("name", Shape::Text(rules::SOURCE_NAME), Default("\"mqtt\""),
        "Tells several brokers apart, in the file and in the log."),
    ENABLED,
], broker("made from the host name and `name`"), &[
    key("time_path", Shape::Text(rules::JSON_PATH), Optional("time of arrival"),
        "Where JSON payloads carry their time."),
    key("topics", Shape::Sensors { keys: TOPIC, short: true }, Required("{ LIT101 = \"plant/lit101\" }"),
        "Which topic each sensor's value comes on; a text alone is the topic."),
]);

#[rustfmt::skip]
const TOPIC: &[Key] = &[
    key("topic", Shape::Text(rules::TOPIC), Required("\"plant/lit101\""),
        "The topic; `+` and `#` are wildcards."),
    key("path", Shape::Text(rules::JSON_PATH), Optional("the payload is the value"),
        "Where the value stands in a JSON payload, like `level.value` or `values[2].v`."),
    key("where", Shape::Fields, Optional("every message"),
        "Take only JSON payloads with these values, like `{ id = 42 }`."),
    key("time_path", Shape::Text(rules::JSON_PATH), Optional("the broker's `time_path`"),
        "Where this payload carries its time."),
];

const ANY_NUMBER: Shape = Shape::Number(f64::MIN, f64::MAX);

#[rustfmt::skip]
const MODBUS: &[Key] = &[
    key("name", Shape::Text(rules::SOURCE_NAME), Default("\"modbus\""),
        "Tells several devices apart, in the file."),
    ENABLED,
    key("host", Shape::Text(rules::HOST), Required("\"192.168.1.20\""),
        "The device's, or its gateway's, host name or address."),
    key("port", Shape::Integer(1, 65_535), Default("502"), "Its port."),
    key("unit", Shape::Integer(0, 255), Default("1"),
        "Which device behind a gateway; many devices without one answer to any number."),
    key("poll", Shape::Duration(Duration::from_millis(10), DAY), Default("\"1s\""),
        "How often the registers are read."),
    key("timeout", Shape::Duration(Duration::from_millis(10), Duration::from_secs(60)), Default("\"2s\""),
        "How long one answer may take; then the connection is made anew."),
    key("max_registers", Shape::Integer(4, 125), Default("125"),
        "How many registers (or 16 times as many coils) one request may ask for; for devices that take fewer."),
    key("max_gap", Shape::Integer(0, 124), Default("0"),
        "How many unwanted registers may be read along to save a request; some devices refuse \
         registers that they do not have."),
    key("registers", Shape::Sensors { keys: REGISTER, short: true }, Required("{ LIT101 = \"holding 100\" }"),
        "Which register holds each sensor's value; a text alone is the register."),
];

#[rustfmt::skip]
const REGISTER: &[Key] = &[
    key("register", Shape::Text(rules::REGISTER), Required("\"holding 100\""),
        "`holding`, `input`, `coil` or `discrete` and the address, counted from 0; or its number in \
         manuals, counted from 1, like `40101`."),
    key("type", Shape::Text(rules::REGISTER_TYPE), Optional("`u16`"),
        "`i16`, `u16`, `i32`, `u32`, `f32`, `i64`, `u64`, `f64`, or one bit, `bit 0` to `bit 15`."),
    key("word_order", Shape::Choice(&["ABCD", "CDAB", "BADC", "DCBA"]), Default("\"ABCD\""),
        "The order of the value's bytes, A the highest: `CDAB` has the low register first, `BADC` and \
         `DCBA` have the bytes of each register swapped."),
    key("scale", ANY_NUMBER, Default("1.0"), "What the number read is multiplied by."),
    key("offset", ANY_NUMBER, Default("0.0"), "What is added then."),
    key("missing", ANY_NUMBER, Optional("none"),
        "The number, before `scale`, by which the device says that it has no value, like 32768 or -1."),
];

#[rustfmt::skip]
const OUTPUT: &[Key] = &[
    table("log", LOG, "The log: the journal, under systemd."),
    table("stdout", STDOUT, "Standard output."),
    key("mqtt", Shape::Table(MQTT_OUTPUT), Optional("none"),
        "An MQTT broker, with a queue on disk for when it is away."),
    key("otlp", Shape::Table(OTLP), Optional("none"),
        "An OpenTelemetry collector, with a queue on disk for alarms and health events."),
];

#[rustfmt::skip]
const LOG: &[Key] = &[
    key("enabled", Shape::Bool, Default("true"), "Write alarms to the log."),
];

#[rustfmt::skip]
const STDOUT: &[Key] = &[
    key("enabled", Shape::Bool, Default("true"),
        "Write alarms there, one JSON object a line; under systemd it is the journal, which has them \
         from the log already."),
];

#[rustfmt::skip]
const MQTT_OUTPUT: &[Key] = &around_broker::<18>(&[
    key("enabled", Shape::Bool, Default("true"),
        "`false` switches it off, so that a drop-in can do it."),
], broker("made from the host name"), &[
    key("prefix", Shape::Text(rules::TOPIC_PART), Default("\"anomalyd\""),
        "What all topics begin with."),
    key("device", Shape::Text(rules::TOPIC_LEVEL), Optional("the host name"),
        "The level behind it, by which appliances are told apart: `anomalyd/DEVICE/alarm`."),
    key("score_every", Shape::Duration(Duration::ZERO, DAY), Default("\"10s\""),
        "How often the score is published; `\"0s\"` never."),
    key("health_every", Shape::Duration(Duration::ZERO, DAY), Default("\"5m\""),
        "How often the readings of the machine are published; `\"0s\"` never."),
    key("home_assistant", Shape::Bool, Default("false"),
        "Announce the appliance to Home Assistant."),
    key("home_assistant_prefix", Shape::Text(rules::TOPIC_PART), Default("\"homeassistant\""),
        "Home Assistant's discovery prefix."),
    key("queue_bytes", Shape::Integer(65_536, 67_108_864), Default("8388608"),
        "The most that waits on the disk while the broker is away; then the oldest scores go, the \
         oldest alarms last."),
    key("catch_up_per_second", Shape::Integer(1, 10_000), Default("50"),
        "How many messages that waited are published a second."),
]);

#[rustfmt::skip]
const OTLP: &[Key] = &[
    key("enabled", Shape::Bool, Default("true"),
        "`false` switches it off, so that a drop-in can do it."),
    key("endpoint", Shape::Text(rules::ENDPOINT), Required("\"http://192.168.1.10:4318\""),
        "The collector's OTLP/HTTP address; the port is 4318 where none is written. `https://` encrypts, and \
         checks its certificate. `/v1/metrics` and `/v1/logs` are added."),
    key("headers_file", Shape::Credential, Optional("none"),
        "A file with a header a line, like `Authorization: Bearer …`, or the name of a systemd credential."),
    key("ca_file", Shape::Path, Optional("the system's"),
        "PEM file of the authority that signed the collector's certificate."),
    key("device", Shape::Text(rules::TOPIC_LEVEL), Optional("the host name"),
        "By which appliances are told apart: `service.instance.id`."),
    key("metrics_every", Shape::Duration(Duration::ZERO, DAY), Default("\"60s\""),
        "How often metrics are sent, at most every 5 seconds; `\"0s\"` never."),
    key("queue_bytes", Shape::Integer(65_536, 67_108_864), Default("8388608"),
        "The most that waits on the disk while the collector is away; then the oldest health events go, \
         the oldest alarms last. Metrics never wait there."),
    key("catch_up_per_second", Shape::Integer(1, 10_000), Default("50"),
        "How many log records that waited are sent a second."),
];

#[rustfmt::skip]
const HEALTH: &[Key] = &[
    key("memory_warning_bytes", Shape::Integer(1_000_000, i64::MAX), Optional("90 MB; 90 % of `MemoryHigh=` where that is over 100 MB"),
        "Resident memory of the service, the torch worker included, that is warned of."),
    key("memory_critical_bytes", Shape::Integer(1_000_000, i64::MAX), Optional("100 MB; `MemoryHigh=` where that is more"),
        "As above, as an error."),
    key("cpu_warning_percent", Shape::Number(0.1, 100_000.0), Default("20.0"),
        "Processor time of the service that is warned of; 100 is one core."),
    key("cpu_critical_percent", Shape::Number(0.1, 100_000.0), Default("25.0"),
        "As above, as an error."),
    key("latency_warning", Shape::Duration(Duration::from_micros(1), DAY), Default("\"8ms\""),
        "From a complete sample to its score, the 99th percentile, that is warned of."),
    key("latency_critical", Shape::Duration(Duration::from_micros(1), DAY), Default("\"10ms\""),
        "As above, as an error."),
    key("raise_after", Shape::Duration(Duration::ZERO, DAY), Default("\"30s\""),
        "How long memory, processor, latency or disk must be over a limit before it is told."),
    key("clear_after", Shape::Duration(Duration::ZERO, DAY), Default("\"2m\""),
        "How long they must be below 90 % of it before that is over."),
    key("degrade", Shape::Bool, Default("true"),
        "Under heat, memory or processor pressure do without the torch engine, then every second \
         score, then outputs; `false` only warns."),
    key("degrade_from_celsius", Shape::Number(30.0, 120.0), Default("80.0"),
        "The temperature of the first of these steps; the others follow 3 and 5 degrees above."),
];

#[rustfmt::skip]
const HISTORY: &[Key] = &[
    key("enabled", Shape::Bool, Default("true"),
        "Keep scores and the sensors' extremes in the state directory: at most 64 MB, and 1 MB of writes a day."),
];

#[rustfmt::skip]
const WEB: &[Key] = &[
    key("enabled", Shape::Bool, Default("false"), "Serve the page, the metrics and the health checks."),
    key("listen", Shape::Text(rules::ADDRESS), Default("\"0.0.0.0:8080\""),
        "The address and port to listen on; `127.0.0.1:8080` is this machine only."),
    key("password_file", Shape::Credential, Optional("nobody may change anything"),
        "A file with the password (or the name of a systemd credential) with which the page may \
         acknowledge and mute alarms."),
    key("hosts", Shape::Text(rules::HOSTS), Optional("the machine's own name and addresses"),
        "Further names by which browsers reach the page, with spaces between them."),
];

/// Every key with its full dotted path, tables too, in the order of the file. The name of a sensor
/// stands as `SENSOR`.
pub fn every_key() -> Vec<(String, &'static Key)> {
    fn walk(keys: &'static [Key], path: &str, all: &mut Vec<(String, &'static Key)>) {
        for key in keys {
            let path = format!("{path}{}", key.name);
            all.push((path.clone(), key));
            if let Some(keys) = key.shape.keys() {
                let sensor = matches!(key.shape, Shape::Sensors { .. });
                walk(
                    keys,
                    &format!("{path}.{}", if sensor { "SENSOR." } else { "" }),
                    all,
                );
            }
        }
    }
    let mut all = Vec::new();
    walk(TOP, "", &mut all);
    all
}
