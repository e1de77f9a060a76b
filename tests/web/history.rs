//! What was kept of scores and sensors, on the command line and for the page.

use std::process::Output;

use serde_json::Value;

use super::WEB;
use super::client::{address, get};
use super::daemon::{Site, feed, until};
use super::plant::{anomalyd, parsed, plant};

fn history(site: &Site, args: &[&str]) -> Output {
    let mut command = anomalyd();
    command
        .arg("history")
        .args(args)
        .arg("--config")
        .arg(site.config());
    command.output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn scores_and_extremes_are_kept_and_told() {
    let site = Site::new(WEB);
    std::fs::create_dir(site.path("state")).unwrap();
    let nothing = history(&site, &[]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no history"));

    let daemon = site.run();
    let at = address(&daemon);
    feed(&mut site.connect(), &plant().lines);
    daemon.until_alarm("anomaly", "cleared", 1);
    until("all rows", || {
        let state = get(at, "/api/state").json();
        state["service"]["status"]["frames"].as_u64() > Some(3_590)
    });
    // The service writes what it has when it is asked.
    let minutes = lines(&history(&site, &["--json"]));
    assert!((58..=60).contains(&minutes.len()), "{}", minutes.len());
    let minute: Value = parsed(&minutes[5]);
    assert_eq!(
        (&minute["seconds"], &minute["frames"]),
        (&60.into(), &60.into())
    );
    // The same as in the rows themselves.
    let start = minute["time"].as_str().unwrap();
    let row = plant()
        .lines
        .iter()
        .position(|line| parsed(line)["time"] == start)
        .unwrap();
    for sensor in ["FIT101", "LIT101", "AIT201"] {
        let seen = plant().lines[row..row + 60].iter();
        let seen: Vec<f64> = seen
            .filter_map(|line| parsed(line)[sensor].as_f64())
            .collect();
        let low = seen.iter().copied().fold(f64::INFINITY, f64::min);
        let high = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let kept = &minute["sensors"][sensor];
        // 16 bits of the range that the sensor went through in half an hour.
        let near = |one: f64, other: &Value| {
            (one - other.as_f64().unwrap()).abs() <= 1e-3 * high.abs().max(1.0)
        };
        assert!(
            near(low, &kept[0]) && near(high, &kept[1]),
            "{sensor}: {low} to {high}, kept {kept}"
        );
    }
    // The fault shows, and so does its alarm.
    let highest = |minutes: &[String]| {
        let scores = minutes
            .iter()
            .filter_map(|line| parsed(line)["score"].as_f64());
        scores.fold(0.0, f64::max)
    };
    assert!(highest(&minutes) > 1.0 && highest(&minutes[..9]) < 0.5);
    let alarm = daemon.until_alarm("anomaly", "raised", 1);
    let table = lines(&history(&site, &["--since", "1h", "--sensor", "AIT201"]));
    assert!(
        table[0].contains("lowest") && table.len() <= 50,
        "{table:?}"
    );
    assert!(
        table
            .iter()
            .any(|line| line.ends_with(alarm["id"].as_str().unwrap())),
        "{table:?}"
    );
    let unknown = history(&site, &["--sensor", "AIT999"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no sensor AIT999; it has "));

    let past = get(at, "/api/history?seconds=7200&sensor=AIT201").json();
    let points = past["t"].as_array().unwrap().len();
    assert!((55..=60).contains(&points), "{past}");
    assert_eq!(past["low"].as_array().unwrap().len(), points);
    assert!(get(at, "/api/history?seconds=7200").json()["low"].is_null());

    // A kill loses what was not written, never what was; a torn end is no hindrance.
    daemon.signal(nix::sys::signal::Signal::SIGKILL);
    daemon.finish();
    let before = lines(&history(&site, &["--json"])).len();
    let file = std::fs::read_dir(site.path("state/history"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend_from_slice(&[7; 100]);
    std::fs::write(&file, torn).unwrap();
    let daemon = site.run();
    feed(&mut site.connect(), &plant().lines[..200]);
    until("the rows", || {
        let state = get(address(&daemon), "/api/state").json();
        state["service"]["status"]["frames"].as_u64() > Some(190)
    });
    daemon.terminate().ok();
    assert_eq!(
        lines(&history(&site, &["--json"])).len(),
        before + 4,
        "three minutes and a part"
    );
}

#[test]
fn a_history_that_is_not_wanted_is_not_kept() {
    let site = Site::new(&format!("{WEB}[history]\nenabled = false\n"));
    std::fs::create_dir(site.path("state")).unwrap();
    let daemon = site.run();
    feed(&mut site.connect(), &plant().lines[..600]);
    until("the rows", || {
        let state = get(address(&daemon), "/api/state").json();
        state["service"]["status"]["frames"].as_u64() > Some(590)
    });
    daemon.terminate().ok();
    assert!(!site.path("state/history").exists());
}
