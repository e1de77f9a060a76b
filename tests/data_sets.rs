//! Detection on the public data sets beside the repository (skipped where they are not): what the
//! closed-form heads reach at least, and both engines on a whole recording.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/engines.rs"]
mod engines;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/scores.rs"]
mod scores;

use std::fs;
use std::path::{Path, PathBuf};

use engines::worker;
use program::run_well;
use scores::largest_difference;
use serde_json::Value;

const SECONDS_A_WEEK: f64 = 7.0 * 86_400.0;
const N: f64 = 7.0;

/// The public data set `name` beside the repository.
fn data_set(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = folder.join(name);
    match folder.join("test.csv").is_file() {
        true => Some(folder.canonicalize().unwrap()),
        false => {
            // The data are not ours to ship, so a clone may well be without them.
            eprintln!("{name} is skipped: {} is not there", folder.display());
            None
        }
    }
}

/// Trains on a set's normal data, and holds the evaluation of its test data against the floors.
fn reaches(set: &str, vus_pr: f64, event_recall: f64) {
    let Some(data) = data_set(set) else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = data.display();
    run_well(
        folder.path(),
        &format!("train --data {data}/train.csv --heads neighbour,raw --out model.pt"),
    );
    let evaluate = format!(
        "evaluate --model model.pt --data {data}/test.csv --labels {data}/labels.csv \
         --events {data}/events.json --max-false-alarms-per-week {N} --json"
    );
    let report: Value = serde_json::from_str(&run_well(folder.path(), &evaluate).stdout).unwrap();
    let figure = |key: &str| report[key].as_f64().unwrap();
    let allowed = N * figure("normal_seconds") / SECONDS_A_WEEK;
    eprintln!(
        "{set}: VUS-PR {:.3}, recall {:.3}, {} false alarms of {allowed:.1} allowed",
        figure("vus_pr"),
        figure("event_recall"),
        figure("false_alarms")
    );
    assert!(figure("vus_pr") >= vus_pr, "{report}");
    assert!(figure("event_recall") >= event_recall, "{report}");
    assert!(
        figure("false_alarms") <= allowed,
        "the promise is broken: {report}"
    );
}

#[test]
fn tep() {
    reaches("tep", 0.97, 0.68);
}

#[test]
fn smd_2_1() {
    reaches("smd-2-1", 0.28, 0.40);
}

#[test]
fn smd_2_8() {
    reaches("smd-2-8", 0.95, 1.0);
}

#[test]
fn native_and_torch_agree_on_a_whole_recording() {
    let Some(worker) = worker("native_and_torch_agree_on_a_whole_recording") else {
        return;
    };
    let Some(data) = data_set("tep") else { return };
    let (worker, data) = (worker.display(), data.display());
    let folder = tempfile::tempdir().unwrap();
    run_well(
        folder.path(),
        &format!("train --data {data}/train.csv --steps 20 --out model.pt --torch-worker {worker}"),
    );
    let scores = |engine: &str| {
        let words = format!(
            "replay --model model.pt --engine {engine} --scores {engine}.csv {data}/test.csv \
             --torch-worker {worker}"
        );
        run_well(folder.path(), &words);
        fs::read_to_string(folder.path().join(format!("{engine}.csv"))).unwrap()
    };
    let largest = largest_difference(&scores("native"), &scores("torch"));
    eprintln!("tep: scores of native and torch differ by at most {largest:.1e}");
    assert!(largest <= 1e-5, "scores differ by {largest:e}");
}
