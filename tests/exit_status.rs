//! What goes wrong, with the real program: the exit status tells the kind (2 wrong use, 65 bad data,
//! 78 bad configuration, 1 anything else), one line on stderr names the place, nothing is lost.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "exit_status/files.rs"]
mod files;
#[path = "cli/program.rs"]
mod program;

use std::fs::{self, OpenOptions};

use files::folder;
use program::{command, run, run_well};

/// Runs every case (words, text in the message) and compares the status.
fn end_with(status: i32, cases: &[(&str, &str)]) {
    for (words, message) in cases {
        let ran = run(folder(), words);
        assert_eq!(ran.status, status, "anomalyd {words}\n{}", ran.stderr);
        assert!(
            ran.stderr.contains(message),
            "anomalyd {words}\n{}",
            ran.stderr
        );
        assert!(
            !ran.stderr.contains("panicked"),
            "anomalyd {words}\n{}",
            ran.stderr
        );
        let said = ran
            .stderr
            .lines()
            .filter(|line| line.starts_with("anomalyd: "));
        assert_eq!(
            said.count(),
            usize::from(status != 2 || !ran.stderr.starts_with("error: "))
        );
        assert_eq!(ran.stdout, "", "anomalyd {words}");
    }
}

const TRAIN: &str = "--heads neighbour,raw --out new.pt";

#[test]
fn wrong_use_is_2() {
    end_with(
        2,
        &[
            ("frobnicate", "unrecognized subcommand"),
            ("train", "--data <RECORDING>"),
            (
                "train --data normal.csv --out new.pt --heads wizard",
                "[possible values: reconstruction",
            ),
            (
                "train --data normal.csv --out new.pt --max-false-alarms-per-week 0",
                "above 0",
            ),
            (
                "train --data normal.csv --out new.pt --period 0s",
                "above 0s",
            ),
            (
                "train --data normal.csv --out new.pt --period 5",
                "time unit needed",
            ),
            (
                "train --data normal.csv --out new.pt --zone Mars/Base",
                "not a time zone",
            ),
            (
                "train --data normal.csv --heads raw --out normal.csv",
                "exists and is not a model",
            ),
            (
                "train --data normal.csv --heads raw --out labels.csv",
                "exists and is not a model",
            ),
            (
                "train --data normal.csv --heads raw --out folder",
                "is a folder",
            ),
            (
                "train --data normal.csv --heads raw --out /dev/null",
                "is not a file",
            ),
            ("replay --model plant.pt", "<RECORDING>"),
            ("replay --model plant.pt --period 0s normal.csv", "above 0s"),
            (
                "evaluate --model plant.pt --data normal.csv",
                "--labels <CSV>|--events <JSON>",
            ),
            (
                "simulate --duration 0s --out new.csv",
                "shorter than --period",
            ),
            ("simulate --period 2h --out new.csv", "must be 1ms to 1h"),
            (
                "simulate --duration 1h --random-faults 100 --out new.csv",
                "do not fit",
            ),
            ("simulate --labels new.csv --rate 5", "give a --duration"),
        ],
    );
}

#[test]
fn bad_training_data_is_65() {
    let cases = [
        ("nowhere.csv", "nowhere.csv: cannot be opened: No such file"),
        (
            "folder",
            "folder: no recording of the service is in this folder",
        ),
        ("empty.csv", "empty.csv: the file is empty"),
        (
            "header.csv",
            "header.csv:1: there is a header line but no row",
        ),
        ("two.csv", "two.csv: 2 rows on the grid are too few"),
        (
            "no-header.csv",
            "no-header.csv:1: this line holds values, not names",
        ),
        ("no-sensor.csv", "one column only"),
        ("twice.csv", "columns 2 and 3 are both called \"LIT101\""),
        ("binary.csv", "binary.csv:1: the line is not UTF-8"),
        ("plant.pt", "plant.pt:1: "),
        (
            "ragged.csv",
            "give --skip-bad-values: ragged.csv:200: the number of columns is 5",
        ),
        (
            "bad-value.csv",
            "bad-value.csv:200: column LIT101: \"7;3O4\" is not a number",
        ),
        (
            "bad-time.csv",
            "bad-time.csv:200: column time: \"yesterday\" is not a time",
        ),
        ("back.csv", "back.csv:200: the time goes back"),
        ("same-time.csv", "no two rows have different times"),
        ("missing.csv", "not one value in the whole recording"),
        (
            "huge.csv",
            "huge.csv: column FIT101: its values are too large",
        ),
        ("too-wide.csv", "1100 sensors are too many for one model"),
    ];
    for (file, message) in cases {
        end_with(65, &[(&format!("train --data {file} {TRAIN}"), message)]);
    }
    end_with(
        65,
        &[
            (
                &format!("train --data normal.csv --period 1s {TRAIN}"),
                "without a gap",
            ),
            (
                &format!("train --data normal.csv --period 1h {TRAIN}"),
                "too few",
            ),
            (
                &format!("train --data normal.csv --units nowhere.csv {TRAIN}"),
                "nowhere.csv: ",
            ),
            (
                &format!("train --data normal.csv --units no-units.csv {TRAIN}"),
                "sensor,unit",
            ),
        ],
    );
    assert!(!folder().join("new.pt").exists());
}

#[test]
fn bad_models_recordings_and_labels_are_65() {
    end_with(
        65,
        &[
            (
                "replay --model nowhere.pt normal.csv",
                "nowhere.pt: No such file",
            ),
            ("replay --model folder normal.csv", "folder: is a directory"),
            (
                "replay --model normal.csv normal.csv",
                "normal.csv: not a TorchScript archive",
            ),
            (
                "replay --model cut.pt normal.csv",
                "cut.pt: not a TorchScript archive",
            ),
            ("replay --model damaged.pt normal.csv", "damaged.pt: "),
            ("model inspect damaged.pt", "damaged.pt: "),
            ("model verify cut.pt", "cut.pt: "),
            (
                "replay --model plant.pt nowhere.csv",
                "nowhere.csv: cannot be opened",
            ),
            (
                "replay --model plant.pt other-plant.csv",
                "is it another plant's?",
            ),
            ("replay --model plant.pt two.csv", "it has 2 rows"),
            (
                "replay --model plant.pt missing.csv",
                "with any value in them",
            ),
            (
                "replay --model plant.pt sparse.csv",
                "its rows are 1m apart, but should be 5s apart",
            ),
            (
                "evaluate --model plant.pt --data absent.csv --events events.json",
                "no column in the recording: P101",
            ),
            (
                "evaluate --model plant.pt --data ragged.csv --events events.json",
                "1 row is unusable",
            ),
            (
                "evaluate --model plant.pt --data normal.csv --labels nowhere.csv",
                "nowhere.csv: ",
            ),
            (
                "evaluate --model plant.pt --data normal.csv --labels short-labels.csv",
                "labels for 300 rows",
            ),
            (
                "evaluate --model plant.pt --data normal.csv --labels odd-labels.csv",
                "odd-labels.csv:2: label \"maybe\"",
            ),
            (
                "evaluate --model plant.pt --data normal.csv --events bad-events.json",
                "is not after the start",
            ),
            (
                "evaluate --model plant.pt --data normal.csv --events late-events.json",
                "past the 300 rows",
            ),
            (
                "evaluate --model plant.pt --data normal.csv --events normal.csv",
                "is not JSON",
            ),
        ],
    );
}

#[test]
fn bad_configuration_is_78() {
    end_with(
        78,
        &[
            (
                &format!("train --data normal.csv --graph nowhere.toml {TRAIN}"),
                "nowhere.toml: ",
            ),
            (
                &format!("train --data normal.csv --graph not-toml.toml {TRAIN}"),
                "not-toml.toml:2: ",
            ),
            (
                &format!("train --data normal.csv --graph unknown-edge.toml {TRAIN}"),
                "\"LIT999\" is not a column",
            ),
            (
                "simulate --duration 1h --faults nowhere.toml --out new.csv",
                "nowhere.toml: ",
            ),
            (
                "simulate --duration 1h --faults faults.toml --out new.csv",
                "did you mean \"stuck\"?",
            ),
        ],
    );
    // Its report is its result, so it stands on stdout.
    let ran = run(folder(), "check-config --config ./bad.toml");
    assert_eq!(ran.status, 78);
    assert!(ran.stdout.contains("bad.toml:1: modle"), "{}", ran.stdout);
}

#[test]
fn whatever_else_goes_wrong_is_1() {
    end_with(
        1,
        &[
            (
                "train --data normal.csv --heads raw --out nowhere/new.pt",
                "there is no folder nowhere",
            ),
            (
                "train --data normal.csv --heads raw --out normal.csv/new.pt",
                "cannot be written",
            ),
            (
                "train --data normal.csv --out new.pt --torch-worker /nowhere/worker",
                "scripts/build-torch.sh",
            ),
            (
                "replay --model plant.pt --engine torch --torch-worker /nowhere/worker normal.csv",
                "/nowhere/worker",
            ),
            (
                "replay --model plant.pt --scores nowhere/scores.csv normal.csv",
                "nowhere/scores.csv: cannot be written",
            ),
            (
                "simulate --duration 1h --out nowhere/new.csv",
                "nowhere/new.csv: cannot be created",
            ),
            (
                "simulate --duration 1h --labels nowhere/labels.csv",
                "nowhere/labels.csv: cannot be created",
            ),
        ],
    );
}

#[test]
fn a_full_disk_is_told_and_is_no_panic() {
    for words in [
        "model inspect plant.pt",
        "model verify --engine native plant.pt",
        "evaluate --model plant.pt --data normal.csv --labels labels.csv",
        "simulate --duration 1h",
        "check-config --config ./bad.toml",
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(folder(), words).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "anomalyd {words}\n{stderr}");
        assert!(
            stderr.contains("cannot be written: No space left"),
            "anomalyd {words}\n{stderr}"
        );
    }
    // Nobody to tell is no reason to fail either.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let words = "replay --model plant.pt normal.csv";
    let status = command(folder(), words).stderr(full).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_failed_training_keeps_the_model_that_was_there() {
    let before = fs::read(folder().join("plant.pt")).unwrap();
    for data in ["two.csv", "huge.csv", "missing.csv"] {
        let ran = run(
            folder(),
            &format!("train --data {data} --heads raw --out plant.pt"),
        );
        assert_eq!(ran.status, 65, "{}", ran.stderr);
        assert!(fs::read(folder().join("plant.pt")).unwrap() == before);
    }
}

#[test]
fn unusual_data_are_no_error() {
    for data in [
        "constant.csv",
        "one-sensor.csv",
        "one-missing.csv",
        "normal.csv",
    ] {
        let model = format!("{data}.pt");
        let words = format!("train --data {data} --heads neighbour,raw --out {model}");
        let trained = run_well(folder(), &words);
        assert_eq!(
            trained.stderr.contains("warning"),
            data == "one-missing.csv"
        );
        run_well(folder(), &format!("model verify --engine native {model}"));
        // What it learnt from is no surprise to it.
        let replayed = run_well(folder(), &format!("replay --model {model} {data}"));
        assert!(
            replayed.stderr.ends_with("0 alarms\n"),
            "{data}: {}",
            replayed.stderr
        );
    }
    // A plant that never moved is told of, with a score that a person can read.
    let moved = run_well(folder(), "replay --model constant.csv.pt normal.csv");
    let score = moved
        .stdout
        .split("score ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!(
        (1.0..1e4).contains(&score.parse::<f64>().unwrap()),
        "{}",
        moved.stdout
    );

    let absent = run_well(folder(), "replay --model plant.pt absent.csv");
    assert!(absent.stderr.contains("without P101"), "{}", absent.stderr);
    let huge = run_well(folder(), "replay --model plant.pt huge.csv");
    assert!(
        huge.stdout.lines().all(|line| line.len() < 100),
        "{}",
        huge.stdout
    );
    for data in ["back.csv", "bad-time.csv", "bad-value.csv", "ragged.csv"] {
        let ran = run_well(folder(), &format!("replay --model plant.pt {data}"));
        let told = data == "back.csv" || ran.stderr.contains(&format!("warning: {data}:200: "));
        assert!(told, "{data}: {}", ran.stderr);
    }
}
