//! The main job from end to end with the real program: simulate, train, inspect, verify, replay,
//! evaluate.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/engines.rs"]
mod engines;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/scores.rs"]
mod scores;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use engines::worker;
use program::{command, run, run_well};
use scores::largest_difference;
use serde_json::Value;
use tempfile::TempDir;

const FAULTS: &str = r#"
[[fault]]
kind = "spoofed"
sensor = "AIT202"
start = "30m"
duration = "10m"
magnitude = 1.5

[[fault]]
kind = "spoofed"
sensor = "TIT101"
start = "1h30m"
duration = "10m"
magnitude = 12

[[fault]]
kind = "spoofed"
sensor = "AIT401"
start = "2h30m"
duration = "15m"
magnitude = 60
"#;
/// One day is little to learn from, so the promise is set low enough to find something.
const REPLAY: &str = "replay --model plant.pt --max-false-alarms-per-week 50";

/// A folder with normal.csv, plant.pt (closed form) and faulty.csv with its labels and events.
fn plant() -> &'static Path {
    static PLANT: OnceLock<TempDir> = OnceLock::new();
    PLANT
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("faults.toml"), FAULTS).unwrap();
            for words in [
                "simulate --seed 11 --duration 24h --period 10s --out normal.csv",
                "simulate --seed 12 --duration 4h --period 10s --faults faults.toml --out faulty.csv",
                "train --data normal.csv --heads neighbour,raw --out plant.pt",
            ] {
                run_well(folder.path(), words);
            }
            folder
        })
        .path()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

fn seconds(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_second()
}

/// Names of the sensors that an event holds responsible.
fn named(event: &Value) -> Vec<&str> {
    let sensors = event["sensors"].as_array().unwrap();
    sensors
        .iter()
        .map(|e| e["sensor"].as_str().unwrap())
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_recording() {
    let again = tempfile::tempdir().unwrap();
    fs::write(again.path().join("faults.toml"), FAULTS).unwrap();
    let words =
        "simulate --seed 12 --duration 4h --period 10s --faults faults.toml --out faulty.csv";
    run_well(again.path(), words);
    for name in ["faulty.csv", "faulty.labels.csv", "faulty.events.json"] {
        let (one, other) = (plant().join(name), again.path().join(name));
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{name}");
    }
}

#[test]
fn a_model_tells_what_it_is_and_verifies() {
    let about = json(&run_well(plant(), "model inspect --json plant.pt").stdout);
    assert_eq!(about["manifest"]["sensors"].as_array().unwrap().len(), 51);
    assert_eq!(about["manifest"]["sensors"][0]["name"], "MV101");
    assert_eq!(about["manifest"]["name"], "normal");
    assert_eq!(
        about["manifest"]["heads"],
        serde_json::json!(["neighbour", "raw"])
    );
    assert_eq!(about["golden"]["count"], 16);
    let text = run_well(plant(), "model inspect plant.pt").stdout;
    assert!(text.contains("51, one frame each 10 s"), "{text}");

    let verdict = json(&run_well(plant(), "model verify --json plant.pt").stdout);
    assert_eq!(verdict["engines"][0]["engine"], "native");
    assert_eq!(verdict["engines"][0]["verdict"], "ok");
    let text = run_well(plant(), "model verify --engine native plant.pt").stdout;
    assert!(text.contains("\nnative  ok"), "{text}");
}

#[test]
fn alarms_name_the_broken_sensor_and_are_the_same_each_time() {
    let words = format!("{REPLAY} --json faulty.csv");
    let first = run_well(plant(), &words);
    assert_eq!(run_well(plant(), &words).stdout, first.stdout);

    let events = json(&fs::read_to_string(plant().join("faulty.events.json")).unwrap());
    let start = 1_767_225_600;
    let (mut found, mut stray) = (Vec::new(), 0);
    let raised = json_lines(&first.stdout);
    let raised = raised
        .iter()
        .filter(|event| event["transition"] == "raised");
    for event in raised {
        assert!(event["score"].as_f64().unwrap() >= 1.0, "{event}");
        let row = (seconds(&event["time"]) - start) / 10;
        let within = |fault: &&Value| {
            (fault["start"].as_i64().unwrap()..fault["end"].as_i64().unwrap()).contains(&row)
        };
        match events["events"].as_array().unwrap().iter().find(within) {
            Some(fault) => {
                let target = fault["targets"][0].as_str().unwrap();
                assert!(named(event)[..3].contains(&target), "{target}: {event}");
                found.push(target.to_owned());
            }
            None => stray += 1,
        }
    }
    assert!(found.len() >= 2 && found[0] == "AIT202", "{found:?}");
    assert!(stray <= 1, "{stray} alarms outside faults");

    // The text tells of the same alarms, with the same sensor first.
    let text = run_well(plant(), &format!("{REPLAY} faulty.csv"));
    assert_eq!(
        text.stdout.matches(" raised: score ").count(),
        found.len() + stray
    );
    assert!(text.stdout.contains("\n  AIT202  seen "), "{}", text.stdout);
    assert!(!text.stdout.contains('\u{1b}'), "colour in a pipe");
    assert!(
        text.stderr.contains("1440 rows from 2026-01-01"),
        "{}",
        text.stderr
    );
}

#[test]
fn the_way_a_file_is_written_makes_no_difference() {
    let original = fs::read_to_string(plant().join("faulty.csv")).unwrap();
    let expected = run_well(plant(), &format!("{REPLAY} --json faulty.csv")).stdout;
    assert!(!expected.is_empty());
    // `2026-01-01T00:00:00Z` as `2026-01-01 00:00:00`.
    let spaced = |line: &str| match line.split_once("Z,") {
        Some((time, values)) => format!("{},{values}\n", time.replace('T', " ")),
        None => format!("{line}\n"),
    };
    let quoted = |line: &str| format!("\"{}\"\n", line.replace(',', "\",\""));
    for (name, text) in [
        ("crlf.csv", original.replace('\n', "\r\n")),
        ("semicolon.csv", original.replace(',', ";")),
        (
            "decimal-comma.csv",
            original.replace(',', ";").replace('.', ","),
        ),
        ("tabs.csv", original.replace(',', "\t")),
        ("bom.csv", format!("\u{feff}{original}")),
        ("quoted.csv", original.lines().map(quoted).collect()),
        (
            "spreadsheet-time.csv",
            original.lines().map(spaced).collect(),
        ),
        ("last-line-open.csv", original.trim_end().to_owned()),
    ] {
        fs::write(plant().join(name), text).unwrap();
        let ran = run_well(plant(), &format!("{REPLAY} --json {name}"));
        assert!(
            ran.stdout == expected,
            "{name}:\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

#[test]
fn an_evaluation_has_every_promised_key() {
    let words = "evaluate --model plant.pt --data faulty.csv --labels faulty.labels.csv \
                 --events faulty.events.json --max-false-alarms-per-week 50";
    let report = json(&run_well(plant(), &format!("{words} --json")).stdout);
    for key in [
        "vus_pr",
        "auc_pr",
        "event_recall",
        "event_recall_by_type",
        "median_delay_s",
        "false_alarms",
        "false_alarms_per_week",
        "hit_rate_at_1",
        "hit_rate_at_3",
        "hit_rate_at_5",
        "windows_per_second",
        "rows",
        "threshold",
        "time_in_alarm",
    ] {
        assert!(!report[key].is_null(), "{key} is absent: {report}");
    }
    assert_eq!(report["rows"], 1440);
    assert_eq!(report["events"], 3);
    assert!(report["event_recall_by_type"]["spoofed"].as_f64().unwrap() >= 0.6);
    assert_eq!(report["max_false_alarms_per_week"], 50.0);
    let table = run_well(plant(), words).stdout;
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    assert!(table.contains("events found   "), "{table}");
}

#[test]
fn scores_are_written_for_every_frame() {
    let words = format!("{REPLAY} --json --scores scores.csv faulty.csv");
    let alarms = json_lines(&run_well(plant(), &words).stdout);
    let text = fs::read_to_string(plant().join("scores.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("time,score,relative"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 1440);
    assert_eq!(rows[0], ["2026-01-01T00:00:00Z", "", ""]);
    assert!(
        rows[9..]
            .iter()
            .all(|row| row[1].parse::<f32>().unwrap() >= 0.0)
    );
    for event in alarms
        .iter()
        .filter(|event| event["transition"] == "raised")
    {
        let row = rows
            .iter()
            .find(|row| row[0] == event["time"].as_str().unwrap());
        assert_eq!(
            row.unwrap()[2].parse::<f64>().unwrap(),
            event["score"].as_f64().unwrap()
        );
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    for words in [
        "simulate --duration 24h",
        "replay --model plant.pt --json --max-false-alarms-per-week 1000 faulty.csv",
        "model inspect --json plant.pt",
    ] {
        let mut child = command(plant(), words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty(), "{words}");
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words}: {stderr}");
        assert!(!stderr.contains("panicked"), "{words}: {stderr}");
    }
}

/// All three heads, and both engines.
#[test]
fn with_libtorch_both_engines_tell_the_same() {
    let Some(worker) = worker("with_libtorch_both_engines_tell_the_same") else {
        return;
    };
    let worker = worker.display();
    let folder = tempfile::tempdir().unwrap();
    for name in ["normal.csv", "faulty.csv"] {
        fs::copy(plant().join(name), folder.path().join(name)).unwrap();
    }
    let trained = run_well(
        folder.path(),
        &format!(
            "train --data normal.csv --steps 30 --hidden 16 --out lstm.pt --torch-worker {worker}"
        ),
    );
    assert!(
        trained
            .stdout
            .contains("native engine and libtorch agree on 16 golden vectors"),
        "{}",
        trained.stdout
    );

    let verify = format!("model verify --json lstm.pt --torch-worker {worker}");
    let verdict = json(&run_well(folder.path(), &verify).stdout);
    for engine in [0, 1] {
        assert_eq!(verdict["engines"][engine]["verdict"], "ok", "{verdict}");
    }

    let replay = |engine: &str| {
        let words = format!(
            "replay --model lstm.pt --engine {engine} --max-false-alarms-per-week 50 --json \
             --scores {engine}.csv faulty.csv --torch-worker {worker}"
        );
        let ran = run_well(folder.path(), &words);
        assert!(
            ran.stderr.contains(&format!("engine {engine}")),
            "{}",
            ran.stderr
        );
        let scores = fs::read_to_string(folder.path().join(format!("{engine}.csv"))).unwrap();
        (json_lines(&ran.stdout), scores)
    };
    let (native_alarms, native) = replay("native");
    let (torch_alarms, torch) = replay("torch");
    let what = |alarms: &[Value]| -> Vec<(String, String)> {
        let text = |event: &Value| (event["time"].to_string(), event["transition"].to_string());
        alarms.iter().map(text).collect()
    };
    assert!(!native_alarms.is_empty());
    assert_eq!(what(&native_alarms), what(&torch_alarms));
    for (native, torch) in native_alarms.iter().zip(&torch_alarms) {
        assert_eq!(named(native), named(torch));
    }
    let largest = largest_difference(&native, &torch);
    assert!(largest <= 1e-5, "scores differ by {largest:e}");
}

#[test]
fn without_libtorch_the_error_says_how_to_get_it_and_how_to_do_without() {
    let words = "train --data normal.csv --out new.pt --torch-worker /nowhere/worker";
    let ran = run(plant(), words);
    assert_eq!(ran.status, 1);
    for text in [
        "/nowhere/worker",
        "scripts/build-torch.sh",
        "--heads neighbour,raw",
    ] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    assert!(!plant().join("new.pt").exists());
}
