//! `anomalyd bench` with the real program: a short run under load, what breaks measuring, and the
//! comparison of results. What the figures are does not matter here, that they are real does.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "bench/measure.rs"]
mod measure;

use std::fs;
use std::path::Path;

use anomalyd::bench::{EngineName, Outcome};
use measure::{Measurement, compare, measured, status_of_service, tree};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[test]
fn a_short_run_has_real_readings_of_the_real_service() {
    let ran = measured();
    let result = &ran.result;
    assert_eq!(result["schema"], 1);
    assert_eq!(result["engines"].as_array().unwrap().len(), 1);
    let engine = &result["engines"][0];
    assert_eq!(engine["engine"], "native");
    assert_eq!(engine["model"]["hidden"], 64);
    assert_eq!(engine["start_seconds"].as_array().unwrap().len(), 2);
    assert_eq!(engine["model_load_seconds"].as_array().unwrap().len(), 2);

    let phase = &engine["phases"][0];
    let number = |value: &Value| value.as_f64().unwrap();
    let (seconds, sent) = (number(&phase["seconds"]), number(&phase["rows_sent"]));
    assert!(
        sent > 50.0 * seconds && sent < 200.0 * seconds,
        "{sent} rows in {seconds} s"
    );
    let scored = number(&phase["frames_scored"]);
    assert!(
        scored > sent / 2.0 && scored <= sent + 100.0,
        "{scored} of {sent}"
    );
    assert!(number(&phase["cpu_seconds"]) > 0.0);
    // It was ended in order, and had time to save its state.
    assert!(number(&phase["saved_bytes"]) > 0.0, "{phase}");
    for reading in phase["readings"].as_array().unwrap() {
        let rss = number(&reading["rss_bytes"]);
        assert!((1e6..100e6).contains(&rss), "{rss}");
        assert_eq!(reading["temperature_celsius"], 61.0);
        assert_eq!(reading["throttle"]["throttled"], false);
    }
    let why = result["missing"].to_string();
    if why.contains("in memory") {
        println!("a day's writes: skipped, {why}");
    } else {
        let day = &engine["day"];
        assert_eq!(day["rows"], 8640, "{why}");
        // The history of 51 sensors is 0.35 MB a day.
        let written = number(&day["written_bytes"]);
        assert!((350e3..900e3).contains(&written), "{written}");
    }
    let outcome = Outcome::load(&ran.out).unwrap();
    let native = outcome.engine(EngineName::Native).unwrap();
    let phase = native.phase("sustained").unwrap();
    assert!(phase.latencies.age.count() > 0);
    assert!(phase.latencies.age.mean() > phase.latencies.taken_to_score.mean());
    for id in [
        "memory",
        "cpu",
        "latency_p99",
        "throughput",
        "start",
        "model_load",
        "replayed",
    ] {
        assert!(native.value(id).unwrap() > 0.0, "{id}");
    }

    let passed = result["verdict"]["seed_pass"] == true;
    assert_eq!(ran.status, Some(i32::from(!passed)), "{}", ran.stderr);
    let cap = &engine["cap"];
    assert!(cap["active"] == true || !cap["how"].as_str().unwrap().is_empty());
    // The table has what the file has.
    for metric in engine["metrics"].as_array().unwrap() {
        let name = metric["name"].as_str().unwrap();
        assert!(ran.stdout.contains(name), "{name}: {}", ran.stdout);
        // No slope without its error.
        if metric["id"] == "growth" {
            let note = metric["note"].as_str().unwrap();
            let said = format!("  {note}\n");
            assert!(
                note.starts_with("standard error") && ran.stdout.contains(&said),
                "{note}"
            );
        }
    }
    let report = fs::read_to_string(ran.folder.path().join("report.html")).unwrap();
    assert_eq!(report.matches("<svg").count(), 4);
}

#[test]
fn a_result_reads_back_whole_and_its_metrics_are_documented() {
    let ran = measured();
    let outcome = Outcome::load(&ran.out).unwrap();
    assert_eq!(serde_json::to_value(&outcome).unwrap(), ran.result);
    let documentation = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let documentation = fs::read_to_string(documentation).unwrap();
    for metric in &outcome.engines[0].metrics {
        let row = format!("| `{}` |", metric.id);
        assert!(
            documentation.contains(&row),
            "docs/benchmarks.md has no row {row}"
        );
    }
}

#[test]
fn a_throttled_machine_gets_no_verdict_and_a_broker_that_is_down_leaves_a_partial_result() {
    // Bound and let go: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut measurement = Measurement::new("0x4");
    measurement
        .command
        .args(["--seconds", "3", "--broker", &broker]);
    measurement.command.args(["--accept", "load,uncapped"]);
    // An engine that is not here, as well.
    measurement
        .command
        .args(["--engine", "both", "--torch-worker", "/nowhere/worker"]);
    let ran = measurement.finish();
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert_eq!(ran.result["verdict"]["seed_pass"], Value::Null);
    let refused = ran.result["verdict"]["refused"].to_string();
    assert!(refused.contains("throttled"), "{refused}");
    assert!(!refused.contains("another load"), "{refused}");
    assert!(ran.stdout.contains("no verdict"), "{}", ran.stdout);
    assert_eq!(ran.result["partial"], true);
    let missing = ran.result["missing"].to_string();
    assert!(missing.contains(&broker), "{missing}");
    assert!(missing.contains("/nowhere/worker"), "{missing}");
    assert_eq!(ran.result["engines"].as_array().unwrap().len(), 1);
    // All else was measured.
    assert_eq!(ran.result["engines"][0]["metrics"][0]["id"], "memory");
    assert!(ran.result["engines"][0]["metrics"][0]["value"].is_number());
}

#[test]
fn an_interruption_leaves_what_was_measured_and_nothing_running() {
    let mut measurement = Measurement::new("");
    // Unreadable sensors, too: this machine's tree has none.
    fs::remove_dir_all(measurement.folder.path().join("root")).unwrap();
    measurement.command.args(["--seconds", "3000"]);
    let running = measurement.start();
    // Two seconds and a half of rows: by then there are readings.
    let service = status_of_service(&running, |status| {
        status["scored"].as_u64().unwrap_or(0) > 250
    });
    running.signal(Signal::SIGINT);
    let ran = running.finish();
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert_eq!(ran.result["partial"], true);
    let missing = ran.result["missing"].to_string();
    assert!(missing.contains("interrupted"), "{missing}");
    assert!(missing.contains("temperature"), "{missing}");
    let refused = ran.result["verdict"]["refused"].to_string();
    assert!(refused.contains("interrupted"), "{refused}");
    let phase = &ran.result["engines"][0]["phases"][0];
    assert!(!phase["readings"].as_array().unwrap().is_empty());
    Outcome::load(&ran.out).unwrap();
    // The service and its folder are gone.
    assert!(!service.exists(), "{}", service.display());
    assert!(
        fs::read_dir(ran.folder.path().join("tmp"))
            .unwrap()
            .next()
            .is_none()
    );
}

/// A result with sound conditions, changed by `change`.
fn result(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut result = measured().result.clone();
    result["engines"][0]["cap"]["active"] = json!(true);
    change(&mut result);
    fs::write(folder.join(name), result.to_string()).unwrap();
    name.to_owned()
}

fn scale(result: &mut Value, id: &str, factor: f64) {
    let metrics = result["engines"][0]["metrics"].as_array_mut().unwrap();
    let metric = metrics
        .iter_mut()
        .find(|metric| metric["id"] == id)
        .unwrap();
    metric["value"] = json!(metric["value"].as_f64().unwrap() * factor);
}

#[test]
fn a_regression_is_1_and_no_regression_is_0() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let base = result(folder, "base.json", |_| {});
    let (status, stdout, stderr) = compare(folder, &[&base, &base]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(
        stdout.contains("memory, steady") && !stdout.contains("REGRESSED"),
        "{stdout}"
    );
    for (id, within, beyond, name) in [
        ("memory", 1.09, 1.11, "memory, steady"),
        ("latency_mean", 1.19, 1.21, "latency, mean"),
        ("throughput", 0.91, 0.89, "throughput, service"),
        ("cpu", 1.14, 1.16, "CPU, mean"),
    ] {
        let fair = result(folder, "fair.json", |one| scale(one, id, within));
        assert_eq!(compare(folder, &[&base, &fair]).0, Some(0), "{id}");
        let bad = result(folder, "bad.json", |one| scale(one, id, beyond));
        let (status, stdout, stderr) = compare(folder, &[&base, &bad]);
        assert_eq!(status, Some(1), "{id}: {stderr}");
        assert_eq!(stdout.matches("REGRESSED").count(), 1, "{stdout}");
        assert!(
            stderr.contains("performance regressed") && stderr.contains(name),
            "{stderr}"
        );
        // The other way round it is an improvement.
        assert_eq!(compare(folder, &[&bad, &base]).0, Some(0), "{id}");
    }
}

#[test]
fn what_cannot_be_compared_is_65_unless_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let base = result(folder, "base.json", |_| {});
    let processor = |one: &mut Value| one["machine"]["processor"] = json!("another");
    let throttled = |one: &mut Value| {
        one["engines"][0]["phases"][0]["readings"][0]["throttle"]["throttled"] = json!(true);
    };
    let engine = |one: &mut Value| one["engines"][0]["engine"] = json!("torch");
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change<'_>, Option<i32>); 3] = [
        ("processor: ", &processor, Some(0)),
        ("throttled in the current", &throttled, Some(0)),
        // Nothing is left to compare.
        ("engines: native before, torch now", &engine, Some(65)),
    ];
    for (reason, change, anyway) in cases {
        let other = result(folder, "other.json", change);
        let (status, stdout, stderr) = compare(folder, &[&base, &other]);
        assert_eq!((status, stdout.as_str()), (Some(65), ""), "{stderr}");
        assert!(
            stderr.contains(reason) && stderr.contains("--anyway"),
            "{stderr}"
        );
        let (status, _, stderr) = compare(folder, &[&base, &other, "--anyway"]);
        assert_eq!(status, anyway, "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    let later = result(folder, "later.json", |one| one["schema"] = json!(2));
    let (status, _, stderr) = compare(folder, &[&base, &later]);
    assert_eq!(status, Some(65));
    assert!(stderr.contains("later.json: has schema 2"), "{stderr}");
    fs::write(folder.join("no.json"), "{}").unwrap();
    assert_eq!(compare(folder, &[&base, "no.json"]).0, Some(65));
    assert_eq!(compare(folder, &[&base, "nowhere.json"]).0, Some(65));
}

#[test]
fn a_model_that_is_none_is_65() {
    let mut measurement = Measurement::new("");
    let root = measurement.folder.path().join("root");
    tree(&root, "");
    measurement
        .command
        .arg("--model")
        .arg(root.join("dev/vcio"));
    let output = measurement.command.output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert!(!measurement.folder.path().join("results.json").exists());
}
