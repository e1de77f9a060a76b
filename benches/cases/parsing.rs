//! From bytes to a row of samples in the queue: CSV, JSON lines, MQTT payloads; and from a JSON line
//! to its score.

use std::hint::black_box;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anomalyd::broker::BrokerConfig;
use anomalyd::clock::SystemClock;
use anomalyd::frame::Timestamp;
use anomalyd::ingest::csv::{BadValues, CsvOptions, CsvReader};
use anomalyd::ingest::mqtt::routes::Routes;
use anomalyd::ingest::mqtt::{MqttConfig, MqttSensor, TimeFrom};
use anomalyd::ingest::ndjson::rows::NdjsonRows;
use anomalyd::ingest::{Ingested, SampleQueue, SensorIndex, SourceContext, SourceStatus};
use anomalyd::simulate::SENSORS;
use anomalyd::simulate::record::{self, LineFormat};
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::judging::stream;
use super::{Case, PERIOD, RECORDING, Step, fail, model, rows, to_and_fro};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("csv-row", 500, csv_row),
        Case::new("ndjson-line", 200, ndjson_line),
        Case::new("mqtt-number", 1000, || {
            mqtt(None, "plant/LIT101", b"812.25")
        }),
        Case::new("mqtt-json", 1000, || {
            mqtt(Some("ENERGY.Power"), "tele/pump/SENSOR", TELEMETRY)
        }),
        Case::new("line-to-score", 100, line_to_score),
    ]
}

/// A Tasmota plug's
const TELEMETRY: &[u8] = br#"{"Time":"2026-11-25T14:03:07","ENERGY":{"TotalStartTime":"2026-01-02T10:11:12","Total":31.276,"Yesterday":0.422,"Today":0.281,"Period":2,"Power":41.5,"ApparentPower":62,"ReactivePower":46,"Factor":0.67,"Voltage":231,"Current":0.268}}"#;

/// A row of a recording to its time and 51 values.
fn csv_row() -> Step {
    let source = Endless {
        bytes: RECORDING.as_bytes(),
        again: RECORDING.find('\n').map_or(0, |end| end + 1),
        at: 0,
    };
    let options = CsvOptions {
        // Times go back where the lines begin anew.
        bad: BadValues::Missing,
        ..CsvOptions::default()
    };
    let mut reader = match CsvReader::from_source(source, Path::new("bench.csv"), options) {
        Ok(reader) => reader,
        Err(error) => fail(error),
    };
    let mut values = Vec::new();
    Box::new(move || match reader.next_row(&mut values) {
        Ok(Some(time)) => {
            black_box((time, &values));
        }
        other => fail(format_args!("no row but {other:?}")),
    })
}

/// A line of 51 readings to a row in the queue and out again.
fn ndjson_line() -> Step {
    let mut intake = Intake::new();
    let mut rows = NdjsonRows::new(&intake.ctx, TimeZone::UTC);
    let lines = lines();
    let mut places = to_and_fro();
    Box::new(move || {
        let line = &lines[places.next().unwrap_or_default()];
        rows.read_line(black_box(line), Timestamp::EPOCH, &"bench");
        rows.intake.push();
        black_box(intake.take());
    })
}

/// A message about one sensor, to its sample in the queue and out again.
fn mqtt(path: Option<&str>, topic: &'static str, payload: &'static [u8]) -> Step {
    let mut intake = Intake::new();
    let mut config = MqttConfig {
        broker: BrokerConfig {
            host: "localhost".to_owned(),
            port: 1883,
            client_id: "bench".to_owned(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(60),
        },
        sensors: Vec::with_capacity(SENSORS.len()),
        time: TimeFrom::Arrival,
        zone: TimeZone::UTC,
    };
    for sensor in SENSORS {
        let topic = format!("plant/{}", sensor.name);
        config.sensors.push(MqttSensor::new(sensor.name, topic));
    }
    if let Some(path) = path {
        let parsed = match path.parse() {
            Ok(path) => path,
            Err(error) => fail(error),
        };
        config.sensors[0].topic = topic.to_owned();
        config.sensors[0].path = Some(parsed);
    }
    let mut routes = Routes::new(&config, &intake.ctx);
    Box::new(move || {
        routes.read_message(topic, black_box(payload), false, Timestamp::EPOCH);
        let taken = black_box(intake.take());
        assert!(taken.len() == 1, "the message is about one sensor");
    })
}

/// The whole way of a row in the daemon, but for the system calls: parsed, queued, judged.
fn line_to_score() -> Step {
    let mut intake = Intake::new();
    let mut rows = NdjsonRows::new(&intake.ctx, TimeZone::UTC);
    let mut stream = stream(&model());
    let lines = lines();
    let mut places = to_and_fro();
    let mut time = Timestamp::EPOCH;
    Box::new(move || {
        let line = &lines[places.next().unwrap_or_default()];
        time = time.plus(PERIOD);
        rows.read_line(black_box(line), time, &"bench");
        rows.intake.push();
        for Ingested { sample, end_of_row } in intake.take() {
            stream.push(*sample, *end_of_row, &mut |happening| {
                black_box(happening);
            });
        }
    })
}

/// `{"MV101":2,…}`, without a time.
fn lines() -> Vec<Vec<u8>> {
    let line = |values: Vec<f64>| {
        let mut line = Vec::new();
        record::push_frame(&mut line, LineFormat::Json, Timestamp::EPOCH, &values);
        match line.iter().position(|&byte| byte == b',') {
            Some(comma) => [b"{", &line[comma + 1..]].concat(),
            None => line,
        }
    };
    rows().into_iter().map(line).collect()
}

/// What a source is given, and the queue's other end.
struct Intake {
    ctx: SourceContext,
    taken: Vec<Ingested>,
    /// A sender that is gone would say: stop.
    _stop: watch::Sender<bool>,
}

impl Intake {
    fn new() -> Self {
        let names: Vec<String> = SENSORS.iter().map(|s| s.name.to_owned()).collect();
        let queue = Arc::new(SampleQueue::new(100 * SENSORS.len()));
        let (stop, stopped) = watch::channel(false);
        Intake {
            taken: queue.buffer(),
            ctx: SourceContext {
                sensors: Arc::new(SensorIndex::new(&names)),
                queue,
                clock: Arc::new(SystemClock),
                status: Arc::new(SourceStatus::new("bench")),
                stop: stopped,
            },
            _stop: stop,
        }
    }

    fn take(&mut self) -> &[Ingested] {
        self.ctx.queue.pop_wait(&mut self.taken, Duration::ZERO);
        &self.taken
    }
}

/// Bytes that go on from `again` when they are at their end.
struct Endless {
    bytes: &'static [u8],
    again: usize,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            self.at = self.again;
        }
        let mut rest = &self.bytes[self.at..];
        let read = rest.read(buffer)?;
        self.at += read;
        Ok(read)
    }
}
