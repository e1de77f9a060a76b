//! `anomalyd simulate` as its users meet it: recordings, labels, faults, documentation.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anomalyd::cli::simulate::{SimulateArgs, run};
use anomalyd::simulate::faults::{self, FaultKind};
use anomalyd::simulate::{COUNT, SENSORS};
use clap::Parser;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: SimulateArgs,
}

/// Runs `anomalyd simulate` with `words` and `--out out`.
fn simulate(words: &str, out: &Path) -> anyhow::Result<()> {
    let words = std::iter::once("simulate").chain(words.split_whitespace());
    let words = words.map(OsStr::new);
    let words = words.chain([OsStr::new("--out"), out.as_os_str()]);
    run(Command::try_parse_from(words)?.args)
}

fn demo_faults() -> String {
    format!("{}/models/demo-faults.toml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_recording_is_the_same_each_time_and_has_labels_and_events_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let words = "--seed 7 --duration 2h --random-faults 5";
    for name in ["a.csv", "b.csv"] {
        simulate(words, &dir.path().join(name)).unwrap();
    }
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("a.csv"), read("b.csv"));
    assert_eq!(read("a.events.json"), read("b.events.json"));
    simulate(&words.replace("7", "8"), &dir.path().join("c.csv")).unwrap();
    assert_ne!(read("a.csv"), read("c.csv"));

    let recording = read("a.csv");
    let labels = read("a.labels.csv");
    let rows: Vec<&str> = recording.lines().collect();
    assert_eq!(rows.len(), 7_201);
    assert_eq!(rows[0].split(',').count(), COUNT + 1);
    assert!(rows[0].starts_with("time,MV101,FIT101,"));
    assert!(rows[1].starts_with("2026-01-01T00:00:00Z,"));
    assert!(rows[7_200].starts_with("2026-01-01T01:59:59Z,"));
    assert!(!recording.contains("NaN"));

    let events: serde_json::Value = serde_json::from_str(&read("a.events.json")).unwrap();
    assert_eq!(events["dt_seconds"], 1.0);
    assert_eq!(events["breaks"], serde_json::json!([0]));
    let events = events["events"].as_array().unwrap();
    assert!((4..=5).contains(&events.len()), "{events:?}");
    let within = |row: usize| {
        events.iter().any(|event| {
            let bound = |key: &str| event[key].as_u64().unwrap() as usize;
            (bound("start")..bound("end")).contains(&row)
        })
    };
    for (row, (line, label)) in rows[1..].iter().zip(labels.lines().skip(1)).enumerate() {
        let time = line.split(',').next().unwrap();
        assert_eq!(label, format!("{time},{}", u8::from(within(row))));
    }
    for event in events {
        for target in event["targets"].as_array().unwrap() {
            let known = SENSORS.iter().any(|sensor| sensor.name == target);
            assert!(known, "{target}");
        }
    }
    // Nothing unfinished is left behind.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 9);
}

#[test]
fn the_demo_holds_one_fault_of_each_kind_well_apart() {
    let faults = faults::load(Path::new(&demo_faults())).unwrap();
    // Flood control forgives a notice or two, and needs time to forgive the next.
    let apart = Duration::from_secs(17 * 3_600);
    let mut normal_since = Duration::ZERO;
    for fault in &faults {
        assert!(fault.start >= normal_since + apart, "{fault:?}");
        normal_since = fault.start + fault.duration;
    }
    assert!(normal_since < Duration::from_secs(7 * 86_400));

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo.csv");
    let words = format!(
        "--seed 7 --start 2026-01-05T00:00:00Z --duration 7d --period 10s --faults {}",
        demo_faults()
    );
    simulate(&words, &out).unwrap();
    let events = fs::read_to_string(dir.path().join("demo.events.json")).unwrap();
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    let events = events["events"].as_array().unwrap();
    assert_eq!(events.len(), FaultKind::ALL.len());
    for kind in FaultKind::ALL {
        let of_kind = events.iter().filter(|event| event["type"] == kind.name());
        assert_eq!(of_kind.count(), 1, "{}", kind.name());
    }
}

#[test]
fn a_wrong_fault_file_is_explained_and_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("faults.toml");
    let text = fs::read_to_string(demo_faults()).unwrap();
    fs::write(&path, text.replace("\"FIT401\"", "\"fit40\"")).unwrap();
    let words = format!("--duration 7d --faults {}", path.display());
    let error = simulate(&words, &dir.path().join("x.csv")).unwrap_err();
    let expected =
        "faults.toml:27: fault.sensor: no sensor is called \"fit40\"; did you mean \"FIT401\"?";
    assert!(error.to_string().ends_with(expected), "{error}");

    fs::write(&path, &text).unwrap();
    let words = format!("--duration 1d --faults {}", path.display());
    let error = simulate(&words, &dir.path().join("x.csv")).unwrap_err();
    let remedy = "FIT502 starts after 1day 8h, but the run lasts 1day; start it earlier";
    assert!(error.to_string().contains(remedy), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn files_that_cannot_be_written_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such/folder.csv");
    let error = simulate("--duration 5s", &missing).unwrap_err();
    assert!(format!("{error:#}").contains("no/such/folder.csv: cannot be created"));
    let out = dir.path().join("plant.csv");
    let words = format!("--duration 5s --labels {}", out.display());
    let error = simulate(&words, &out).unwrap_err();
    assert!(error.to_string().contains("different names"), "{error}");
}

#[test]
fn the_manual_lists_every_sensor_with_its_unit_and_every_kind_of_fault() {
    let path = format!("{}/docs/simulator.md", env!("CARGO_MANIFEST_DIR"));
    let manual = fs::read_to_string(path).unwrap();
    for sensor in SENSORS {
        let row = format!("| {} | {} | {} |", sensor.name, sensor.unit, sensor.meaning);
        assert!(manual.contains(&row), "docs/simulator.md lacks: {row}");
    }
    for kind in FaultKind::ALL {
        let row = format!("| `{}` |", kind.name());
        assert!(manual.contains(&row), "docs/simulator.md lacks: {row}");
    }
}
