//! The live service as its users meet it: the real program, real pipes, sockets, files, signals.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "run/daemon.rs"]
mod daemon;
#[path = "run/ends.rs"]
mod ends;
#[path = "sources/harness.rs"]
mod harness;
#[path = "run/modbus.rs"]
mod modbus;
#[path = "modbus/server.rs"]
mod modbus_server;
#[path = "run/mqtt.rs"]
mod mqtt;
#[path = "run/peer.rs"]
mod peer;
#[path = "run/plant.rs"]
mod plant;
#[path = "run/reload.rs"]
mod reload;
#[path = "run/service.rs"]
mod service;
#[path = "run/silence.rs"]
mod silence;
#[path = "run/torch.rs"]
mod torch;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use daemon::{Site, feed};
use nix::sys::signal::Signal;
use plant::{FAULT_ROW, csv, parsed, plant};

pub const STDIN: &str = "[source.ndjson]\n";
pub const SOCKET: &str = "[source.ndjson]\nlisten = \"@/ingest.sock\"\n";

#[test]
fn json_lines_on_stdin_give_the_alarms_of_a_replay_and_their_end_is_the_end() {
    let expected = plant().replayed(&plant().lines);
    assert!(expected.len() >= 4, "{expected:?}");
    let site = Site::new(STDIN);
    let mut daemon = site.run();
    daemon.feed(&plant().lines);
    daemon.close_stdin();
    let finished = daemon.finish();
    finished.ok();
    assert_eq!(finished.alarms, expected);

    // People read the same in the log.
    let first = parsed(&expected[0]);
    let (id, sensor) = (
        first["id"].as_str().unwrap(),
        &first["sensors"][0]["sensor"],
    );
    let log = finished.log;
    let raised = format!("warn  alarm: alarm {id} raised: score ");
    let at = log.find(&raised).unwrap_or_else(|| panic!("{log}"));
    let named = log[at..].lines().nth(1).unwrap();
    assert!(
        named.starts_with(&format!("  {} ", sensor.as_str().unwrap())),
        "{log}"
    );
    assert!(
        named.contains(" seen ") && named.contains(", expected "),
        "{log}"
    );
    let cleared = format!("alarm {id} cleared after ");
    assert!(log.contains(&cleared), "{log}");

    // Beside alarms a few lines, however many rows.
    assert!(log.contains("watching 51 sensors every 1s: model normal 1, engine native, 1 source"));
    assert!(log.contains("stopping: all sources have ended"));
    assert!(log.contains("3591 frames scored in "), "{log}");
    let others = log
        .lines()
        .filter(|line| !line.contains("alarm: ") && !line.starts_with(' '));
    assert!(others.count() <= 8, "{log}");
}

#[test]
fn a_file_as_stdin_gives_the_same() {
    let site = Site::new(STDIN);
    let path = site.path("recording.ndjson");
    let mut file = File::create(&path).unwrap();
    feed(&mut file, &plant().lines);
    let finished = site.run_with(File::open(&path).unwrap(), &[]).finish();
    assert_eq!(finished.ok().alarms, plant().replayed(&plant().lines));
}

#[test]
fn a_unix_socket_gives_the_same_and_sigterm_ends_it_with_all_that_was_read() {
    let site = Site::new(SOCKET);
    let daemon = site.run();
    // One client after the other.
    let (first, rest) = plant().lines.split_at(1_000);
    for part in [first, rest] {
        feed(&mut site.connect(), part);
        // Each client is a task of its own: without this the second could overtake.
        if part.len() == first.len() {
            daemon.until_alarm("anomaly", "raised", 1);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let expected = plant().replayed(&plant().lines);
    let last_raised = expected
        .iter()
        .filter(|line| line.contains("\"raised\""))
        .count();
    daemon.until_alarm("anomaly", "raised", last_raised);
    let cleared = expected
        .iter()
        .filter(|line| line.contains("\"cleared\""))
        .count();
    daemon.until_alarm("anomaly", "cleared", cleared);
    let finished = daemon.terminate();
    assert_eq!(finished.ok().alarms, expected);
    assert!(
        finished.took < Duration::from_secs(2),
        "{:?}",
        finished.took
    );
    assert!(finished.log.contains("stopping: SIGTERM"));
    assert!(!site.path("ingest.sock").exists());
}

#[test]
fn a_csv_file_that_grows_gives_the_same() {
    let site = Site::new("[source.csv]\npath = \"today.csv\"\nfrom = \"start\"\n");
    let daemon = site.run();
    daemon.until_log("today.csv is not there yet");
    let text = csv(&plant().lines, &plant().sensors());
    let path = site.path("today.csv");
    // Cut anywhere, as a writer's buffer cuts.
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    for piece in text.as_bytes().chunks(text.len() / 3 + 7) {
        file.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    let expected = plant().replayed(&plant().lines);
    let cleared = expected
        .iter()
        .filter(|line| line.contains("\"cleared\""))
        .count();
    daemon.until_alarm("anomaly", "cleared", cleared);
    // The file is looked at four times a second.
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(daemon.terminate().ok().alarms, expected);
}

#[test]
fn two_sources_at_once_fill_one_frame() {
    let site = Site::new(
        "[[source.ndjson]]\n[[source.ndjson]]\nname = \"b\"\nlisten = \"@/ingest.sock\"\n",
    );
    let mut daemon = site.run();
    let mut socket = site.connect();
    let sensors = plant().sensors();
    let (one, other) = sensors.split_at(20);
    let half = |line: &String, names: &[String]| {
        let mut row = parsed(line);
        let keep = |name: &String| name == "time" || names.contains(name);
        row.as_object_mut().unwrap().retain(|name, _| keep(name));
        row.to_string()
    };
    for line in &plant().lines[FAULT_ROW - 60..FAULT_ROW + 40] {
        daemon.feed(&[half(line, one)]);
        feed(&mut socket, &[half(line, other)]);
        // In step, or one of them would be late for its frames: on a busy machine a source may wait
        // for its turn for some milliseconds, and two rows are all that it may fall behind.
        std::thread::sleep(Duration::from_millis(25));
    }
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    assert_eq!(
        raised["time"].as_str().unwrap()[..16],
        *"2026-01-01T00:12",
        "{raised}"
    );
    // The end of one source is not the end.
    daemon.close_stdin();
    daemon.until_log("stdin: ended");
    daemon.terminate().ok();
}

#[test]
fn a_broken_pipe_for_alarms_leaves_the_log() {
    let site = Site::new(STDIN);
    let mut command = plant::anomalyd();
    command.args(["run", "--config"]).arg(site.config());
    let recording = site.path("recording.ndjson");
    feed(&mut File::create(&recording).unwrap(), &plant().lines);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command
        .stdin(File::open(&recording).unwrap())
        .stdout(writer);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let raised = log.matches(" raised: score ").count();
    let replayed = plant().replayed(&plant().lines);
    assert_eq!(
        raised,
        replayed
            .iter()
            .filter(|line| line.contains("\"raised\""))
            .count()
    );
    assert_eq!(
        log.matches("cannot be told: Broken pipe").count(),
        1,
        "{log}"
    );
}

#[test]
fn outputs_can_be_switched_off_and_alarms_pass_every_log_level() {
    let site = Site::new(&format!(
        "log_level = \"error\"\n{STDIN}[output]\nstdout.enabled = false\n"
    ));
    let mut daemon = site.run();
    daemon.feed(&plant().lines);
    daemon.close_stdin();
    let finished = daemon.finish();
    assert!(finished.ok().alarms.is_empty());
    assert!(
        finished.log.starts_with("error alarm: alarm "),
        "{}",
        finished.log
    );
}

#[test]
fn what_was_not_as_it_should_be_is_counted_at_the_end() {
    let site = Site::new(STDIN);
    let mut daemon = site.run();
    let mut lines = plant().lines[..50].to_vec();
    lines.insert(20, "{broken".to_owned());
    lines[30] = plant::with_value(&lines[30], "LIT101", "offline".into());
    // Too late for its frame.
    lines.push(plant().lines[45].clone());
    lines[2] = plant::with_value(&plant().lines[2], "XIT999", 1.into());
    // Of the year 2099: believed by nobody, and nobody falls silent.
    lines.push(plant::with_value(
        &plant().lines[3],
        "time",
        "2099-01-01T00:00:00Z".into(),
    ));
    daemon.feed(&lines);
    daemon.until_log("stdin:21: not readable as JSON");
    // Some ticks of the clock.
    std::thread::sleep(Duration::from_millis(2_500));
    daemon.close_stdin();
    let finished = daemon.finish();
    let log = &finished.ok().log;
    assert!(finished.alarms.is_empty(), "{:?}", finished.alarms);
    assert!(log.contains("is not a sensor of the model"), "{log}");
    assert!(log.contains("2 unreadable lines or values, 1 reading without a number, 1 reading of no sensor of the model"), "{log}");
    assert!(
        log.contains(
            "51 samples too late for their frames, 51 samples dated more than a year ahead"
        ),
        "{log}"
    );
}

#[test]
fn a_stopped_process_takes_the_time_it_stood_still_for_no_silence() {
    // Nobody may be silent for longer than four seconds.
    let site = Site::new("[frame]\nstale_after = \"1s\"\n[source.ndjson]\n");
    let mut daemon = site.run();
    daemon.feed(&plant().lines[..30]);
    daemon.until_log("watching");
    std::thread::sleep(Duration::from_millis(500));
    daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(6));
    daemon.feed(&plant().lines[30..60]);
    daemon.signal(Signal::SIGCONT);
    std::thread::sleep(Duration::from_millis(500));
    daemon.close_stdin();
    let finished = daemon.finish();
    assert!(finished.ok().alarms.is_empty(), "{:?}", finished.alarms);
    assert!(
        finished.log.contains("51 frames scored"),
        "{}",
        finished.log
    );
    assert!(!finished.log.contains("too late"), "{}", finished.log);
}
