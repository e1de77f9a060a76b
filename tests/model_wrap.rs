//! `anomalyd model wrap`: modules that were trained elsewhere become models by calibration only.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/engines.rs"]
mod engines;
#[path = "cli/program.rs"]
mod program;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anomalyd::model::{GraphLstm, Linear, torchscript};
use engines::worker;
use program::{run, run_well};
use serde_json::Value;

const SENSORS: [&str; 3] = ["LIT101", "FIT101", "P101"];

/// A folder with normal.csv and module.pt, a bare module of the known architecture.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!("time,{}\n", SENSORS.join(","));
    for row in 0..400 {
        let wave = |sensor: usize| (row as f64 * (0.21 + 0.17 * sensor as f64)).sin();
        let (minute, second) = (row / 12, 5 * (row % 12));
        write!(text, "2026-01-01T00:{minute:02}:{second:02}Z").unwrap();
        (0..3).for_each(|sensor| write!(text, ",{:.4}", wave(sensor)).unwrap());
        text.push('\n');
    }
    fs::write(folder.path().join("normal.csv"), text).unwrap();
    torchscript::save_network(&folder.path().join("module.pt"), &network()).unwrap();
    folder
}

fn network() -> GraphLstm {
    let mut network = GraphLstm::init(SENSORS.len(), 8, 6, 1, 3);
    let mut neighbour = Linear::zeros(SENSORS.len(), SENSORS.len());
    neighbour.weight[1] = 0.5;
    network.neighbour = Some(neighbour);
    network
}

/// The same with another sign: of unknown architecture.
fn save_foreign(path: &Path) {
    let mut entries = torchscript::entries(&network());
    for entry in &mut entries {
        if entry.name.starts_with("code/") && entry.name.ends_with(".py") {
            let source = String::from_utf8(entry.content.clone()).unwrap();
            let changed = source.replace(
                "return (reconstruction, estimate)",
                "return (torch.neg(reconstruction), estimate)",
            );
            entry.content = changed.into_bytes();
        }
    }
    torchscript::save_entries(path, &entries).unwrap();
}

fn inspect(folder: &Path) -> Value {
    serde_json::from_str(&run_well(folder, "model inspect --json plant.pt").stdout).unwrap()
}

#[test]
fn a_module_of_the_known_architecture_runs_natively() {
    let folder = folder();
    let folder = folder.path();
    // Until then it is no model.
    let bare = run(folder, "replay --model module.pt normal.csv");
    assert_eq!(bare.status, 65);
    assert!(
        bare.stderr.contains("anomalyd model wrap module.pt"),
        "{}",
        bare.stderr
    );

    let before = fs::read(folder.join("module.pt")).unwrap();
    let words =
        "model wrap module.pt --data normal.csv --max-false-alarms-per-week 3 --out plant.pt";
    let wrapped = run_well(folder, words);
    assert!(
        wrapped.stderr.contains("runs on both engines"),
        "{}",
        wrapped.stderr
    );
    assert!(
        wrapped
            .stderr
            .contains("if the module was trained on these data")
    );
    assert!(fs::read(folder.join("module.pt")).unwrap() == before);

    let about = inspect(folder);
    assert_eq!(about["network"]["architecture"], "graph-lstm");
    let heads = serde_json::json!(["reconstruction", "neighbour", "raw"]);
    assert_eq!(about["manifest"]["heads"], heads);
    assert_eq!(about["manifest"]["window"], 6);
    assert_eq!(about["manifest"]["max_false_alarms_per_week"], 3.0);
    assert!(about["manifest"]["training"]["loss"].as_f64().unwrap() > 0.1);
    let verdict = run_well(folder, "model verify --engine native plant.pt").stdout;
    assert!(verdict.contains("\nnative  ok"), "{verdict}");
    let replayed = run_well(folder, "replay --model plant.pt --engine native normal.csv");
    assert!(replayed.stderr.contains("400 rows"), "{}", replayed.stderr);

    let longer = words.replace("--out", "--window 9 --out");
    run_well(folder, &longer);
    assert_eq!(inspect(folder)["manifest"]["window"], 9);
}

#[test]
fn a_foreign_module_runs_on_libtorch() {
    let Some(worker) = worker("a_foreign_module_runs_on_libtorch") else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    save_foreign(&folder.join("foreign.pt"));
    let before = fs::read(folder.join("foreign.pt")).unwrap();
    let torch = format!("--torch-worker {}", worker.display());
    let words =
        format!("model wrap foreign.pt --data normal.csv --window 6 --out plant.pt {torch}");
    let wrapped = run_well(folder, &words);
    assert!(
        wrapped.stderr.contains("it needs the torch engine"),
        "{}",
        wrapped.stderr
    );
    assert!(
        wrapped.stdout.contains("libtorch, which alone can run"),
        "{}",
        wrapped.stdout
    );
    assert!(fs::read(folder.join("foreign.pt")).unwrap() == before);

    let about = inspect(folder);
    assert_eq!(about["network"]["architecture"], "foreign");
    assert_eq!(about["golden"]["torch"], true);
    let heads = serde_json::json!(["reconstruction", "neighbour", "raw"]);
    assert_eq!(about["manifest"]["heads"], heads);
    let verdict = run_well(folder, &format!("model verify --json plant.pt {torch}")).stdout;
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["engines"][0]["verdict"], "absent");
    assert_eq!(verdict["engines"][1]["verdict"], "ok");
    let replayed = run_well(
        folder,
        &format!("replay --model plant.pt normal.csv {torch}"),
    );
    assert!(
        replayed.stderr.contains("engine torch"),
        "{}",
        replayed.stderr
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = folder();
    let folder = folder.path();
    save_foreign(&folder.join("foreign.pt"));
    let text = fs::read_to_string(folder.join("normal.csv")).unwrap();
    let narrow = text.lines().map(|line| line.rsplit_once(',').unwrap().0);
    let narrow: Vec<&str> = narrow.collect();
    fs::write(folder.join("narrow.csv"), narrow.join("\n")).unwrap();
    for (words, status, message) in [
        (
            "module.pt --data narrow.csv --out plant.pt",
            65,
            "narrow.csv: the module is for 3 sensors",
        ),
        (
            "normal.csv --data normal.csv --out plant.pt",
            65,
            "not a TorchScript archive",
        ),
        (
            "nowhere.pt --data normal.csv --out plant.pt",
            65,
            "nowhere.pt: No such file",
        ),
        (
            "module.pt --data normal.csv --out module.pt",
            2,
            "give another name",
        ),
        (
            "foreign.pt --data normal.csv --out plant.pt --torch-worker /nowhere/worker",
            1,
            "/nowhere/worker cannot be started",
        ),
    ] {
        let ran = run(folder, &format!("model wrap {words}"));
        assert_eq!(ran.status, status, "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{words}: {}", ran.stderr);
        assert!(!folder.join("plant.pt").exists());
    }
}
