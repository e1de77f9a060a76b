//! Samples from Modbus TCP devices: a real server, pymodbus, and made-up devices for what no honest
//! one says.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "sources/harness.rs"]
mod harness;
#[path = "modbus/made_up.rs"]
mod made_up;
#[path = "run/peer.rs"]
mod peer;
#[path = "modbus/server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anomalyd::clock::SystemClock;
use anomalyd::ingest::modbus::{
    ModbusConfig, ModbusSensor, ModbusSource, RegisterTable, RegisterType, WordOrder,
};
use anomalyd::ingest::{IngestError, SourceState};
use harness::{Running, start};
use made_up::{Answer, device, frame, truth};
use tokio::net::TcpListener;

const POLL: Duration = Duration::from_millis(20);

fn config(port: u16, sensors: Vec<ModbusSensor>) -> ModbusConfig {
    ModbusConfig {
        host: "127.0.0.1".to_owned(),
        port,
        unit: 1,
        poll: POLL,
        timeout: Duration::from_millis(500),
        max_registers: 125,
        max_gap: 0,
        sensors,
    }
}

fn run(config: ModbusConfig) -> Running {
    let names: Vec<String> = config.sensors.iter().map(|s| s.sensor.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    start(
        ModbusSource::new(config).unwrap(),
        &names,
        SystemClock,
        100_000,
    )
}

fn holding(address: u16, kind: RegisterType) -> ModbusSensor {
    ModbusSensor {
        kind,
        ..ModbusSensor::new(format!("h{address}"), RegisterTable::Holding, address)
    }
}

fn ordered(address: u16, low_first: bool, bytes_swapped: bool) -> ModbusSensor {
    ModbusSensor {
        order: WordOrder {
            low_first,
            bytes_swapped,
        },
        ..holding(address, RegisterType::F32)
    }
}

async fn until_waiting_for(running: &Running, part: &str) {
    let waits = |running: &Running| matches!(running.status.state(), SourceState::Waiting { reason } if reason.contains(part));
    running.until(part, |_| waits(running)).await;
}

/// Of each sensor the value in the next whole row.
async fn row(running: &mut Running, sensors: usize) -> Vec<f64> {
    let samples = running.samples(sensors).await;
    let row = &samples[..sensors];
    let ends: Vec<bool> = row.iter().map(|sample| sample.end_of_row).collect();
    assert!(ends[sensors - 1] && !ends[..sensors - 1].contains(&true));
    assert!(row.iter().all(|s| s.sample.time == row[0].sample.time));
    let mut values = vec![f64::NAN; sensors];
    for sample in row {
        let (sensor, value) = harness::plain(sample.sample);
        values[sensor] = value;
    }
    values
}

#[tokio::test]
async fn a_round_of_a_real_server_is_a_row_with_every_type_and_order() {
    let Some(server) = server::start() else {
        return;
    };
    let mut scaled = ModbusSensor {
        scale: 0.5,
        offset: -40.0,
        ..ModbusSensor::new("scaled", RegisterTable::Holding, 0)
    };
    let missing = ModbusSensor {
        kind: RegisterType::I16,
        missing: Some(32_768.0),
        ..ModbusSensor::new("missing", RegisterTable::Holding, 29)
    };
    let expected = [
        (holding(0, RegisterType::U16), 1234.0),
        (holding(1, RegisterType::I16), -1234.0),
        (holding(2, RegisterType::I32), -123_456_789.0),
        (holding(4, RegisterType::U32), 3_123_456_789.0),
        (holding(6, RegisterType::F32), 3.25),
        (holding(8, RegisterType::I64), -1_234_567_890_123_456.0),
        (holding(12, RegisterType::U64), 1_234_567_890_123_456.0),
        (holding(16, RegisterType::F64), -2.0625),
        (ordered(20, true, false), 3.25),
        (ordered(22, false, true), 3.25),
        (ordered(24, true, true), 3.25),
        (holding(26, RegisterType::Bit(4)), 1.0),
        (holding(27, RegisterType::F32), -1.0),
        (missing, -1.0),
        (scaled.clone(), 577.0),
        (holding(399, RegisterType::U16), 299.0),
        (ModbusSensor::new("input", RegisterTable::Input, 5), 77.0),
        (ModbusSensor::new("coil 9", RegisterTable::Coil, 9), 1.0),
        (ModbusSensor::new("coil 10", RegisterTable::Coil, 10), 0.0),
        (
            ModbusSensor::new("discrete", RegisterTable::Discrete, 25),
            1.0,
        ),
    ];
    let (sensors, values): (Vec<_>, Vec<f64>) = expected.into_iter().unzip();
    let count = sensors.len();
    let mut running = run(config(server.port, sensors));
    assert_eq!(row(&mut running, count).await, values);
    running.connected().await;
    let counters = running.status.counters();
    assert_eq!((counters.bad, counters.unknown), (0, 0));
    assert_eq!(counters.missing * 10, counters.received);
    running.stop().await;

    // 300 registers in three requests, as one row.
    let sensors: Vec<_> = (100..400).map(|i| holding(i, RegisterType::U16)).collect();
    let mut running = run(config(server.port, sensors));
    let values = row(&mut running, 300).await;
    assert!(values.iter().zip(0..).all(|(&v, i)| v == f64::from(i)));
    running.stop().await;

    // Behind the wrong end of a gap there is nothing.
    (scaled.table, scaled.address) = (RegisterTable::Holding, 65_535);
    scaled.kind = RegisterType::U32;
    let refused = ModbusSource::new(config(server.port, vec![scaled]));
    assert!(matches!(refused, Err(IngestError::Register { .. })));
}

#[tokio::test]
async fn registers_that_the_device_refuses_cost_only_their_sensors() {
    let Some(server) = server::start() else {
        return;
    };
    let sensors = vec![
        holding(0, RegisterType::U16),
        holding(500, RegisterType::U16),
        holding(700, RegisterType::F32),
    ];
    let mut running = run(config(server.port, sensors));
    assert_eq!(row(&mut running, 3).await, [1234.0, -1.0, -1.0]);
    running.connected().await;
    running
        .until("the problem", |status| {
            status.problem().is_some_and(|problem| {
                problem.contains("unit 1 cannot read holding registers 500 to 500 (exception 4)")
                    && problem.contains("(sensors h500)")
            })
        })
        .await;
    running.stop().await;

    // One that is busy says nothing, and goes on being asked.
    let sensors = vec![
        holding(0, RegisterType::U16),
        holding(600, RegisterType::U16),
    ];
    let mut running = run(config(server.port, sensors));
    assert_eq!(running.values(3).await[..3], [(0, 1234.0); 3]);
    assert!(running.status.problem().unwrap().ends_with("is busy"));
    running.stop().await;

    // Nothing at all can be read: told as if it were away, but asked in each round.
    let mut running = run(config(server.port, vec![holding(700, RegisterType::U16)]));
    until_waiting_for(&running, "does not have holding registers 700 to 700").await;
    assert_eq!(running.values(2).await[..2], [(0, -1.0); 2]);
    running.stop().await;
}

#[tokio::test]
async fn dead_devices_do_not_hold_up_a_live_one() {
    let Some(server) = server::start() else {
        return;
    };
    // Takes connections and says nothing; a backlog that nobody accepts does.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let drip = device(|_, question| Answer::Drip(truth(question))).await;
    let sensor = || vec![holding(0, RegisterType::U16)];
    let gateway = |unit| ModbusConfig {
        unit,
        ..config(server.port, sensor())
    };
    let mut live = run(config(server.port, sensor()));
    let dead = [
        (
            run(config(peer::free_port(), sensor())),
            "nothing listens at",
        ),
        (
            run(config(mute.local_addr().unwrap().port(), sensor())),
            "did not answer within 500ms",
        ),
        (run(config(drip, sensor())), "did not answer within 500ms"),
        // A dead device behind the gateway of the live one.
        (run(gateway(9)), "unit 9 did not answer within 500ms"),
    ];
    live.connected().await;
    live.values(1).await;
    let started = std::time::Instant::now();
    for (running, reason) in &dead {
        until_waiting_for(running, reason).await;
        assert!(running.queue.is_empty());
    }
    let looked = started.elapsed();
    live.values(1).await;
    let started = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let rounds = live.values(1).await.len();
    let span = started.elapsed();
    println!("{rounds} rounds in {span:?} beside 4 dead devices, after {looked:?}");
    // 150 are due on an idle machine. A source that waits for one dead device, of 500 ms each time,
    // would come to six.
    assert!(rounds >= 25, "{rounds} rounds in {span:?}");
    assert_eq!(live.status.state(), SourceState::Connected);
    // A stop is obeyed in the middle of a wait, too.
    for (running, _) in dead {
        assert!(running.stop().await.is_empty());
    }
    live.stop().await;
}

#[tokio::test]
async fn a_device_that_is_switched_off_is_found_again() {
    let Some(mut server) = server::start() else {
        return;
    };
    let mut running = run(config(server.port, vec![holding(0, RegisterType::U16)]));
    for _ in 0..2 {
        running.connected().await;
        assert_eq!(running.values(1).await[0], (0, 1234.0));
        server.kill();
        until_waiting_for(&running, "127.0.0.1").await;
        server.restart();
    }
    running.connected().await;
    running.stop().await;
}

/// A lie: what is sent instead of the truth, and what is said about it.
type Lie = (&'static str, fn(&[u8; 12]) -> Answer, &'static str);

const LIES: [Lie; 18] = [
    (
        "another transaction",
        |q| altered(q, 1, q[1] ^ 1),
        "another transaction or unit",
    ),
    (
        "another unit",
        |q| altered(q, 6, 2),
        "another transaction or unit",
    ),
    ("another protocol", |q| altered(q, 3, 1), "not Modbus TCP"),
    (
        "another function",
        |q| pdu(q, &[4, 4, 0, 1, 0, 2]),
        "another question",
    ),
    (
        "an exception to it",
        |q| pdu(q, &[0x84, 2]),
        "another question",
    ),
    (
        "a written coil",
        |q| pdu(q, &[5, 0, 0, 0xff, 0]),
        "another question",
    ),
    (
        "too few registers",
        |q| pdu(q, &[3, 2, 0, 1]),
        "sent 1 registers",
    ),
    (
        "too many registers",
        |q| pdu(q, &[3, 6, 0, 1, 0, 2, 0, 3]),
        "sent 3 registers",
    ),
    ("no registers", |q| pdu(q, &[3, 0]), "sent 0 registers"),
    (
        "half a register",
        |q| pdu(q, &[3, 3, 0, 1, 0]),
        "not Modbus TCP",
    ),
    ("a frame without content", |q| pdu(q, &[]), "not Modbus TCP"),
    (
        "a count that is not there",
        |q| pdu(q, &[3, 4, 0]),
        "not Modbus TCP",
    ),
    (
        "a frame beyond the limit",
        |q| pdu(q, &[3; 300]),
        "not Modbus TCP",
    ),
    (
        "a length of nothing",
        |q| altered(q, 5, 0),
        "not Modbus TCP",
    ),
    (
        "a length without end",
        |q| {
            let mut bytes = truth(q);
            (bytes[4], bytes[5]) = (0xff, 0xff);
            Answer::Flood(bytes)
        },
        "not Modbus TCP",
    ),
    (
        "half a frame",
        |q| Answer::Bytes(truth(q)[..10].to_vec()),
        "did not answer",
    ),
    ("silence", |_| Answer::Nothing, "did not answer"),
    ("a closed door", |_| Answer::Close, "closed the connection"),
];

fn pdu(question: &[u8; 12], pdu: &[u8]) -> Answer {
    Answer::Bytes(frame(question, pdu))
}

fn altered(question: &[u8; 12], at: usize, byte: u8) -> Answer {
    let mut bytes = truth(question);
    bytes[at] = byte;
    Answer::Bytes(bytes)
}

#[tokio::test]
async fn a_device_that_lies_gives_no_value_and_is_believed_again_when_it_stops() {
    let mut liars = Vec::new();
    for lie in LIES {
        // All at once, for each of them waits before it asks again.
        liars.push(tokio::spawn(catch(lie)));
    }
    for liar in liars {
        liar.await.unwrap();
    }
}

async fn catch((what, lie, reason): Lie) {
    let honest = Arc::new(AtomicBool::new(false));
    let turned = Arc::clone(&honest);
    let port = device(move |number, question| match number {
        0 => Answer::Bytes(truth(question)),
        _ if turned.load(Ordering::Relaxed) => Answer::Bytes(truth(question)),
        _ => lie(question),
    });
    let sensors = vec![
        holding(40, RegisterType::U16),
        holding(41, RegisterType::U16),
    ];
    let mut running = run(config(port.await, sensors));
    until_waiting_for(&running, reason).await;
    assert_eq!(running.values(2).await, [(0, 40.0), (1, 41.0)], "{what}");
    // Not from the next lie either.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(running.queue.is_empty(), "{what}");
    let is_lie = !reason.contains("did not answer") && !reason.contains("closed");
    assert_eq!(running.status.counters().bad > 0, is_lie, "{what}");
    honest.store(true, Ordering::Relaxed);
    running.connected().await;
    assert_eq!(
        running.values(2).await[..2],
        [(0, 40.0), (1, 41.0)],
        "{what}"
    );
    running.stop().await;
}

#[tokio::test]
async fn what_comes_unasked_is_no_answer() {
    // A second answer behind the first, as a device sends that repeats itself.
    let port = device(|_, question| {
        let stale = frame(question, &[3, 2, 0xde, 0xad]);
        Answer::Bytes([truth(question), stale].concat())
    });
    let mut running = run(config(port.await, vec![holding(40, RegisterType::U16)]));
    let values = running.values(10).await;
    assert!(values.iter().all(|value| *value == (0, 40.0)), "{values:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_device_that_closes_after_each_answer_is_asked_again_without_a_word() {
    let mut closing = false;
    let port = device(move |_, question| {
        // Every second question finds the connection closed.
        closing = !closing;
        if closing {
            Answer::Bytes(truth(question))
        } else {
            Answer::Close
        }
    });
    let mut running = run(config(port.await, vec![holding(40, RegisterType::U16)]));
    let started = std::time::Instant::now();
    // With the wait of a lost connection these would take 20 s.
    running.values(20).await;
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(running.status.state(), SourceState::Connected);
    running.stop().await;
}

#[tokio::test]
async fn sensors_that_the_model_does_not_have_are_not_asked_for() {
    let asked = |question: &[u8; 12]| [question[9], question[11]];
    let port = device(move |_, question| {
        assert_eq!(asked(question), [41, 1]);
        Answer::Bytes(truth(question))
    });
    let sensors = vec![
        holding(40, RegisterType::U16),
        holding(41, RegisterType::U16),
    ];
    let port = port.await;
    let source = ModbusSource::new(config(port, sensors.clone())).unwrap();
    let mut running = start(source, &["h41"], SystemClock, 100);
    assert_eq!(running.values(1).await[0], (0, 41.0));
    assert_eq!(running.status.counters().unknown, 1);
    running.stop().await;

    let source = ModbusSource::new(config(port, sensors)).unwrap();
    let running = start(source, &["other"], SystemClock, 100);
    until_waiting_for(&running, "belongs to a sensor of the model").await;
    running.stop().await;
}
