//! Training in the background.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anomalyd::engine::torch::TorchConfig;
use anomalyd::frame::Timestamp;
use anomalyd::learn::{Background, BackgroundConfig, BackgroundEvent};
use anomalyd::model::ModelFile;
use anomalyd::model::manifest::HeadKind;
use anomalyd::pipeline::EngineChoice;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::plant::learned_copy;
use super::store::version;
use super::{engines, finds_the_fault};

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
