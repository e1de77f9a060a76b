//! The models of the service: putting one in force, and going back.

use std::fs;
use std::path::{Path, PathBuf};

use anomalyd::learn::{ModelStore, StoreError};
use anomalyd::model::ModelFile;

use super::plant::{anomalyd, learned_copy, output};

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

pub fn version(path: &Path) -> String {
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

    let mut rollback = anomalyd();
    rollback.args(["model", "rollback", "--models"]);
    let text = output(rollback.arg(state.path().join("models")));
    assert!(
        text.starts_with("model tank farm 2 is in force again, tank farm 1 is kept"),
        "{text}"
    );
    assert_eq!(versions(), ("2".into(), "1".into()));
}

#[test]
fn the_command_installs_a_copy_of_a_model_from_elsewhere() {
    let state = learned_copy();
    let (store, new) = store(state.path());
    let install = |model: &Path| {
        let mut install = anomalyd();
        install.args(["model", "install", "--models"]);
        install.arg(state.path().join("models")).arg(model);
        install
    };
    let text = output(&mut install(&new));
    assert!(
        text.starts_with("model tank farm 2 is in force; tank farm 1 is kept"),
        "{text}"
    );
    assert!(new.exists(), "it stays where it was");
    assert_eq!(version(&store.current()), "2");
    assert_eq!(version(&store.previous()), "1");

    let damaged = state.path().join("damaged.pt");
    let mut bytes = fs::read(&new).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&damaged, bytes).unwrap();
    let refused = install(&damaged).output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(version(&store.current()), "2", "the one in force stays");
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
        let mut rollback = anomalyd();
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
