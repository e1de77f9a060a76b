//! SIGHUP: what changes, what is refused, and what survives.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::daemon::{Daemon, Site, feed, until};
use super::plant::{FAULT_ROW, copy, plant, with_value};
use super::{SOCKET, STDIN};

fn reload(daemon: &Daemon, count: usize) {
    daemon.reload();
    daemon.until_logged("daemon: reloaded: watching", count);
}

#[test]
fn what_was_learnt_and_an_open_alarm_survive_and_no_row_is_lost() {
    let site = Site::new(STDIN);
    let mut daemon = site.run();
    let lines = &plant().lines;
    let within_fault = FAULT_ROW + 100;
    // In the middle of a line, too.
    let (head, tail) = lines[within_fault].split_at(100);
    daemon.feed(&lines[..within_fault]);
    std::io::Write::write_all(daemon.stdin.as_mut().unwrap(), head.as_bytes()).unwrap();
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    // Another source, another level, another number of sensors in the log.
    site.write(&format!(
        "log_level = \"debug\"\n{STDIN}[source.csv]\npath = \"more.csv\"\n[alarm]\ntop_sensors = 1\n"
    ));
    reload(&daemon, 1);
    daemon.until_log("engine native, 2 sources");
    daemon.until_log("more.csv is not there yet");
    reload(&daemon, 2);
    daemon.feed(&[tail.to_owned()]);
    daemon.feed(&lines[within_fault + 1..]);
    let cleared = daemon.until_alarm("anomaly", "cleared", 1);
    assert_eq!(cleared["id"], raised["id"]);
    // And the source is gone again.
    site.write(STDIN);
    reload(&daemon, 3);
    daemon.until_logged("engine native, 1 source", 2);
    daemon.close_stdin();
    let finished = daemon.finish();
    assert_eq!(finished.ok().alarms, plant().replayed(lines));
    assert!(
        finished.log.contains("3591 frames scored"),
        "{}",
        finished.log
    );
}

#[test]
fn a_bad_configuration_is_refused_with_its_line_and_the_old_one_stays() {
    let site = Site::new(SOCKET);
    let daemon = site.run();
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..100]);

    site.write(&format!("{SOCKET}[alarm]\nclear_aftr = \"1m\"\n"));
    daemon.reload();
    daemon
        .until_log("anomalyd.toml:7: alarm.clear_aftr: unknown key; did you mean \"clear_after\"?");
    daemon.until_log("reload refused, the configuration in force stays: ");

    // A model that is damaged, under a configuration that is none the worse.
    site.write(&format!("log_level = \"error\"\n{SOCKET}"));
    let mut bytes = fs::read(site.path("model.pt")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(site.path("model.pt"), &bytes).unwrap();
    daemon.reload();
    daemon.until_logged("reload refused", 2);
    daemon.until_log("model.pt: ");

    // All goes on as before, on the same connection; the log's level too.
    feed(&mut client, &plant().lines[100..FAULT_ROW + 60]);
    daemon.until_alarm("anomaly", "raised", 1);
    let finished = daemon.terminate();
    assert!(
        finished
            .ok()
            .log
            .contains("info  daemon: stopping: SIGTERM"),
        "{}",
        finished.log
    );
}

#[test]
fn another_budget_counts_from_the_next_row_on() {
    let strict = format!("max_false_alarms_per_week = 0.01\n{SOCKET}");
    let site = Site::new(&strict);
    let daemon = site.run();
    let mut client = site.connect();
    // So strict that a small fault stays below the threshold; the large one comes later.
    feed(&mut client, &plant().lines[..FAULT_ROW - 200]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(daemon.alarms().is_empty());
    site.write(&format!("max_false_alarms_per_week = 10080\n{SOCKET}"));
    reload(&daemon, 1);
    feed(&mut client, &plant().lines[FAULT_ROW - 200..FAULT_ROW]);
    // With 10080 a week allowed, one every minute, the usual ups and downs are alarms.
    daemon.until_alarm("anomaly", "raised", 1);
    daemon.terminate().ok();
}

#[test]
fn another_model_takes_over_with_the_open_alarm() {
    let site = Site::new(SOCKET);
    let daemon = site.run();
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..FAULT_ROW + 100]);
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    assert_eq!(raised["model"], "normal 1");
    copy(&plant().other_model(), &site.path("model.pt"));
    reload(&daemon, 1);
    feed(&mut client, &plant().lines[FAULT_ROW + 100..]);
    let cleared = daemon.until_alarm("anomaly", "cleared", 1);
    assert_eq!(cleared["id"], raised["id"]);
    daemon.terminate().ok();
}

#[test]
fn a_longer_hold_keeps_a_sensor_from_being_silent() {
    let site = Site::new("[frame]\nstale_after = \"10s\"\n[source.ndjson]\n");
    let mut daemon = site.run();
    let without = |row: usize| with_value(&plant().lines[row], "LIT301", serde_json::Value::Null);
    daemon.feed(&plant().lines[..30]);
    daemon.until_log("watching");
    site.write("[frame]\nstale_after = \"10s\"\nsensor.LIT301 = { hold = 60 }\n[source.ndjson]\n");
    reload(&daemon, 1);
    daemon.feed(&(30..85).map(without).collect::<Vec<_>>());
    // And the usual one again: it has been gone for 55 s by now.
    std::thread::sleep(Duration::from_millis(300));
    assert!(daemon.events("silent", "raised").is_empty());
    site.write("[frame]\nstale_after = \"10s\"\n[source.ndjson]\n");
    reload(&daemon, 2);
    daemon.feed(&(85..90).map(without).collect::<Vec<_>>());
    let raised = daemon.until_alarm("silent", "raised", 1);
    assert_eq!(raised["sensors"][0]["sensor"], "LIT301");
    daemon.close_stdin();
    daemon.finish().ok();
}

#[test]
fn an_added_source_that_fails_does_not_cost_the_others() {
    let site = Site::new(STDIN);
    let mut daemon = site.run();
    daemon.until_log("watching");
    fs::write(site.path("taken.sock"), "a file").unwrap();
    site.write("[[source.ndjson]]\n[[source.ndjson]]\nname = \"b\"\nlisten = \"@/taken.sock\"\n");
    reload(&daemon, 1);
    daemon.until_log("there is a file that is not a socket");
    daemon.until_log("going on without it");
    // Once it is gone, the next reload takes the source in.
    fs::remove_file(site.path("taken.sock")).unwrap();
    reload(&daemon, 2);
    daemon.until_log("listening on ");
    daemon.feed(&plant().lines[..FAULT_ROW + 60]);
    daemon.until_alarm("anomaly", "raised", 1);
    daemon.terminate().ok();
}

#[test]
fn systemd_is_told_of_every_state() {
    let site = Site::new(SOCKET);
    let path = site.path("notify.sock");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd
        .set_read_timeout(Some(super::daemon::PATIENCE))
        .unwrap();
    let next = || {
        loop {
            let mut message = [0; 4096];
            let length = systemd.recv(&mut message).unwrap();
            let message = String::from_utf8(message[..length].to_vec()).unwrap();
            // The status line is renewed now and then.
            if !message.starts_with("STATUS=") {
                return message;
            }
        }
    };
    let daemon = site.run_with(std::process::Stdio::null(), &[("NOTIFY_SOCKET", &path)]);
    let ready = next();
    assert!(
        ready.starts_with("READY=1\nSTATUS=watching 51 sensors every 1s"),
        "{ready}"
    );
    // Ready means ready.
    assert!(site.path("ingest.sock").exists());

    daemon.reload();
    let reloading = next();
    let (state, rest) = reloading.split_once("\nMONOTONIC_USEC=").unwrap();
    assert_eq!(state, "RELOADING=1");
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    let micros: i64 = rest.trim().parse().unwrap();
    let age = now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000 - micros;
    assert!((0..60_000_000).contains(&age), "{age}");
    assert!(next().starts_with("READY=1\n"));

    // Refused, but ready all the same.
    site.write("nonsense = 1\n");
    daemon.reload();
    assert!(next().starts_with("RELOADING=1\n"));
    assert!(next().starts_with("READY=1\n"));
    until("a refusal", || daemon.log().contains("reload refused"));

    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(next().trim(), "STOPPING=1");
    daemon.finish().ok();
}
