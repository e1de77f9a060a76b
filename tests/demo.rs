//! What the demo shows: the shipped model on the demo's recording, alarm by alarm.
//!
//! `tests/demo/expected.txt` holds the alarms. After a change that moves them on purpose, write it
//! anew with `ANOMALYD_WRITE_EXPECTED=1 cargo test --test demo` and read the difference.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anomalyd::alarm::{AlarmEvent, AlarmKind, Transition};
use anomalyd::engine::kernel::Kernel;
use anomalyd::engine::native::NativeEngine;
use anomalyd::engine::torch::{TorchConfig, locate};
use anomalyd::engine::{Engine, Expectation, Turn};
use anomalyd::frame::Timestamp;
use anomalyd::frame::align::AlignConfig;
use anomalyd::model::manifest::HeadKind;
use anomalyd::model::{ModelFile, Network};
use anomalyd::pipeline::{EngineChoice, Happening, Pipeline, PipelineConfig, Stream, open_engine};
use anomalyd::simulate::faults::{self, FaultKind};
use anomalyd::simulate::{FaultEvent, Plant, SENSORS, SensorKind};

/// As in scripts/demo.sh, which `the_script_shows_what_is_tested_here` compares.
const SEED: u64 = 7;
const START: &str = "2026-01-05T00:00:00Z";
const PERIOD_SECONDS: u64 = 10;
const ROWS: u64 = 7 * 86_400 / PERIOD_SECONDS;
/// Sensors that the demo prints with an alarm.
const SHOWN: usize = 3;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn model() -> ModelFile {
    ModelFile::load(&in_repository("models/demo.pt")).unwrap()
}

fn start() -> Timestamp {
    serde_json::from_value(START.into()).unwrap()
}

fn time_of(row: u64) -> Timestamp {
    start().add_nanos((row * PERIOD_SECONDS * 1_000_000_000) as i64)
}

/// The demo's week through the native engine: what was put in and what was raised.
struct Week {
    faults: Vec<FaultEvent>,
    alarms: Vec<AlarmEvent>,
}

/// Run once for all tests here: it takes some seconds without optimisation.
fn week() -> &'static Week {
    static WEEK: OnceLock<Week> = OnceLock::new();
    WEEK.get_or_init(|| {
        let model = model();
        let (engine, _) =
            open_engine(&model, EngineChoice::Native, &TorchConfig::default()).unwrap();
        let pipeline = Pipeline::new(&model, engine, &PipelineConfig::default());
        let align = AlignConfig::new(model.manifest.period_nanos());
        let mut stream = Stream::new(pipeline, align, true);
        let mut alarms = Vec::new();
        let mut listener = |happening: Happening<'_>| {
            if let Happening::Alarm(event) = happening {
                alarms.push(event.clone());
            }
        };
        let faults = faults::load(&in_repository("models/demo-faults.toml")).unwrap();
        let period = Duration::from_secs(PERIOD_SECONDS);
        let mut plant = Plant::with_faults(SEED, period, start(), faults);
        for row in 0..ROWS {
            stream.push_row(time_of(row), plant.step(), &mut listener);
        }
        stream.finish(&mut listener);
        Week {
            faults: plant.events(ROWS),
            alarms,
        }
    })
}

impl Week {
    fn raised(&self) -> impl Iterator<Item = &AlarmEvent> {
        let raised = |event: &&AlarmEvent| event.transition == Transition::Raised;
        self.alarms.iter().filter(raised)
    }

    /// The first alarm raised during `fault`.
    fn alarm_of(&self, fault: &FaultEvent) -> Option<&AlarmEvent> {
        let span = time_of(fault.rows.start)..time_of(fault.rows.end);
        self.raised().find(|event| span.contains(&event.time))
    }
}

/// The first sensors of `event`, as the demo prints them.
fn shown(event: &AlarmEvent) -> Vec<&str> {
    let sensors = event.sensors.iter().take(SHOWN);
    sensors.map(|evidence| evidence.sensor.as_str()).collect()
}

#[test]
fn the_model_is_small_and_complete() {
    let size = fs::metadata(in_repository("models/demo.pt")).unwrap().len();
    assert!(size <= 600 * 1024, "{size} bytes");
    let manifest = model().manifest;
    let heads = [HeadKind::Reconstruction, HeadKind::Neighbour, HeadKind::Raw];
    assert_eq!(manifest.heads, heads);
    assert_eq!((manifest.window, manifest.hidden), (10, 64));
    assert_eq!(manifest.period_seconds, PERIOD_SECONDS as f64);
    assert_eq!(manifest.sensors.len(), SENSORS.len());
    for (sensor, spec) in manifest.sensors.iter().zip(SENSORS) {
        assert_eq!(sensor.name, spec.name);
        let unit = match spec.kind {
            SensorKind::Measure => spec.unit,
            SensorKind::Drive | SensorKind::Valve => "",
        };
        assert_eq!(sensor.unit, unit, "{}", sensor.name);
    }
}

#[test]
fn this_machine_reproduces_the_models_golden_vectors() {
    let model = model();
    assert!(model.golden.torch.is_some(), "made without libtorch");
    let (_, native) = open_engine(&model, EngineChoice::Native, &TorchConfig::default()).unwrap();
    assert!(native.holds(), "native: {native:?}");
    match locate(None) {
        Ok(_) => {
            let torch = open_engine(&model, EngineChoice::Torch, &TorchConfig::default());
            let (_, torch) = torch.unwrap();
            assert!(torch.holds(), "torch: {torch:?}");
        }
        Err(error) if std::env::var_os("ANOMALYD_TORCH").is_none() => {
            eprintln!("golden vectors on torch are skipped: {error}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// The drift and the noise are found by what they do to the sensors around them, which are the ones
/// that the alarm names first.
const NAMED_BY_NEIGHBOURS: [FaultKind; 2] = [FaultKind::Drift, FaultKind::Noise];

#[test]
fn every_fault_of_the_demo_is_found_and_three_of_five_are_named() {
    let week = week();
    assert_eq!(week.faults.len(), FaultKind::ALL.len());
    for fault in &week.faults {
        let targets: Vec<_> = fault.targets.iter().map(|&c| SENSORS[c].name).collect();
        let kind = fault.kind.name();
        let alarm = week.alarm_of(fault);
        let alarm = alarm.unwrap_or_else(|| panic!("no alarm for {kind} {targets:?}"));
        let named = shown(alarm);
        assert_eq!(
            named.iter().any(|sensor| targets.contains(sensor)),
            !NAMED_BY_NEIGHBOURS.contains(&fault.kind),
            "{kind} {targets:?}: the alarm names {named:?}"
        );
    }
}

#[test]
fn false_alarms_of_the_demos_week_keep_the_promise() {
    let week = week();
    let during = |event: &&AlarmEvent| {
        let row = |fault: &FaultEvent| {
            (time_of(fault.rows.start)..time_of(fault.rows.end)).contains(&event.time)
        };
        week.faults.iter().any(row)
    };
    let promised = model().manifest.max_false_alarms_per_week as usize;
    let wrong: Vec<_> = week.raised().filter(|event| !during(event)).collect();
    assert!(wrong.len() <= promised, "{wrong:?}");
    assert!(week.raised().all(|event| event.kind == AlarmKind::Anomaly));
}

#[test]
fn the_alarms_are_the_expected_ones() {
    let mut text = String::new();
    for event in &week().alarms {
        let transition = match event.transition {
            Transition::Raised => "raised",
            Transition::Updated => "updated",
            Transition::Cleared => "cleared",
        };
        writeln!(
            text,
            "{} {} {transition} {}",
            event.id,
            event.time,
            shown(event).join(" ")
        )
        .unwrap();
    }
    let text = text.replace(" \n", "\n");
    let path = in_repository("tests/demo/expected.txt");
    if std::env::var_os("ANOMALYD_WRITE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap());
}

#[test]
fn the_script_shows_what_is_tested_here() {
    let script = fs::read_to_string(in_repository("scripts/demo.sh")).unwrap();
    for part in [
        &format!("--seed {SEED} --start {START} --duration 7d --period {PERIOD_SECONDS}s"),
        "--faults models/demo-faults.toml",
        "replay --model models/demo.pt",
    ] {
        assert!(script.contains(part), "scripts/demo.sh lacks: {part}");
    }
}

/// The model file holds libtorch's answers to its golden windows, so this needs no libtorch.
#[test]
fn every_kernel_gives_libtorchs_answers_alone_and_ahead() {
    let model = model();
    let (sensors, window) = (model.manifest.sensors.len(), model.manifest.window);
    let Network::GraphLstm(network) = &model.network else {
        panic!("the demo's model is not of our architecture");
    };
    let golden = &model.golden;
    let torch = golden.torch.as_ref().unwrap();
    // The golden windows are those of consecutive frames.
    let newest = |values: &[f32]| -> Vec<f32> {
        let windows = values.chunks_exact(window * sensors);
        windows
            .flat_map(|w| w[(window - 1) * sensors..].to_vec())
            .collect()
    };
    let mut frames = golden.windows[..(window - 1) * sensors].to_vec();
    frames.extend(newest(&golden.windows));
    for kernel in Kernel::available() {
        let close = |ours: &[f32], theirs: &[f32]| {
            assert_eq!(ours.len(), theirs.len());
            let off = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
            let off = off.fold(0.0, f32::max);
            println!("{}: {off:.2e}", kernel.name());
            assert!(off < 1e-5, "{}: {off:.1e}", kernel.name());
        };
        let mut engine = NativeEngine::with_kernel(network, kernel).unwrap();
        let whole = engine.run_windows(&golden.windows, golden.count).unwrap();
        close(&whole.reconstruction, &torch.reconstruction);
        close(&whole.neighbour, &torch.neighbour);
        let turn = |x: &[f32]| Turn {
            x: x.to_vec(),
            ..Turn::new(sensors)
        };
        let mut turns: Vec<Turn> = frames.chunks_exact(sensors).map(turn).collect();
        engine.run(&mut turns);
        let complete = &turns[window - 1..];
        let all = |part: fn(&Expectation) -> &[f32]| -> Vec<f32> {
            complete
                .iter()
                .flat_map(|turn| part(&turn.expectation).to_vec())
                .collect()
        };
        close(&all(|e| &e.reconstruction), &newest(&torch.reconstruction));
        close(&all(|e| &e.neighbour), &torch.neighbour);
    }
}
