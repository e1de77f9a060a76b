//! Recordings as people have them: what is read, and what is said about the rest.
//!
//! `tests/csv/NN-name/` holds an `input.csv` each, and in `expected.txt` the sensors, rows and
//! errors it gives.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers may fail like the test"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anomalyd::frame::align::{AlignConfig, Aligner};
use anomalyd::frame::{Frame, Freshness, Timestamp};
use anomalyd::ingest::csv::{
    BadValues, ColumnMap, CsvError, CsvLines, CsvOptions, CsvReader, read_table,
};
use anomalyd::ingest::time::find_zone;
use proptest::prelude::*;

fn options(bad: BadValues) -> CsvOptions {
    CsvOptions {
        bad,
        ..CsvOptions::default()
    }
}

fn write_recording(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("recording.csv");
    fs::write(&path, text).unwrap();
    path
}

/// Everything a file gives, rows after errors included.
fn describe(path: &Path) -> String {
    let name = Path::new("input.csv");
    let mut out = String::new();
    let file = fs::File::open(path).unwrap();
    let mut reader = match CsvReader::from_source(file, name, options(BadValues::Reject)) {
        Ok(reader) => reader,
        Err(error) => return format!("error {error}\n"),
    };
    writeln!(out, "sensors {}", reader.sensors().join(" | ")).unwrap();
    let mut values = Vec::new();
    loop {
        match reader.next_row(&mut values) {
            Ok(Some(time)) => {
                let cells: Vec<String> = values.iter().map(f64::to_string).collect();
                writeln!(out, "{time} {}", cells.join(" ")).unwrap();
            }
            Ok(None) => return out,
            Err(error) => writeln!(out, "error {error}").unwrap(),
        }
    }
}

#[test]
fn every_case_is_read_as_expected() {
    let mut cases: Vec<PathBuf> = fs::read_dir("tests/csv")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {} cases", cases.len());
    let mut failed = String::new();
    for case in cases {
        let given = describe(&case.join("input.csv"));
        let expected = fs::read_to_string(case.join("expected.txt")).unwrap_or_default();
        if given != expected {
            writeln!(failed, "{}: gives\n{given}", case.display()).unwrap();
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn a_table_has_its_period_whatever_its_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let text = "time,a,b\n0,1,2\n10,3,\n20,5,6\n20,5,6\n90,7,8\n100,9,10\n";
    let path = write_recording(&dir, text);
    let table = read_table(&path, CsvOptions::default()).unwrap();
    assert_eq!((table.rows(), table.sensors.len()), (6, 2));
    assert_eq!(table.row(4), [7.0, 8.0]);
    assert!(table.row(1)[1].is_nan());
    assert!(table.row(6).is_empty());
    assert_eq!(table.median_step(), Some(10_000_000_000));
    assert!((table.missing() - 1.0 / 12.0).abs() < 1e-12);

    let path = write_recording(&dir, "time,a\n5,1\n5,2\n");
    let table = read_table(&path, CsvOptions::default()).unwrap();
    assert_eq!(table.median_step(), None);
}

#[test]
fn the_first_bad_value_ends_a_table_unless_it_may_be_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_recording(&dir, "time,a,b\n0,1,2\n1,x,y\n2,5\nnoon,1,2\n3,7,8\n");
    let error = read_table(&path, CsvOptions::default()).unwrap_err();
    assert!(error.is_row());
    let message = format!("{}:3: column a: \"x\" is not a number", path.display());
    assert!(error.to_string().starts_with(&message), "{error}");

    let table = read_table(&path, options(BadValues::Missing)).unwrap();
    assert_eq!(table.rows(), 3);
    assert!(table.row(1).iter().all(|value| value.is_nan()));
    assert_eq!((table.rejected.values, table.rejected.rows), (2, 2));
    let lines: Vec<String> = table
        .rejected
        .examples
        .iter()
        .map(CsvError::to_string)
        .collect();
    assert!(lines[1].ends_with("recording.csv:4: the number of columns is 2, but 3 in the header"));
}

#[test]
fn a_table_of_which_nothing_is_left_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_recording(&dir, "time,a\n25.11.2025 14:03,1\n25.11.2025 14:04,1\n");
    let error = read_table(&path, options(BadValues::Missing)).unwrap_err();
    assert!(matches!(error, CsvError::BadTime { .. }), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = CsvReader::open(Path::new("no/such.csv"), CsvOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such.csv: cannot be opened: ")
    );
    assert!(!error.is_row());
}

#[test]
fn a_recording_of_local_time_runs_through_the_clock_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("time,a\n");
    for (hour, minute) in [(2, 0), (2, 30), (2, 0), (2, 30), (3, 0)] {
        writeln!(text, "2025-10-26 {hour:02}:{minute:02},1").unwrap();
    }
    let path = write_recording(&dir, &text);
    // Machines without time zone data know UTC only.
    let Ok(zone) = find_zone("Europe/Berlin") else {
        println!("skipped: no time zone data on this machine");
        return;
    };
    let options = CsvOptions {
        zone,
        bad: BadValues::Reject,
    };
    let table = read_table(&path, options).unwrap();
    let steps = table
        .times
        .windows(2)
        .map(|pair| pair[1].seconds_since(pair[0]));
    assert!(steps.eq([1800.0; 4]));
}

#[test]
fn a_recording_becomes_the_frames_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_recording(
        &dir,
        "time;flow;note;level\n0;1,5;7;2\n1;;7;3\n\n3;4;7;5\n9;6;7;7\n",
    );
    let mut reader = CsvReader::open(&path, CsvOptions::default()).unwrap();
    let sensors = ["level", "flow", "pump"].map(String::from);
    let map = ColumnMap::new(&sensors, reader.sensors());
    assert_eq!(
        (map.unknown(), map.absent()),
        (&["note".into()][..], &["pump".into()][..])
    );

    let mut aligner = Aligner::new(3, AlignConfig::new(1_000_000_000));
    let (mut frame, mut frames) = (Frame::new(3), Vec::new());
    let (mut columns, mut row) = (Vec::new(), vec![0.0; 3]);
    while let Some(time) = reader.next_row(&mut columns).unwrap() {
        map.apply(&columns, &mut row);
        aligner.push_row(time, &row);
        while aligner.next_frame(None, &mut frame) {
            frames.push(frame.clone());
        }
    }
    assert!(!aligner.finish(&mut frame));
    let seconds: Vec<f64> = frames.iter().map(|frame| frame.time.seconds()).collect();
    assert_eq!(seconds, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0]);
    assert_eq!(frames[1].values[..2], [3.0, 1.5]);
    let states = [Freshness::Fresh, Freshness::Held, Freshness::Stale];
    assert_eq!(frames[1].freshness, states);
    let restarts: Vec<bool> = frames.iter().map(|frame| frame.restart).collect();
    assert_eq!(
        restarts,
        [true, false, false, false, false, false, false, true]
    );
    assert_eq!(aligner.counters().missing, [4, 5, 8]);
}

proptest! {
    /// What a program writes is what is read, whatever its habits.
    #[test]
    fn written_recordings_are_read_back(
        rows in proptest::collection::vec(
            (0_i64..100_000, proptest::collection::vec(proptest::option::of(-1e9..1e9_f64), 3)),
            1..30,
        ),
        comma in any::<bool>(),
        quotes in any::<bool>(),
        crlf in any::<bool>(),
        mark in any::<bool>(),
        piece in 1_usize..100,
    ) {
        let delimiter = if comma { ';' } else { ',' };
        let end = if crlf { "\r\n" } else { "\n" };
        let quote = if quotes { "\"" } else { "" };
        let mut text = String::from(if mark { "\u{feff}" } else { "" });
        text.push_str(&["time", "a", "b", "c"].map(|name| format!("{quote}{name}{quote}")).join(&delimiter.to_string()));
        text.push_str(end);
        let mut time = 0;
        let mut expected = Vec::new();
        for (step, values) in &rows {
            time += step;
            let time = Timestamp(1_764_079_387_000_000_000 + time * 1_000_000);
            let mut cells = vec![time.to_string()];
            cells.extend(values.iter().map(|value| {
                let cell = value.map_or(String::new(), |value| value.to_string());
                if comma { cell.replace('.', ",") } else { cell }
            }));
            let cells: Vec<String> = cells.iter().map(|cell| format!("{quote}{cell}{quote}")).collect();
            text.push_str(&cells.join(&delimiter.to_string()));
            text.push_str(end);
            expected.push((time, values.clone()));
        }
        let mut lines = CsvLines::new(Path::new("written.csv"), CsvOptions::default());
        let (mut read, mut values) = (Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            lines.feed(piece);
            while let Some(time) = lines.next_row(&mut values).unwrap() {
                let values = values.iter().map(|&value| (!value.is_nan()).then_some(value));
                read.push((time, values.collect::<Vec<_>>()));
            }
        }
        prop_assert_eq!(read, expected);
    }
}
