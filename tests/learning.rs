//! A model that the service learns by itself, with the test in the daemon's place.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/engines.rs"]
mod engines;
#[path = "learning/plant.rs"]
mod plant;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anomalyd::alarm::AlarmKind;
use anomalyd::engine::torch::TorchConfig;
use anomalyd::frame::Timestamp;
use anomalyd::frame::align::AlignConfig;
use anomalyd::ingest::SensorIndex;
use anomalyd::learn::{
    Background, BackgroundConfig, BackgroundEvent, LearnConfig, Learner, ModelStore, StoreError,
};
use anomalyd::model::ModelFile;
use anomalyd::model::manifest::HeadKind;
use anomalyd::pipeline::{EngineChoice, Happening, Pipeline, PipelineConfig, Stream, open_engine};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use plant::{PERIOD, Rows, STATUS, learned_copy, normal, pushed, with_fault};

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
    let names: Vec<String> = model
        .manifest
        .sensors
        .iter()
        .map(|s| s.name.clone())
        .collect();
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

// ---- the store

/// A store with model 1 in force, and a verified model 2 beside it.
fn store(state: &Path) -> (ModelStore, PathBuf) {
    let store = ModelStore::open(&state.join("models")).unwrap();
    (store, next_model(state, "2"))
}

/// Another model than the one in force.
fn next_model(state: &Path, version: &str) -> PathBuf {
    let mut model = ModelFile::load(&state.join("models/current.pt")).unwrap();
    model.manifest.version = version.to_owned();
    let path = state.join("new.pt");
    model.save(&path).unwrap();
    path
}

fn version(path: &Path) -> String {
    ModelFile::load(path).unwrap().manifest.version
}

#[test]
fn a_verified_model_is_put_in_force_and_the_one_before_can_be_had_back() {
    let state = learned_copy();
    let (store, new) = store(state.path());
    assert_eq!(store.next_version(), 2);
    let installed = store.install(&new).unwrap();
    assert_eq!(installed.model, "tank farm 2");
    assert_eq!(installed.before.as_deref(), Some("tank farm 1"));
    assert!(!new.exists() && !store.candidate().exists());
    let versions = || (version(&store.current()), version(&store.previous()));
    assert_eq!(versions(), ("2".into(), "1".into()));
    assert_eq!(store.next_version(), 3);

    let back = store.rollback().unwrap();
    assert_eq!(back.model, "tank farm 1");
    assert_eq!(versions(), ("1".into(), "2".into()));
    assert_eq!(store.next_version(), 3, "2 was another model");

    let mut rollback = plant::anomalyd();
    rollback.args(["model", "rollback", "--models"]);
    let text = plant::output(rollback.arg(state.path().join("models")));
    assert!(
        text.starts_with("model tank farm 2 is in force again, tank farm 1 is kept"),
        "{text}"
    );
    assert_eq!(versions(), ("2".into(), "1".into()));
}

#[test]
fn rollback_finds_the_models_by_the_configuration() {
    let state = learned_copy();
    let (store, new) = store(state.path());
    store.install(&new).unwrap();
    let config = state.path().join("anomalyd.toml");
    let rollback = |model: &Path| {
        let text = format!(
            "model = {:?}\n[source.simulator]\n",
            model.display().to_string()
        );
        fs::write(&config, text).unwrap();
        let mut rollback = plant::anomalyd();
        rollback
            .args(["model", "rollback", "--config"])
            .arg(&config);
        rollback.output().unwrap()
    };
    assert!(rollback(&store.current()).status.success());
    assert_eq!(version(&store.current()), "1");
    let own = state.path().join("own.pt");
    fs::copy(store.current(), &own).unwrap();
    let refused = rollback(&own);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a model of your own"));
    let nothing = state.path().join("empty/current.pt");
    fs::create_dir(nothing.parent().unwrap()).unwrap();
    let refused = rollback(&nothing);
    assert!(!refused.status.success());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("there is no model to go back to"), "{text}");
}

#[test]
fn a_model_that_does_not_verify_is_refused_and_nothing_else_changes() {
    let state = learned_copy();
    let (store, new) = store(state.path());
    store.install(&new).unwrap();
    let before = (
        fs::read(store.current()).unwrap(),
        fs::read(store.previous()).unwrap(),
    );

    // Computes something else than its maker did: the file itself is whole.
    let mut wrong = ModelFile::load(&next_model(state.path(), "3")).unwrap();
    wrong.golden.neighbour[3] += 0.01;
    let candidate = store.candidate();
    wrong.save(&candidate).unwrap();
    let error = store.install(&candidate).unwrap_err();
    let (kept, why) = store.refused();
    assert!(matches!(error, StoreError::Refused { .. }));
    assert!(error.to_string().contains("golden vector"), "{error}");
    assert!(fs::read_to_string(&why).unwrap().contains("golden vector"));
    assert!(kept.exists() && !candidate.exists());

    // Damaged on the way.
    let mut bytes = before.0.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let elsewhere = state.path().join("damaged.pt");
    fs::write(&elsewhere, bytes).unwrap();
    assert!(store.install(&elsewhere).is_err());
    assert!(!fs::read_to_string(&why).unwrap().contains("golden vector"));

    let after = (
        fs::read(store.current()).unwrap(),
        fs::read(store.previous()).unwrap(),
    );
    assert!(before == after);
}

#[test]
fn a_damaged_model_never_takes_the_place_of_the_last_one_that_works() {
    let state = learned_copy();
    let (store, new) = store(state.path());
    store.install(&new).unwrap();
    let third = next_model(state.path(), "3");
    fs::write(store.current(), "rubbish").unwrap();
    let installed = store.install(&third).unwrap();
    assert_eq!(installed.before, None);
    assert_eq!(version(&store.current()), "3");
    assert_eq!(version(&store.previous()), "1");

    fs::write(store.previous(), "rubbish").unwrap();
    let error = store.rollback().unwrap_err();
    assert!(
        matches!(error, StoreError::PreviousRefused { .. }),
        "{error}"
    );
    assert_eq!(version(&store.current()), "3");
}

#[test]
fn a_rollback_that_a_power_cut_interrupted_is_ended() {
    let state = learned_copy();
    let (store, new) = store(state.path());
    store.install(&new).unwrap();
    // After the second of the three steps.
    let models = state.path().join("models");
    fs::hard_link(store.current(), models.join("swapped.pt")).unwrap();
    fs::rename(store.previous(), store.current()).unwrap();
    let store = ModelStore::open(&models).unwrap();
    assert_eq!(version(&store.current()), "1");
    assert_eq!(version(&store.previous()), "2");
    // After the first one.
    fs::hard_link(store.current(), models.join("swapped.pt")).unwrap();
    let store = ModelStore::open(&models).unwrap();
    assert_eq!(version(&store.current()), "1");
    assert_eq!(version(&store.previous()), "2");
    assert!(!models.join("swapped.pt").exists());
}

// ---- the background

const DAY: i64 = 86_400;

fn background(state: &Path, worker: &Path) -> BackgroundConfig {
    BackgroundConfig {
        state: state.to_owned(),
        program: env!("CARGO_BIN_EXE_anomalyd").into(),
        name: "tank farm".to_owned(),
        max_false_alarms_per_week: 300.0,
        engine: EngineChoice::Auto,
        torch: TorchConfig {
            worker: Some(worker.to_owned()),
            ..TorchConfig::default()
        },
        memory_limit: None,
        options: ["--steps", "40", "--hidden", "8"]
            .map(str::to_owned)
            .to_vec(),
    }
}

/// Polls at the time `now` until the training has ended.
fn trained(background: &mut Background, now: Timestamp) -> Option<BackgroundEvent> {
    // It gets only what others leave, and on a busy machine that is little.
    let deadline = Instant::now() + Duration::from_secs(900);
    loop {
        let event = background.poll(now);
        if event.is_some() || !background.is_running() {
            return event;
        }
        assert!(Instant::now() < deadline, "the training does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A worker that does what the shell script says.
fn made_up_worker(state: &Path, script: &str) -> PathBuf {
    let path = state.join("worker");
    fs::write(state.join("worker.txt"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let mut install = std::process::Command::new("install");
    install
        .arg("-m755")
        .arg(state.join("worker.txt"))
        .arg(&path);
    assert!(install.status().unwrap().success());
    path
}

#[test]
fn a_training_that_fails_is_told_once_and_tried_once_a_day() {
    let state = learned_copy();
    let worker = made_up_worker(state.path(), "echo no libtorch here >&2; exit 127");
    let start = || Background::start(background(state.path(), &worker)).unwrap();
    let at = Timestamp::from_seconds;
    let mut first = start();
    let event = trained(&mut first, at(1_000));
    let Some(BackgroundEvent::Failed { text }) = event else {
        panic!("{event:?}");
    };
    assert!(
        text.contains("the present model stays") && text.contains("no libtorch here"),
        "{text}"
    );
    assert_eq!(version(&state.path().join("models/current.pt")), "1");
    assert!(!state.path().join("models/candidate.pt").exists());
    assert!(!state.path().join("learning/training").exists());
    let tries = |background: &mut Background, now: i64| {
        assert_eq!(background.poll(at(now)), None);
        let tried = background.is_running();
        assert_eq!(trained(background, at(now)), None, "told once");
        tried
    };
    assert!(!tries(&mut first, 1_000 + DAY - 1));
    // Nor does a restart make it try again.
    let mut second = start();
    assert!(!tries(&mut second, 2_000));
    assert!(tries(&mut second, 1_000 + DAY));
    // A clock that was set back by a year does not stop it for a year.
    assert!(tries(&mut second, 1_000 - 365 * DAY));
    assert!(Background::start(background(state.path(), Path::new("/nowhere"))).is_none());
}

#[test]
fn where_memory_is_short_no_training_is_begun() {
    let state = learned_copy();
    let worker = made_up_worker(state.path(), "exit 1");
    let config = |memory_limit| BackgroundConfig {
        memory_limit,
        ..background(state.path(), &worker)
    };
    let mut short = Background::start(config(Some(100 << 20))).unwrap();
    let event = short.poll(Timestamp::EPOCH);
    assert!(!short.is_running());
    let Some(BackgroundEvent::Failed { text }) = event else {
        panic!("{event:?}");
    };
    assert!(
        text.contains("needs 400 MiB and the service may use 100 MiB"),
        "{text}"
    );
    assert_eq!(short.poll(Timestamp::EPOCH), None);
    // Once it is given more, it needs no day to begin.
    let mut ample = Background::start(config(Some(400 << 20))).unwrap();
    assert_eq!(ample.poll(Timestamp::EPOCH), None);
    assert!(ample.is_running());
}

#[test]
fn the_training_has_the_lowest_priority_and_ends_with_the_service() {
    let state = learned_copy();
    let pid = state.path().join("pid");
    let script = format!(
        "echo $$ >'{0}.new'; mv '{0}.new' '{0}'; exec sleep 600",
        pid.display()
    );
    let worker = made_up_worker(state.path(), &script);
    let mut background = Background::start(background(state.path(), &worker)).unwrap();
    assert_eq!(background.poll(Timestamp::EPOCH), None);
    let deadline = Instant::now() + Duration::from_secs(300);
    while !pid.exists() {
        assert!(Instant::now() < deadline, "no worker");
        assert_eq!(background.poll(Timestamp::EPOCH), None);
        std::thread::sleep(Duration::from_millis(20));
    }
    let worker: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let of_worker = |file: &str| fs::read_to_string(format!("/proc/{worker}/{file}")).unwrap();
    let stat = of_worker("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // proc_pid_stat(5): nice is field 19, policy field 41; the third one is the first here.
    assert_eq!((fields[19 - 3], fields[41 - 3]), ("19", "5"), "{stat}");
    assert_eq!(of_worker("oom_score_adj").trim(), "1000");
    let parent = Pid::from_raw(fields[4 - 3].parse().unwrap());
    drop(background);
    assert!(kill(parent, None).is_err(), "the training lives on");
    assert!(!state.path().join("learning/training").exists());
}

#[test]
fn libtorch_trains_a_better_model_in_the_background() {
    let test = "libtorch_trains_a_better_model_in_the_background";
    let Some(worker) = engines::worker(test) else {
        return;
    };
    let state = learned_copy();
    let mut training = Background::start(background(state.path(), &worker)).unwrap();
    let event = trained(&mut training, Timestamp::EPOCH);
    let Some(BackgroundEvent::Installed { model, text }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(model, "tank farm 2");
    assert!(
        text.contains("tank farm 1 stays for `anomalyd model rollback`"),
        "{text}"
    );
    let current = ModelFile::load(&state.path().join("models/current.pt")).unwrap();
    assert!(current.manifest.heads.contains(&HeadKind::Reconstruction));
    assert!(current.golden.torch.is_some());
    assert_eq!(current.manifest.sensors.len(), 51);
    assert_eq!(version(&state.path().join("models/previous.pt")), "1");
    finds_the_fault(&current);
    // It is done, also for the service after a restart.
    assert_eq!(training.poll(Timestamp::from_seconds(9 * DAY)), None);
    assert!(!training.is_running());
    assert!(Background::start(background(state.path(), &worker)).is_none());
}
