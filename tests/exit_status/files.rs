//! Sound and unsound files of every kind.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::program::run_well;

const ROWS: usize = 300;

/// A recording of the sensors `names`, `rows` rows 5 s apart; cell (row, sensor) is `value`.
fn recording(names: &[&str], rows: usize, value: impl Fn(usize, usize) -> String) -> String {
    let mut text = format!("time,{}\n", names.join(","));
    for row in 0..rows {
        write!(text, "{}", time(5 * row)).unwrap();
        for sensor in 0..names.len() {
            write!(text, ",{}", value(row, sensor)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// `seconds` into a day.
fn time(seconds: usize) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("2026-01-01T{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
}

/// Three sensors that follow each other.
fn normal(row: usize, sensor: usize) -> String {
    let wave = (row as f64 * (0.21 + 0.17 * sensor as f64)).sin();
    format!(
        "{:.4}",
        10.0 * (sensor + 1) as f64 + wave + 0.3 * (row as f64 * 0.7).cos()
    )
}

/// `text` with its line `line` (from 1) changed.
fn with_line(text: &str, line: usize, change: impl Fn(&str) -> String) -> String {
    let lines = text.lines().enumerate();
    let changed = lines.map(|(index, old)| match index + 1 == line {
        true => change(old) + "\n",
        false => old.to_owned() + "\n",
    });
    changed.collect()
}

/// A folder with sound and unsound files of every kind, and the model plant.pt of normal.csv.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            fill(folder.path());
            folder
        })
        .path()
}

fn fill(folder: &Path) {
    let names = ["LIT101", "FIT101", "P101"];
    let sound = recording(&names, ROWS, normal);
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("normal.csv", &sound);
    write("empty.csv", "");
    write("header.csv", "time,LIT101\n");
    write("two.csv", &recording(&names, 2, normal));
    write("no-header.csv", sound.split_once('\n').unwrap().1);
    write("no-sensor.csv", "time\n2026-01-01T00:00:00Z\n");
    write("twice.csv", &sound.replace("FIT101", "LIT101"));
    write(
        "ragged.csv",
        &with_line(&sound, 200, |line| format!("{line},1")),
    );
    write(
        "bad-value.csv",
        &with_line(&sound, 200, |line| {
            let (time, values) = line.split_once(',').unwrap();
            let (_, rest) = values.split_once(',').unwrap();
            format!("{time},7;3O4,{rest}")
        }),
    );
    write(
        "bad-time.csv",
        &with_line(&sound, 200, |line| format!("yesterday{}", &line[20..])),
    );
    write(
        "back.csv",
        &with_line(&sound, 200, |line| format!("{}{}", time(0), &line[20..])),
    );
    write(
        "same-time.csv",
        &sound
            .lines()
            .enumerate()
            .map(|(index, line)| match index {
                0 => format!("{line}\n"),
                _ => format!("{}{}\n", time(0), &line[20..]),
            })
            .collect::<String>(),
    );
    write("constant.csv", &recording(&names, ROWS, |_, _| "5".into()));
    write(
        "missing.csv",
        &recording(&names, ROWS, |_, _| String::new()),
    );
    write(
        "one-missing.csv",
        &recording(&names, ROWS, |row, sensor| match sensor {
            1 => "NaN".into(),
            _ => normal(row, sensor),
        }),
    );
    write(
        "huge.csv",
        &recording(&names, ROWS, |row, sensor| match (row, sensor) {
            (150, 1) => "1e308".into(),
            _ => normal(row, sensor),
        }),
    );
    write("one-sensor.csv", &recording(&names[..1], ROWS, normal));
    write("absent.csv", &recording(&names[..2], ROWS, normal));
    write("other-plant.csv", &recording(&["T1", "T2"], ROWS, normal));
    let wide: Vec<String> = (0..1100).map(|i| format!("S{i}")).collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    write("too-wide.csv", &recording(&wide, 210, normal));
    write(
        "sparse.csv",
        &sound
            .lines()
            .enumerate()
            .filter(|(index, _)| index % 12 == 0)
            .map(|(_, line)| format!("{line}\n"))
            .collect::<String>(),
    );
    fs::write(
        folder.join("binary.csv"),
        [0xFF, 0xFE, 0x00, 0x41].repeat(500),
    )
    .unwrap();

    let labels: String = (0..ROWS)
        .map(|row| format!("{},0\n", time(5 * row)))
        .collect();
    write("labels.csv", &format!("time,label\n{labels}"));
    write(
        "short-labels.csv",
        &format!("time,label\n{}", &labels[..labels.len() / 2]),
    );
    write(
        "odd-labels.csv",
        &format!("time,label\n{}", labels.replacen(",0", ",maybe", 1)),
    );
    write("events.json", r#"{"events": [{"start": 100, "end": 120}]}"#);
    write(
        "bad-events.json",
        r#"{"events": [{"start": 100, "end": 90}]}"#,
    );
    write(
        "late-events.json",
        r#"{"events": [{"start": 100, "end": 9000}]}"#,
    );
    write("unknown-edge.toml", "edges = [[\"LIT101\", \"LIT999\"]]\n");
    write("not-toml.toml", "\nedges = [[\"LIT101\"\n");
    write("faults.toml", "[[fault]]\nkind = \"stuc\"\n");
    write("no-units.csv", "LIT101,mm\n");
    write("bad.toml", "[modle]\n");

    run_well(
        folder,
        "train --data normal.csv --heads neighbour,raw --out plant.pt",
    );
    let model = fs::read(folder.join("plant.pt")).unwrap();
    fs::write(folder.join("cut.pt"), &model[..model.len() / 2]).unwrap();
    let mut damaged = model.clone();
    damaged[model.len() / 3] ^= 1;
    fs::write(folder.join("damaged.pt"), damaged).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
}
