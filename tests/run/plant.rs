//! A model of the simulated plant, learned once, and a recording with faults in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// Spoofs eight sensors at once, which no threshold can miss, and then shakes three.
const FAULTS: &str = r#"
[[fault]]
kind = "spoofed"
sensors = ["AIT201", "AIT202", "AIT402", "AIT501", "AIT502", "AIT503", "PIT502", "TIT101"]
start = "12m"
duration = "3m"
magnitude = 30

[[fault]]
kind = "noise"
sensors = ["AIT203", "AIT402", "AIT502"]
start = "40m"
duration = "3m"
magnitude = 2000
"#;

pub struct Plant {
    dir: TempDir,
    /// The recording as JSON lines without line feeds.
    pub lines: Vec<String>,
}

/// Row of the first fault.
pub const FAULT_ROW: usize = 720;

pub fn anomalyd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_anomalyd"))
}

/// The command's standard output; it must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Closed-form heads learn in a moment, so every run of the tests makes the model anew. The budget
/// of false alarms is generous: the recordings are short, and what is tested is not how well
/// faults are found.
pub fn plant() -> &'static Plant {
    static PLANT: OnceLock<Plant> = OnceLock::new();
    PLANT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let normal = dir.path().join("normal.csv");
        let faults = dir.path().join("faults.toml");
        fs::write(&faults, FAULTS).unwrap();
        let simulate = ["simulate", "--seed", "7", "--duration"];
        output(anomalyd().args(simulate).args(["6h", "--out"]).arg(&normal));
        for (name, heads) in [("model.pt", "neighbour,raw"), ("other.pt", "raw")] {
            let mut train = anomalyd();
            train.args([
                "train",
                "--heads",
                heads,
                "--max-false-alarms-per-week",
                "300",
            ]);
            train.arg("--data").arg(&normal);
            output(train.arg("--out").arg(dir.path().join(name)));
        }
        let mut stream = anomalyd();
        stream.args(simulate).args(["1h", "--faults"]).arg(&faults);
        let lines = output(&mut stream).lines().map(str::to_owned).collect();
        Plant { dir, lines }
    })
}

impl Plant {
    pub fn model(&self) -> PathBuf {
        self.dir.path().join("model.pt")
    }

    /// Of the same sensors, without their graph.
    pub fn other_model(&self) -> PathBuf {
        self.dir.path().join("other.pt")
    }

    pub fn sensors(&self) -> Vec<String> {
        let row = parsed(&self.lines[0]);
        let names = row.as_object().unwrap().keys();
        names.filter(|name| *name != "time").cloned().collect()
    }

    /// What `anomalyd replay --json` says of the same rows.
    pub fn replayed(&self, lines: &[String]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording.csv");
        fs::write(&path, csv(lines, &self.sensors())).unwrap();
        let mut replay = anomalyd();
        replay
            .args(["replay", "--json", "--model"])
            .arg(self.model());
        let text = output(replay.arg(&path));
        text.lines().map(str::to_owned).collect()
    }
}

pub fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// The rows as a CSV file; null is an empty field.
pub fn csv(lines: &[String], sensors: &[String]) -> String {
    let mut text = format!("time,{}\n", sensors.join(","));
    for line in lines {
        let row = parsed(line);
        text.push_str(row["time"].as_str().unwrap());
        for sensor in sensors {
            text.push(',');
            if !row[sensor].is_null() {
                text.push_str(&row[sensor].to_string());
            }
        }
        text.push('\n');
    }
    text
}

/// The same rows with another value for a sensor.
pub fn with_value(line: &str, sensor: &str, value: Value) -> String {
    let mut row = parsed(line);
    row[sensor] = value;
    row.to_string()
}

/// A copy of a file at another place.
pub fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}
