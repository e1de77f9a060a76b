//! From a frame to its score: the model file, the engine on each kernel, the scorer, and all stages
//! in a row.

use std::hint::black_box;

use anomalyd::engine::kernel::Kernel;
use anomalyd::engine::native::NativeEngine;
use anomalyd::engine::torch::TorchConfig;
use anomalyd::engine::{Engine, Expectation, Turn};
use anomalyd::frame::align::AlignConfig;
use anomalyd::frame::{Frame, Freshness, Timestamp};
use anomalyd::model::{GraphLstm, ModelFile, Network};
use anomalyd::pipeline::{EngineChoice, Happening, Pipeline, PipelineConfig, Stream, open_engine};
use anomalyd::score::Scorer;
use anomalyd::window::Standardiser;

use super::{Case, PERIOD, Step, fail, model, model_path, rows, to_and_fro};

/// Frames of a batch
const BATCH: usize = 16;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("archive-load", 2, archive_load)];
    for kernel in Kernel::available() {
        let name = kernel.name();
        cases.push(Case::new(format!("window-{name}"), 100, move || {
            window(kernel)
        }));
        cases.push(Case::new(format!("batch-of-16-{name}"), 20, move || {
            batch(kernel)
        }));
    }
    cases.push(Case::new("score-frame", 1000, score));
    cases.push(Case::new("pipeline-row", 200, pipeline));
    cases
}

/// A model file from its path to weights and manifest, digest checked.
fn archive_load() -> Step {
    let path = model_path();
    Box::new(move || match ModelFile::load(&path) {
        Ok(model) => drop(black_box(model)),
        Err(error) => fail(error),
    })
}

/// One more frame of an endless stream.
fn window(kernel: Kernel) -> Step {
    let model = model();
    let mut engine = engine(&model, kernel);
    let frames = standardised(&model);
    let mut out = Expectation::zeros(model.manifest.sensors.len());
    let mut places = to_and_fro();
    Box::new(move || {
        let x = &frames[places.next().unwrap_or_default()];
        if let Err(error) = engine.step(black_box(x), &mut out) {
            fail(error);
        }
        black_box(&out);
    })
}

/// Frames that follow one another, taken together as a replay does.
fn batch(kernel: Kernel) -> Step {
    let model = model();
    let sensors = model.manifest.sensors.len();
    let mut engine = engine(&model, kernel);
    let frames = standardised(&model);
    let mut places = to_and_fro();
    let mut turns: Vec<Turn> = (0..BATCH).map(|_| Turn::new(sensors)).collect();
    Box::new(move || {
        for turn in &mut turns {
            turn.x
                .copy_from_slice(&frames[places.next().unwrap_or_default()]);
        }
        engine.run(black_box(&mut turns));
        let answered = turns.iter().all(|turn| turn.answer.is_ok());
        assert!(black_box(answered), "the engine did not answer");
    })
}

/// What the engine expects of a frame to charts.
fn score() -> Step {
    let model = model();
    let sensors = model.manifest.sensors.len();
    let mut engine = engine(&model, Kernel::best());
    let frames = standardised(&model);
    let mut expectation = Expectation::zeros(sensors);
    for frame in &frames {
        if let Err(error) = engine.step(frame, &mut expectation) {
            fail(error);
        }
    }
    let mut frame = Frame::new(sensors);
    frame.freshness.fill(Freshness::Fresh);
    let attenuation = vec![0.0; sensors];
    let mut scorer = Scorer::new(&model.manifest);
    let mut places = to_and_fro();
    Box::new(move || {
        let x = black_box(&frames[places.next().unwrap_or_default()]);
        black_box(scorer.step(&frame, x, &expectation, &attenuation, false));
    })
}

/// A row of values through all stages: on the grid, standardised, expected, scored, judged.
fn pipeline() -> Step {
    let mut stream = stream(&model());
    let rows = rows();
    let mut places = to_and_fro();
    let mut time = Timestamp::EPOCH;
    Box::new(move || {
        let values = &rows[places.next().unwrap_or_default()];
        time = time.plus(PERIOD);
        stream.push_row(time, black_box(values), &mut |happening| {
            if let Happening::Frame(_, outcome) = happening {
                black_box(outcome);
            }
        });
    })
}

/// As the daemon has it: the native engine, silence watched.
pub fn stream(model: &ModelFile) -> Stream {
    let engine = match open_engine(model, EngineChoice::Native, &TorchConfig::default()) {
        Ok((engine, _)) => engine,
        Err(error) => fail(error),
    };
    let pipeline = Pipeline::new(model, engine, &PipelineConfig::default());
    let align = AlignConfig::new(model.manifest.period_nanos());
    Stream::new(pipeline, align, true)
}

fn engine(model: &ModelFile, kernel: Kernel) -> NativeEngine {
    match NativeEngine::with_kernel(network(model), kernel) {
        Ok(engine) => engine,
        Err(error) => fail(error),
    }
}

fn network(model: &ModelFile) -> &GraphLstm {
    match &model.network {
        Network::GraphLstm(network) => network,
        Network::Foreign { class } => fail(format_args!("the demo's model is a {class}")),
    }
}

/// The recording's frames as the engine gets them, `[ROWS][F]`.
fn standardised(model: &ModelFile) -> Vec<Vec<f32>> {
    let standardiser = Standardiser::new(&model.manifest.sensors, &model.manifest.edges);
    let sensors = model.manifest.sensors.len();
    let standardise = |values| {
        let frame = Frame {
            time: Timestamp::EPOCH,
            values,
            freshness: vec![Freshness::Fresh; sensors],
            restart: false,
        };
        let mut x = vec![0.0; sensors];
        standardiser.standardise(&frame, &mut x);
        x
    };
    rows().into_iter().map(standardise).collect()
}
