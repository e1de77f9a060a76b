//! Faults one after the other, and what must have been told of them by whom: shared by the tests of the outputs.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::time::Duration;

use anomalyd::alarm::AlarmRecord;
use anomalyd::state::{ALARMS, AlarmLog};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::daemon::{Site, feed, until};
use super::plant::{self, plant};

/// Rows of normal operation with a fault of three minutes, `number` of which follow each other in time.
pub fn cycle(number: usize) -> Vec<String> {
    const ROWS: usize = 400;
    let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let row = |(place, line): (usize, &String)| {
        let second = (number * ROWS + place) as i64;
        let time = start + jiff::SignedDuration::from_secs(second);
        let mut row = plant::parsed(line);
        row["time"] = time.to_string().into();
        row.to_string()
    };
    plant().lines[600..600 + ROWS]
        .iter()
        .enumerate()
        .map(row)
        .collect()
}

/// A site with a folder for the state, as the service has it.
pub fn site_with_state(config: &str) -> Site {
    let site = Site::new(config);
    std::fs::create_dir(site.path("state")).unwrap();
    site
}

/// Id and transition of events.
pub fn told(events: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    events
        .iter()
        .map(|one| (text(&one["id"]), text(&one["transition"])))
        .collect()
}

/// Without what came twice, by the id that a broker's messages have.
pub fn once(messages: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    let mut once = messages;
    once.retain(|one| seen.insert(one["message"].as_str().unwrap().to_owned()));
    once
}

/// The alarms that the service's own log knows.
pub fn known(site: &Site) -> Vec<AlarmRecord> {
    AlarmLog::read(&site.path("state").join(ALARMS)).unwrap()
}

/// Ids and transitions that the service's own log knows, each alarm as raised and as cleared, and that are not
/// in `told`.
pub fn untold(known: &[AlarmRecord], told: &[(String, String)]) -> Vec<(String, String)> {
    let due = known.iter().flat_map(|alarm| {
        let cleared = alarm.cleared_at.map(|_| "cleared");
        ["raised"]
            .into_iter()
            .chain(cleared)
            .map(|transition| (alarm.id.clone(), transition.to_owned()))
    });
    due.filter(|one| !told.contains(one)).collect()
}

/// Runs the service `kills` times, a fault each, and kills it at another moment each time: from before the first
/// alarm to behind the last one. `before` is told which time it is.
pub fn kill_again_and_again(
    site: &Site,
    kills: usize,
    moment: impl Fn(usize) -> Duration,
    before: impl Fn(usize),
) {
    for kill in 0..kills {
        before(kill);
        let daemon = site.run();
        let mut stream = site.connect();
        feed(&mut stream, &cycle(kill));
        std::thread::sleep(moment(kill));
        daemon.signal(Signal::SIGKILL);
        let _ = daemon.finish();
    }
}

/// Waits until the files of a queue whose limit is 64 KiB are near it and not beyond.
pub fn until_full_and_within_its_limit(queue: &Path) {
    let bytes = || -> u64 {
        let files = std::fs::read_dir(queue).unwrap();
        files
            // One may be gone by now.
            .filter_map(|file| Some(file.unwrap().metadata().ok()?.len()))
            .sum()
    };
    until("a queue within its limit", || bytes() <= 65_536 + 8_192);
    assert!(bytes() > 40_000);
}

/// What `anomalyd status` prints.
pub fn status(site: &Site) -> String {
    plant::output(
        plant::anomalyd()
            .args(["status", "--config"])
            .arg(site.config()),
    )
}
