//! A model that the service learns by itself, with the test in the daemon's place.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "learning/background.rs"]
mod background;
#[path = "cli/engines.rs"]
mod engines;
#[path = "learning/plant.rs"]
mod plant;
#[path = "learning/store.rs"]
mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anomalyd::alarm::AlarmKind;
use anomalyd::engine::torch::TorchConfig;
use anomalyd::frame::Timestamp;
use anomalyd::frame::align::AlignConfig;
use anomalyd::ingest::SensorIndex;
use anomalyd::learn::{LearnConfig, Learner};
use anomalyd::model::ModelFile;
use anomalyd::model::manifest::HeadKind;
use anomalyd::pipeline::{EngineChoice, Happening, Pipeline, PipelineConfig, Stream, open_engine};
use plant::{PERIOD, Rows, STATUS, normal, pushed, with_fault};

fn config() -> LearnConfig {
    plant::config()
}

/// The block that was written last.
fn last_block(state: &Path) -> PathBuf {
    let blocks = fs::read_dir(state.join("learning")).unwrap();
    let blocks = blocks.map(|entry| entry.unwrap().path());
    let blocks = blocks.filter(|path| path.extension().is_some_and(|e| e == "rec"));
    blocks.max().unwrap()
}

#[test]
fn it_learns_across_a_restart_with_a_torn_tail_and_finds_a_fault() {
    let state = tempfile::tempdir().unwrap();
    let mut rows = Rows::new(normal());

    let mut learner = Learner::open(state.path(), config()).unwrap();
    let index = SensorIndex::learning(learner.sensors());
    assert!(learner.sensors().is_empty());
    assert_eq!(
        learner.progress().to_string(),
        "learning: looking which sensors report, 0 sensors so far"
    );
    pushed(&mut learner, &index, rows.by_ref().take(1500));
    let before = learner.progress();
    assert_eq!(
        before.to_string(),
        "learning: 2 h 05 min of 6 h, 51 sensors, 5 s period, 0.00 % missing"
    );
    assert!(!learner.is_complete());
    drop(learner);

    // The power goes in the middle of a write.
    let last = last_block(state.path());
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 5]).unwrap();

    // Nobody records for a while: that does not count.
    rows.by_ref().take(300).for_each(drop);
    let mut learner = Learner::open(state.path(), config()).unwrap();
    assert_eq!(learner.sensors().len(), 52);
    let lost = before.recorded_seconds - learner.progress().recorded_seconds;
    assert_eq!(lost, PERIOD.as_secs_f64(), "the torn row");
    let index = SensorIndex::learning(learner.sensors());
    let mut pushed_rows = 1500;
    while !learner.is_complete() {
        pushed(&mut learner, &index, rows.by_ref().take(1));
        pushed_rows += 1;
    }
    assert!((4320..4325).contains(&pushed_rows), "{pushed_rows}");

    let fitted = learner.fit(&mut |_| ()).unwrap();
    let text = fitted.to_string();
    assert!(
        text.starts_with(
            "learned from 6 h 00 min: at most 300 false alarms a week; would have raised "
        ) && text.ends_with(" on what it learned from; watching"),
        "{text}"
    );
    assert_eq!(fitted.left_out, [STATUS]);
    assert!(fitted.notes()[0].ends_with(&format!("fewer than 200: {STATUS}")));

    let model = ModelFile::load(&state.path().join("models/current.pt")).unwrap();
    assert_eq!(
        (fitted.model.as_str(), model.manifest.version.as_str()),
        ("tank farm 1", "1")
    );
    assert_eq!(model.manifest.sensors.len(), 51);
    assert_eq!(model.manifest.period_seconds, 5.0);
    assert_eq!(model.manifest.heads, [HeadKind::Neighbour, HeadKind::Raw]);
    finds_the_fault(&model);
}

/// Watches another day, in which something is wrong from row 1000 on.
fn finds_the_fault(model: &ModelFile) {
    let (engine, _) = open_engine(model, EngineChoice::Native, &TorchConfig::default()).unwrap();
    let pipeline = Pipeline::new(model, engine, &PipelineConfig::default());
    let align = AlignConfig::new(model.manifest.period_nanos());
    let mut stream = Stream::new(pipeline, align, false);
    let names = model.manifest.sensor_names();
    let index = SensorIndex::new(&names);
    let mut alarms = Vec::new();
    for row in Rows::new(with_fault(1000)).take(1100) {
        for (place, (name, sample)) in row.iter().enumerate() {
            let Some(sensor) = index.admit(name) else {
                assert_eq!(name, STATUS);
                continue;
            };
            let sample = anomalyd::frame::Sample { sensor, ..*sample };
            let last = place + 2 == row.len();
            stream.push(sample, last, &mut |happening| {
                if let Happening::Alarm(event) = happening
                    && event.kind == AlarmKind::Anomaly
                {
                    alarms.push(event.clone());
                }
            });
        }
    }
    let fault = Timestamp::EPOCH.plus(PERIOD * 1000);
    let raised = alarms.iter().find(|event| event.time >= fault);
    let raised = raised.unwrap_or_else(|| panic!("no alarm: {alarms:?}"));
    let named: Vec<&str> = raised.sensors.iter().map(|s| s.sensor.as_str()).collect();
    assert!(
        named.iter().any(|name| plant::FAULTY.contains(name)),
        "{named:?}"
    );
}

#[test]
fn sensors_that_come_later_and_sensors_that_are_known_before_are_learned_too() {
    let state = tempfile::tempdir().unwrap();
    let config = LearnConfig {
        learn_for: Duration::from_secs(1),
        sensors: vec!["never".to_owned(), "PIT501".to_owned()],
        ..config()
    };
    let mut learner = Learner::open(state.path(), config.clone()).unwrap();
    let index = SensorIndex::learning(learner.sensors());
    let some = Rows::new(normal()).take(300).map(|mut row| {
        row.truncate(10);
        row
    });
    pushed(&mut learner, &index, some);
    // Enough at any time, but not for the new ones.
    assert!(learner.is_complete());
    drop(learner);
    let mut learner = Learner::open(state.path(), config).unwrap();
    let index = SensorIndex::learning(learner.sensors());
    pushed(
        &mut learner,
        &index,
        Rows::new(normal()).skip(300).take(250),
    );
    let fitted = learner.fit(&mut |_| ()).unwrap();
    assert_eq!(fitted.left_out, ["never", STATUS]);
    let model = ModelFile::load(&state.path().join("models/current.pt")).unwrap();
    assert_eq!(model.manifest.sensors.len(), 51);
    assert_eq!(model.manifest.sensors[0].name, "PIT501");
}

#[test]
fn too_little_to_learn_from_is_an_error_and_more_is_recorded() {
    let state = tempfile::tempdir().unwrap();
    let config = LearnConfig {
        learn_for: Duration::from_secs(60),
        ..config()
    };
    let mut learner = Learner::open(state.path(), config).unwrap();
    let index = SensorIndex::learning(learner.sensors());
    // Reports, but never a number.
    let texts =
        |row: Vec<plant::Reading>| row.into_iter().filter(|(name, _)| name == STATUS).collect();
    pushed(
        &mut learner,
        &index,
        Rows::new(normal()).take(200).map(texts),
    );
    assert!(!learner.is_complete());
    let error = learner.fit(&mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("no sensor has reported"), "{error}");
    assert!(!state.path().join("models/current.pt").exists());
}

#[test]
fn another_period_in_the_configuration_begins_anew() {
    let state = tempfile::tempdir().unwrap();
    let mut learner = Learner::open(state.path(), config()).unwrap();
    let index = SensorIndex::learning(learner.sensors());
    pushed(&mut learner, &index, Rows::new(normal()).take(300));
    drop(learner);
    let config = LearnConfig {
        period: Some(Duration::from_secs(10)),
        ..config()
    };
    let mut learner = Learner::open(state.path(), config).unwrap();
    let notes = learner.take_notes();
    assert!(notes[0].contains("another period (5 s)"), "{notes:?}");
    assert_eq!(learner.progress().recorded_seconds, 0.0);
}
