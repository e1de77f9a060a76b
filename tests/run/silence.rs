//! Sensors that stop reporting, one by one and all at once.

use serde_json::Value;
use std::time::Duration;

use super::daemon::{Finished, Site, feed};
use super::plant::{plant, with_value};
use super::{SOCKET, STDIN};

fn run(lines: &[String]) -> Finished {
    let site = Site::new(STDIN);
    let mut daemon = site.run();
    daemon.feed(lines);
    daemon.close_stdin();
    let finished = daemon.finish();
    finished.ok();
    finished
}

fn silent(alarms: &[String]) -> Vec<Value> {
    let alarms = alarms.iter().map(|line| super::plant::parsed(line));
    alarms.filter(|event| event["kind"] == "silent").collect()
}

#[test]
fn a_sensor_that_falls_silent_is_one_alarm_until_it_is_back_as_in_a_replay() {
    let mut lines = plant().lines.clone();
    for line in &mut lines[100..600] {
        *line = with_value(line, "LIT301", Value::Null);
    }
    let finished = run(&lines);
    assert_eq!(finished.alarms, plant().replayed(&lines));
    let silent = silent(&finished.alarms);
    let transitions: Vec<&str> = silent
        .iter()
        .map(|e| e["transition"].as_str().unwrap())
        .collect();
    assert_eq!(transitions, ["raised", "cleared"], "{silent:?}");
    // Last seen at 00:01:39, silent after five minutes, and sure to be back after ten.
    assert_eq!(silent[0]["time"], "2026-01-01T00:06:40Z");
    assert_eq!(silent[1]["time"], "2026-01-01T00:20:00Z");
    assert_eq!(silent[0]["sensors"][0]["sensor"], "LIT301");
    let text = "raised: no values from 1 sensor, 00:06:40 UTC\n  LIT301  silent, last value ";
    assert!(finished.log.contains(text), "{}", finished.log);
}

#[test]
fn a_gap_in_everything_is_one_alarm_as_in_a_replay() {
    let mut lines = plant().lines.clone();
    lines.drain(200..600);
    let finished = run(&lines);
    assert_eq!(finished.alarms, plant().replayed(&lines));
    let silent = silent(&finished.alarms);
    assert_eq!(silent.len(), 2, "{silent:?}");
    assert_eq!(silent[0]["time"], "2026-01-01T00:08:20Z");
    assert_eq!(silent[0]["sensors"].as_array().unwrap().len(), 51);
    assert!(
        finished.log.contains("raised: no values from 51 sensors"),
        "{}",
        finished.log
    );
    assert!(finished.log.contains("  and 48 more"), "{}", finished.log);
}

#[test]
fn a_source_that_stops_is_one_alarm_and_cleared_when_it_is_back() {
    let site = Site::new(&format!(
        "{SOCKET}[frame]\nhold = 0\nstale_after = \"1s\"\n[alarm]\nclear_after = \"5s\"\n"
    ));
    let daemon = site.run();
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..20]);
    let raised = daemon.until_alarm("silent", "raised", 1);
    assert_eq!(raised["sensors"].as_array().unwrap().len(), 51);
    // However long it lasts.
    std::thread::sleep(Duration::from_secs(3));
    feed(&mut client, &plant().lines[60..80]);
    let cleared = daemon.until_alarm("silent", "cleared", 1);
    assert_eq!(cleared["id"], raised["id"]);
    let finished = daemon.terminate();
    assert!(finished.ok().alarms.len() <= 3, "{:?}", finished.alarms);
}

#[test]
fn a_plant_that_never_reports_is_an_alarm_too() {
    let site = Site::new(&format!(
        "{SOCKET}[frame]\nhold = 0\nstale_after = \"1s\"\n"
    ));
    let daemon = site.run();
    let raised = daemon.until_alarm("silent", "raised", 1);
    assert_eq!(raised["sensors"][0]["seen"], Value::Null);
    daemon.until_log("silent, never reported");
    daemon.terminate().ok();
}
