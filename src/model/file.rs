//! The whole model file: loading with every check, and writing. Imports `model` only.

use std::path::Path;

use super::golden::Golden;
use super::manifest::HeadKind;
use super::torchscript::archive::{self, DIGEST_ENTRY};
use super::torchscript::{self, Archive, ArchiveError, Entry};
use super::{GraphLstm, Manifest, ModelError, ModelFile, Network};

const MANIFEST_ENTRY: &str = "extra/manifest.toml";
const GOLDEN_ENTRY: &str = "extra/golden.safetensors";
const MAX_MANIFEST_BYTES: u64 = 64 << 20;
const MAX_GOLDEN_BYTES: u64 = 512 << 20;
/// An entry of a foreign module that is copied.
const MAX_ENTRY_BYTES: u64 = 1 << 30;

impl ModelFile {
    /// Loads a model file and checks its digest, its schema, and that weights, manifest and golden
    /// vectors fit each other.
    ///
    /// # Errors
    /// The file cannot be read, is no TorchScript archive, or is refused: with the reason, and what
    /// to do.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let mut archive = open(path)?;
        let fail = |error| archive_error(path, error);
        let refuse = |reason| refused(path, reason);
        if !archive.contains(MANIFEST_ENTRY) {
            return Err(refuse(format!(
                "it is a bare TorchScript module without {MANIFEST_ENTRY}, which PyTorch drops when \
                 it saves a model again; take the file as `anomalyd train` wrote it, or make a model \
                 of it with `anomalyd model wrap {} --data normal.csv --out model.pt`",
                path.display()
            )));
        }
        if !archive.contains(DIGEST_ENTRY) {
            return Err(refuse(format!(
                "it has no {DIGEST_ENTRY}, so it was cut or changed; copy the file again, or train \
                 the model again"
            )));
        }
        let stated = archive.read(DIGEST_ENTRY, 1024).map_err(fail)?;
        let digest = archive.digest().map_err(fail)?;
        if stated.trim_ascii() != digest.as_bytes() {
            return Err(refuse(format!(
                "its contents have the digest {}…, not the {}… that it states: it is damaged or \
                 was changed; copy the file again, or train the model again",
                &digest[..12],
                String::from_utf8_lossy(&stated[..stated.len().min(12)]).escape_default()
            )));
        }
        let manifest = archive
            .read(MANIFEST_ENTRY, MAX_MANIFEST_BYTES)
            .map_err(fail)?;
        let manifest = std::str::from_utf8(&manifest)
            .map_err(|_| format!("its {MANIFEST_ENTRY} is not UTF-8"))
            .and_then(Manifest::from_toml)
            .map_err(refuse)?;
        let network = torchscript::recognise(&mut archive).map_err(fail)?;
        let golden = archive.read(GOLDEN_ENTRY, MAX_GOLDEN_BYTES).map_err(fail)?;
        let golden = Golden::from_bytes(&golden, manifest.window, manifest.sensors.len())
            .map_err(|reason| refuse(format!("its {GOLDEN_ENTRY}: {reason}")))?;
        let file = ModelFile {
            path: path.to_owned(),
            network,
            manifest,
            golden,
            digest,
        };
        file.check().map_err(refuse)?;
        Ok(file)
    }

    /// The module in an archive with or without `extra/`. T is what the module says (an integer
    /// attribute `window_length`, or a number in its source), else 10: set it as the user wants.
    ///
    /// # Errors
    /// The file cannot be read or is no TorchScript archive.
    pub fn load_network(path: &Path) -> Result<Network, ModelError> {
        torchscript::recognise(&mut open(path)?).map_err(|error| archive_error(path, error))
    }

    /// Writes the model to `path` and returns its digest. The same model gives the same bytes; at
    /// every moment `path` is either the old file or the whole new one, also across a power cut.
    /// `self.digest` is not looked at. A foreign module is copied from the archive at `self.path`.
    ///
    /// # Errors
    /// The parts do not fit each other (nothing is written then), or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<String, ModelError> {
        let refuse = |reason| refused(path, format!("not written: {reason}"));
        self.check().map_err(refuse)?;
        let mut entries = match &self.network {
            Network::GraphLstm(network) => torchscript::entries(network),
            Network::Foreign { .. } => foreign_entries(&self.path)?,
        };
        let manifest = self.manifest.to_toml().map_err(refuse)?;
        let golden = self
            .golden
            .to_bytes(self.manifest.window, self.manifest.sensors.len())
            .map_err(refuse)?;
        entries.push(Entry::new(MANIFEST_ENTRY, manifest.into_bytes()));
        entries.push(Entry::new(GOLDEN_ENTRY, golden));
        let digest = archive::digest(&entries);
        entries.push(Entry::new(DIGEST_ENTRY, format!("{digest}\n").into_bytes()));
        torchscript::save_entries(path, &entries)?;
        Ok(digest)
    }

    /// Whether weights, manifest and golden vectors are right in themselves and fit each other.
    fn check(&self) -> Result<(), String> {
        let manifest = &self.manifest;
        manifest
            .check()
            .map_err(|reason| format!("its {MANIFEST_ENTRY}: {reason}"))?;
        self.golden
            .check()
            .map_err(|reason| format!("its {GOLDEN_ENTRY}: {reason}"))?;
        let Network::GraphLstm(network) = &self.network else {
            return Ok(());
        };
        network.check().map_err(|error| error.to_string())?;
        for (what, stated, found) in [
            ("sensors", manifest.sensors.len(), network.sensors),
            ("frames in a window", manifest.window, network.window),
            ("hidden units", manifest.hidden, network.hidden()),
        ] {
            if stated != found {
                return Err(format!(
                    "its manifest says {stated} {what}, but its weights are for {found}: they are \
                     from two models; train again"
                ));
            }
        }
        for (head, present) in [
            (HeadKind::Reconstruction, network.autoencoder.is_some()),
            (HeadKind::Neighbour, network.neighbour.is_some()),
        ] {
            if manifest.heads.contains(&head) && !present {
                return Err(format!(
                    "its manifest scores the head {}, which its network does not have; train again",
                    head.name()
                ));
            }
        }
        check_diagonal(network)
    }
}

/// A sensor that is part of its own expectation would hide its own faults.
fn check_diagonal(network: &GraphLstm) -> Result<(), String> {
    let Some(neighbour) = &network.neighbour else {
        return Ok(());
    };
    let sees_itself = (0..neighbour.output)
        .find(|sensor| neighbour.weight[sensor * neighbour.input + sensor] != 0.0);
    match sees_itself {
        None => Ok(()),
        Some(sensor) => Err(format!(
            "its neighbour head expects sensor {sensor} from itself; the diagonal of \
             neighbour.weight must be 0"
        )),
    }
}

/// All of a module's entries but `extra/`, which is ours.
fn foreign_entries(path: &Path) -> Result<Vec<Entry>, ModelError> {
    let mut archive = open(path)?;
    let names: Vec<String> = archive
        .names()
        .filter(|name| !name.starts_with("extra/"))
        .map(str::to_owned)
        .collect();
    names
        .into_iter()
        .map(|name| {
            let content = archive.read(&name, MAX_ENTRY_BYTES)?;
            Ok(Entry { name, content })
        })
        .collect::<Result<_, _>>()
        .map_err(|error| archive_error(path, error))
}

fn open(path: &Path) -> Result<Archive, ModelError> {
    Archive::open(path).map_err(|error| archive_error(path, error))
}

fn archive_error(path: &Path, error: ArchiveError) -> ModelError {
    match error {
        ArchiveError::Io(source) => ModelError::Io {
            path: path.to_owned(),
            source,
        },
        other => ModelError::NotAnArchive {
            path: path.to_owned(),
            reason: other.to_string(),
        },
    }
}

fn refused(path: &Path, reason: String) -> ModelError {
    ModelError::Refused {
        path: path.to_owned(),
        reason,
    }
}
