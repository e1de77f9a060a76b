//! The exported ONNX file: ONNX's own checker accepts it, ONNX Runtime computes from it what the native
//! engine computes, and no other file is lost for it.
//!
//! Those that need Python take target/python, as scripts/python-env.sh makes it; without it they say
//! so and pass, unless `ANOMALYD_REQUIRE_ALL` is set.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anomalyd::engine::Engine;
use anomalyd::engine::native::NativeEngine;
use anomalyd::model::{GraphLstm, Linear, ModelFile, Network, onnx};
use program::{run, run_well};
use serde_json::Value;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo.pt");

/// The Python with ONNX, or None after saying that `test` is skipped.
fn python(test: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    if python.exists() {
        return Some(python);
    }
    let required = std::env::var_os("ANOMALYD_REQUIRE_ALL").is_some();
    assert!(
        !required,
        "{test} must not be skipped here: run scripts/python-env.sh"
    );
    eprintln!(
        "{test} is skipped: there is no {}; scripts/python-env.sh makes it",
        python.display()
    );
    None
}

/// `count` values over ±3.
fn random(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 3.0
    };
    (0..count).map(next).collect()
}

fn write(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(path, bytes).unwrap();
}

fn read(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let values = bytes.as_chunks::<4>().0.iter();
    values.map(|raw| f32::from_le_bytes(*raw)).collect()
}

/// What is said of each file of the folder by `run.py`, by name.
fn run_python(python: &Path, folder: &Path) -> BTreeMap<String, Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx/run.py");
    let ran = Command::new(python)
        .arg(script)
        .arg(folder)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{complaints}");
    assert_eq!(complaints, "", "the runtime has something to complain of");
    let text = String::from_utf8(ran.stdout).unwrap();
    let said = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    said.map(|said| (said["file"].as_str().unwrap().to_owned(), said))
        .collect()
}

/// What golden windows, and small networks, must agree to.
const CLOSE: f32 = 1e-5;
/// On random windows, far from anything a trained network has learnt, float32 of any engine is up to
/// 3e-5 off the formulas in f64 (docs/performance.md); a wrong gate is off by much more than this.
const RANDOM_CLOSE: f32 = 1e-4;

/// Compares the runtime's outputs of `name` with the native engine's.
fn agrees(folder: &Path, name: &str, network: &GraphLstm, said: &Value, limit: f32) {
    let windows = read(&folder.join(format!("{name}.windows")));
    let batch = windows.len() / network.window / network.sensors;
    let mut engine = NativeEngine::new(network).unwrap();
    let native = engine.run_windows(&windows, batch).unwrap();
    let mut outputs = vec![("reconstruction", &native.reconstruction)];
    if network.neighbour.is_some() {
        outputs.push(("neighbour", &native.neighbour));
    }
    let names: Vec<&str> = outputs.iter().map(|(output, _)| *output).collect();
    assert_eq!(said["outputs"], serde_json::json!(names), "{name}");
    for (output, native) in outputs {
        let theirs = read(&folder.join(format!("{name}.{output}")));
        assert_eq!(theirs.len(), native.len(), "{name} {output}");
        for (at, (theirs, native)) in theirs.iter().zip(native).enumerate() {
            assert!(
                (theirs - native).abs() < limit,
                "{name} {output} {at}: {theirs} and {native}"
            );
        }
    }
}

#[test]
fn onnx_runtime_computes_what_the_native_engine_does() {
    let Some(python) = python("onnx_runtime_computes_what_the_native_engine_does") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let with_neighbour = |network: GraphLstm| {
        let sensors = network.sensors;
        let mut linear = Linear::zeros(sensors, sensors);
        linear.weight = random(sensors * sensors);
        linear.bias = random(sensors);
        GraphLstm {
            neighbour: Some(linear),
            ..network
        }
    };
    let closed_form = |network: GraphLstm| GraphLstm {
        autoencoder: None,
        ..network
    };
    let networks = [
        ("plain", GraphLstm::init(5, 8, 10, 1, 1)),
        ("both-heads", with_neighbour(GraphLstm::init(7, 9, 6, 1, 2))),
        (
            "two-layers",
            with_neighbour(GraphLstm::init(4, 16, 12, 2, 3)),
        ),
        ("one-of-all", with_neighbour(GraphLstm::init(1, 1, 1, 1, 4))),
        (
            "closed-form",
            closed_form(with_neighbour(GraphLstm::init(6, 4, 3, 1, 5))),
        ),
        ("empty", closed_form(GraphLstm::init(6, 4, 3, 1, 6))),
    ];
    for (name, network) in &networks {
        let bytes = onnx::to_bytes(network, &[]);
        fs::write(folder.join(format!("{name}.onnx")), bytes).unwrap();
        let windows = random(40 * network.window * network.sensors);
        write(&folder.join(format!("{name}.windows")), &windows);
    }
    let said = run_python(&python, folder);
    for (name, network) in &networks {
        agrees(folder, name, network, &said[*name], CLOSE);
    }
}

#[test]
fn an_exported_model_agrees_on_its_golden_windows_and_says_how_to_feed_it() {
    let test = "an_exported_model_agrees_on_its_golden_windows_and_says_how_to_feed_it";
    let Some(python) = python(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ran = run_well(folder, &format!("model export --onnx demo.onnx {DEMO}"));
    assert!(
        ran.stdout.contains("neighbour [batch,51]"),
        "{}",
        ran.stdout
    );
    let model = ModelFile::load(Path::new(DEMO)).unwrap();
    let Network::GraphLstm(network) = &model.network else {
        panic!("the demo's model is of our own architecture");
    };
    write(&folder.join("demo.windows"), &model.golden.windows);
    fs::copy(folder.join("demo.onnx"), folder.join("beyond.onnx")).unwrap();
    let windows = random(100 * network.window * network.sensors);
    write(&folder.join("beyond.windows"), &windows);
    let said = run_python(&python, folder);
    agrees(folder, "demo", network, &said["demo"], CLOSE);
    agrees(folder, "beyond", network, &said["beyond"], RANDOM_CLOSE);

    let said = &said["demo"];
    let property = |key: &str| said["properties"][key].as_str().unwrap().to_owned();
    assert_eq!(property("anomalyd.name"), model.manifest.name);
    assert_eq!(property("anomalyd.version"), model.manifest.version);
    assert_eq!(property("anomalyd.digest"), model.digest);
    assert_eq!(property("anomalyd.period_seconds"), "10");
    let sensors: Vec<Value> = serde_json::from_str(&property("anomalyd.sensors")).unwrap();
    assert_eq!(sensors.len(), model.manifest.sensors.len());
    for (said, sensor) in sensors.iter().zip(&model.manifest.sensors) {
        assert_eq!(said["name"], sensor.name);
        assert_eq!(said["unit"], sensor.unit);
        assert_eq!(said["mean"].as_f64(), Some(sensor.mean));
        assert_eq!(said["deviation"].as_f64(), Some(sensor.deviation));
    }
}

#[test]
fn an_export_replaces_an_export_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let export = |out: &str| run(folder, &format!("model export --onnx {out} {DEMO}"));
    assert_eq!(export("a.onnx").status, 0);
    let first = fs::read(folder.join("a.onnx")).unwrap();
    assert!(first.starts_with(onnx::START));
    assert_eq!(export("a.onnx").status, 0);
    assert_eq!(fs::read(folder.join("a.onnx")).unwrap(), first);

    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let refused = export("notes.txt");
    assert_eq!(refused.status, 2);
    assert!(
        refused.stderr.contains("not an ONNX file of anomalyd's"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    // A model is no export, least of all the one that is read.
    fs::copy(DEMO, folder.join("model.pt")).unwrap();
    let itself = run(folder, "model export --onnx model.pt model.pt");
    assert_eq!(itself.status, 2, "{}", itself.stderr);
    assert_eq!(export("none/a.onnx").status, 1);
    assert_eq!(
        run(folder, "model export --onnx b.onnx notes.txt").status,
        65
    );
    assert!(!folder.join("b.onnx").exists());
}

#[test]
fn a_foreign_module_is_refused_with_the_way_to_export_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("foreign.onnx");
    let mut model = ModelFile::load(Path::new(DEMO)).unwrap();
    model.network = Network::Foreign {
        class: "Transformer".to_owned(),
    };
    let error = model.save_onnx(&out).unwrap_err().to_string();
    assert!(error.contains("demo.pt: its module Transformer"), "{error}");
    assert!(error.contains("torch.onnx"), "{error}");
    assert!(!out.exists());
}
