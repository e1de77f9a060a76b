//! The model file as its users meet it: what is saved comes back, and what is damaged, foreign or
//! from elsewhere is told apart with a reason.

// The lint's exception for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use anomalyd::model::golden::{Golden, GoldenTorch};
use anomalyd::model::manifest::{
    ChartTail, Charts, Edge, HeadKind, Manifest, ResidualSpread, SCHEMA, Sensor, Training,
};
use anomalyd::model::torchscript::{self, Entry, archive};
use anomalyd::model::{
    GraphLstm, Linear, ModelError, ModelFile, Network, read_weights, write_weights,
};
use proptest::prelude::*;

const SENSORS: usize = 3;
const WINDOW: usize = 6;

fn network(layers: usize) -> GraphLstm {
    let mut neighbour = Linear::zeros(SENSORS, SENSORS);
    neighbour.weight[1] = 0.62;
    neighbour.weight[3] = 0.58;
    neighbour.bias[2] = -0.25;
    GraphLstm {
        neighbour: Some(neighbour),
        ..GraphLstm::init(SENSORS, 4, WINDOW, layers, 5)
    }
}

fn model(network: GraphLstm) -> ModelFile {
    let mut heads = Vec::new();
    if network.autoencoder.is_some() {
        heads.push(HeadKind::Reconstruction);
    }
    if network.neighbour.is_some() {
        heads.push(HeadKind::Neighbour);
    }
    heads.push(HeadKind::Raw);
    let residual = ResidualSpread {
        median: 0.1 + 0.2,
        spread: 0.21,
        fast: 0.9,
        slow: 1.0 / 3.0,
    };
    let tail = ChartTail {
        quantile: 1.25,
        mean_excess: 0.5,
        peaks_per_week: 12.0,
        peaks: 9,
        largest: 3.5,
    };
    let sensor = |index: usize| Sensor {
        name: format!("FIT40{index}"),
        unit: ["", "m³/h", "°C"][index].to_owned(),
        mean: 1.0e-7 / 3.0,
        deviation: 1.7e9,
        residual: vec![residual.clone(); heads.len()],
    };
    let count = 16;
    let ramp = |length: usize| (0..length).map(|i| (i as f32).sin()).collect::<Vec<f32>>();
    ModelFile {
        path: PathBuf::new(),
        manifest: Manifest {
            schema: SCHEMA,
            created_by: "anomalyd 0.1.0".to_owned(),
            created_at: "2026-11-25T14:03:07Z".to_owned(),
            name: "plant \"north\"".to_owned(),
            version: "7".to_owned(),
            period_seconds: 0.1,
            window: network.window,
            hidden: network.hidden(),
            max_false_alarms_per_week: 1.0,
            training: Training {
                rows: 86_400,
                span_seconds: 86_400.0,
                missing: 0.0002,
                loss: network.autoencoder.as_ref().map(|_| 0.031),
                command: String::new(),
            },
            charts: Charts {
                a: tail.clone(),
                b: tail,
            },
            sensors: (0..SENSORS).map(sensor).collect(),
            edges: vec![Edge {
                target: 0,
                source: 1,
                weight: -0.1,
            }],
            heads,
        },
        golden: Golden {
            count,
            windows: ramp(count * WINDOW * SENSORS),
            reconstruction: ramp(count * WINDOW * SENSORS),
            neighbour: ramp(count * SENSORS),
            score: ramp(count),
            torch: Some(GoldenTorch {
                reconstruction: ramp(count * WINDOW * SENSORS),
                neighbour: ramp(count * SENSORS),
                score: ramp(count),
            }),
        },
        network: Network::GraphLstm(network),
        digest: String::new(),
    }
}

/// The file's entries as they would be written, to be tampered with.
fn entries(folder: &Path, model: &ModelFile) -> Vec<Entry> {
    let path = folder.join("whole.pt");
    model.save(&path).unwrap();
    let mut archive = torchscript::Archive::open(&path).unwrap();
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| {
            let content = archive.read(&name, 1 << 24).unwrap();
            Entry { name, content }
        })
        .collect()
}

/// Writes entries with the digest that is right for them.
fn write(folder: &Path, mut entries: Vec<Entry>) -> PathBuf {
    entries.retain(|entry| entry.name != archive::DIGEST_ENTRY);
    let digest = archive::digest(&entries);
    entries.push(Entry::new(archive::DIGEST_ENTRY, digest.into_bytes()));
    let path = folder.join("tampered.pt");
    torchscript::save_entries(&path, &entries).unwrap();
    path
}

fn content<'a>(entries: &'a mut [Entry], name: &str) -> &'a mut Vec<u8> {
    let entry = entries.iter_mut().find(|entry| entry.name == name);
    &mut entry.unwrap().content
}

fn edit(entries: &mut [Entry], name: &str, from: &str, to: &str) {
    let content = content(entries, name);
    let text = String::from_utf8(content.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    *content = text.replace(from, to).into_bytes();
}

fn refusal(path: &Path) -> String {
    ModelFile::load(path).unwrap_err().to_string()
}

#[track_caller]
fn says(message: &str, reason: &str) {
    assert!(message.contains(reason), "{message}");
}

#[test]
fn a_saved_model_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plant.pt");
    let closed = GraphLstm {
        autoencoder: None,
        ..network(1)
    };
    let raw = GraphLstm {
        neighbour: None,
        ..closed.clone()
    };
    let plain = GraphLstm {
        neighbour: None,
        ..network(2)
    };
    for network in [network(1), network(2), closed, raw, plain] {
        let model = model(network.clone());
        let digest = model.save(&path).unwrap();
        let loaded = ModelFile::load(&path).unwrap();
        assert_eq!(loaded.digest, digest);
        assert_eq!(loaded.path, path);
        assert_eq!(loaded.network, model.network);
        assert_eq!(loaded.manifest, model.manifest);
        assert_eq!(loaded.golden, model.golden);
        assert_eq!(ModelFile::load_network(&path).unwrap(), model.network);

        torchscript::save_network(&path, &network).unwrap();
        assert_eq!(ModelFile::load_network(&path).unwrap(), model.network);
    }
}

#[test]
fn the_same_model_gives_the_same_bytes_and_nothing_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a.pt", "b.pt"].map(|name| folder.path().join(name));
    let one = model(network(1)).save(&first).unwrap();
    std::fs::write(&second, "an older file").unwrap();
    let other = model(network(1)).save(&second).unwrap();
    assert_eq!(one, other);
    assert_eq!(
        std::fs::read(&first).unwrap(),
        std::fs::read(&second).unwrap()
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);

    let changed = model(GraphLstm::init(SENSORS, 4, WINDOW, 1, 6));
    assert_ne!(changed.save(&first).unwrap(), one);
}

#[test]
fn weights_go_to_the_trainer_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write_weights(&path, &network(2)).unwrap();
    let mut other = GraphLstm {
        neighbour: Some(Linear::zeros(SENSORS, SENSORS)),
        ..GraphLstm::init(SENSORS, 4, WINDOW, 2, 99)
    };
    read_weights(&path, &mut other).unwrap();
    assert_eq!(other, network(2));
}

#[test]
fn a_manifest_that_does_not_fit_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let good = entries(folder.path(), &model(network(1)));
    for (from, to, reason) in [
        (
            "schema = 1",
            "schema = 2",
            "it has schema 2, but this anomalyd knows only 1: update anomalyd",
        ),
        (
            "window = 6",
            "window = 7",
            "[16, 6, 3] where [16, 7, 3] is expected",
        ),
        (
            "hidden = 4",
            "hidden = 8",
            "says 8 hidden units, but its weights are for 4",
        ),
        (
            "source = 1",
            "source = 3",
            "edge 0 leads from sensor 3 to 0; they must be two of 0 to 2",
        ),
        (
            "period_seconds = 0.1",
            "period_seconds = -1",
            "period_seconds is -1, must be a number above 0",
        ),
        (
            "name = \"FIT400\"",
            "name = \"FIT401\"",
            "\"FIT401\" is empty or given twice",
        ),
        (
            "rows = 86400",
            "rows = \"many\"",
            "extra/manifest.toml: line",
        ),
    ] {
        let mut entries = good.clone();
        edit(&mut entries, "extra/manifest.toml", from, to);
        let path = write(folder.path(), entries);
        says(&refusal(&path), reason);
        says(&refusal(&path), path.to_str().unwrap());
    }
}

#[test]
fn missing_and_damaged_parts_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let good = entries(folder.path(), &model(network(1)));

    let mut entries = good.clone();
    entries.retain(|entry| entry.name != "extra/golden.safetensors");
    let message = refusal(&write(folder.path(), entries));
    says(&message, "no entry extra/golden.safetensors");

    let path = folder.path().join("bare.pt");
    let mut entries = good.clone();
    entries.retain(|entry| !entry.name.starts_with("extra/"));
    torchscript::save_entries(&path, &entries).unwrap();
    says(&refusal(&path), "as `anomalyd train` wrote it");

    entries.push(Entry::new("extra/manifest.toml", Vec::new()));
    torchscript::save_entries(&path, &entries).unwrap();
    says(&refusal(&path), "no extra/digest");

    let mut entries = good.clone();
    content(&mut entries, "extra/digest")[..4].copy_from_slice(b"zzzz");
    torchscript::save_entries(&path, &entries).unwrap();
    says(&refusal(&path), "damaged or was changed");

    let mut entries = good.clone();
    let nan = f32::NAN.to_le_bytes();
    content(&mut entries, "data/8")[..4].copy_from_slice(&nan);
    let message = refusal(&write(folder.path(), entries));
    says(&message, "output.weight holds NaN at position 0");

    let mut entries = good;
    content(&mut entries, "data/8").truncate(8);
    let message = refusal(&write(folder.path(), entries));
    says(&message, "its tensor weight reaches beyond data/8");
}

#[test]
fn a_model_that_would_be_refused_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plant.pt");
    let mut itself = network(1);
    if let Some(linear) = &mut itself.neighbour {
        linear.weight[4] = 0.5;
    }
    let mut headless = model(network(1));
    headless.network = Network::GraphLstm(GraphLstm::init(SENSORS, 4, WINDOW, 1, 5));
    let mut few = model(network(1));
    few.golden.count = 3;
    for (model, reason) in [
        (model(itself), "expects sensor 1 from itself"),
        (
            headless,
            "scores the head neighbour, which its network does not have",
        ),
        (few, "3 golden windows where at least 16 are needed"),
    ] {
        let error = model.save(&path).unwrap_err();
        assert!(matches!(error, ModelError::Refused { .. }), "{error}");
        says(&error.to_string(), reason);
        says(&error.to_string(), "not written");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn somebodys_module_keeps_its_code_and_gets_our_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("module.pt");
    // The weights of our architecture, but another forward: it must not run as ours.
    let mut theirs = torchscript::entries(&network(1));
    edit(
        &mut theirs,
        "code/__torch__/anomalyd.py",
        "return (reconstruction, estimate)",
        "return (torch.neg(reconstruction), estimate)",
    );
    torchscript::save_entries(&bare, &theirs).unwrap();
    let foreign = ModelFile::load_network(&bare).unwrap();
    let class = "GraphLstmAutoencoder".to_owned();
    assert_eq!(foreign, Network::Foreign { class });

    let file = ModelFile {
        network: foreign,
        path: bare,
        ..model(network(1))
    };
    let path = folder.path().join("wrapped.pt");
    let digest = file.save(&path).unwrap();
    let loaded = ModelFile::load(&path).unwrap();
    assert_eq!(loaded.network, file.network);
    assert_eq!(loaded.manifest, file.manifest);
    assert_eq!(loaded.digest, digest);
    let mut archive = torchscript::Archive::open(&path).unwrap();
    for entry in theirs {
        assert_eq!(archive.read(&entry.name, 1 << 20).unwrap(), entry.content);
    }
    // Once more from the wrapped file: its extra/ is replaced, not doubled.
    assert_eq!(loaded.save(&path).unwrap(), digest);
}

#[test]
fn other_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    says(&refusal(&path), "model.pt: No such file");
    std::fs::write(&path, "time,FIT401\n").unwrap();
    says(&refusal(&path), "not a TorchScript archive");
    // A state dictionary, as torch.save writes it.
    let pickle = b"\x80\x02ccollections\nOrderedDict\n)R.".to_vec();
    torchscript::save_entries(&path, &[Entry::new("data.pkl", pickle)]).unwrap();
    let message = ModelFile::load_network(&path).unwrap_err().to_string();
    says(&message, "torch.jit.script(module).save(path)");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_refused_or_still_the_same_model(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plant.pt");
        model(network(1)).save(&path).unwrap();
        let whole = ModelFile::load(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&path, bytes).unwrap();
        if let Ok(model) = ModelFile::load(&path) {
            prop_assert_eq!(model, whole);
        }
        let _ = ModelFile::load_network(&path);
    }

    #[test]
    fn a_module_with_altered_parts_never_makes_it_panic(
        changes in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
            1..4,
        ),
        in_pickle in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module.pt");
        let mut entries = torchscript::entries(&network(1));
        for (entry, place, byte) in changes {
            // The first entry is data.pkl.
            let entry = if in_pickle { 0 } else { entry.index(entries.len()) };
            let content = &mut entries[entry].content;
            let place = place.index(content.len());
            content[place] = byte;
        }
        torchscript::save_entries(&path, &entries).unwrap();
        let _ = ModelFile::load_network(&path);
    }
}
