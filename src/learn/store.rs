//! The models of the service: the one in force, and the one before it. Imports `model`, `pipeline`
//! and `message`.
//!
//! - `current.pt` is at every instant a whole model that was verified, also across a power cut.
//! - `previous.pt` is what was in force before, for `anomalyd model rollback`.
//! - `refused.pt` is the last one that did not verify; `refused.txt` says why.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::engine::torch::TorchConfig;
use crate::message::Message;
use crate::model::{Manifest, ModelFile};
use crate::pipeline::{EngineChoice, open_engine};

/// Name in the models' folder of the model in force.
pub const CURRENT: &str = "current.pt";
const PREVIOUS: &str = "previous.pt";
const CANDIDATE: &str = "candidate.pt";
const REFUSED: &str = "refused.pt";
const REASON: &str = "refused.txt";
/// The model in force while a rollback puts it in the other's place.
const SWAPPED: &str = "swapped.pt";

/// The models' folder.
#[derive(Debug, Clone)]
pub struct ModelStore {
    folder: PathBuf,
    engine: EngineChoice,
    torch: TorchConfig,
}

/// Another model is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name and version.
    pub model: String,
    /// Of the one that was in force before; none where there was none that works.
    pub before: Option<String>,
    /// Golden vectors that were reproduced, and on which engine.
    pub vectors: usize,
    pub engine: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the new model is not taken, the one in force stays: {reason}; kept as {}", kept.display())]
    Refused { kept: PathBuf, reason: String },
    #[error("{}: there is no model to go back to", path.display())]
    NoPrevious { path: PathBuf },
    #[error("the previous model is not taken, the one in force stays: {reason}")]
    PreviousRefused { reason: String },
}

fn at(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

/// A model that reproduces its golden vectors here.
struct Verified {
    model: String,
    vectors: usize,
    engine: &'static str,
}

impl ModelStore {
    /// Opens the folder, or makes it; ends a rollback that a power cut interrupted.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let store = ModelStore {
            folder: folder.to_owned(),
            engine: EngineChoice::Auto,
            torch: TorchConfig::default(),
        };
        let swapped = store.file(SWAPPED);
        if swapped.exists() {
            let _lock = store.lock()?;
            match store.previous().exists() {
                true => fs::remove_file(&swapped),
                false => fs::rename(&swapped, store.previous()),
            }
            .map_err(at(&swapped))?;
        }
        Ok(store)
    }

    /// Verifies on the engine that the service uses.
    pub fn on_engine(mut self, engine: EngineChoice, torch: TorchConfig) -> Self {
        self.engine = engine;
        self.torch = torch;
        self
    }

    /// The model in force.
    pub fn current(&self) -> PathBuf {
        self.file(CURRENT)
    }

    /// The one before it.
    pub fn previous(&self) -> PathBuf {
        self.file(PREVIOUS)
    }

    /// Where a new model is best written: no copy is needed to put it in force.
    pub fn candidate(&self) -> PathBuf {
        self.file(CANDIDATE)
    }

    /// The last one that was refused, and why.
    pub fn refused(&self) -> (PathBuf, PathBuf) {
        (self.file(REFUSED), self.file(REASON))
    }

    /// One more than the highest version of the models that are here.
    pub fn next_version(&self) -> u64 {
        let of = |path: PathBuf| ModelFile::load(&path).ok()?.manifest.version.parse().ok();
        let versions = [self.current(), self.previous()].into_iter().filter_map(of);
        versions
            .max()
            .map_or(1, |highest: u64| highest.saturating_add(1))
    }

    /// Puts the model `candidate` in force, once it is verified; the file is moved. What was in
    /// force becomes the previous one, unless it is damaged: a working previous one is worth more.
    ///
    /// # Errors
    /// It does not verify: then it is kept as refused, and nothing else changes. Or the folder
    /// cannot be written.
    pub fn install(&self, candidate: &Path) -> Result<Installed, StoreError> {
        let _lock = self.lock()?;
        let verified = match self.verify(candidate) {
            Ok(verified) => verified,
            Err(reason) => return Err(self.refuse(candidate, reason)),
        };
        let mine = self.candidate();
        if candidate != mine {
            self.move_in(candidate, &mine)?;
        }
        let current = self.current();
        let before = ModelFile::load(&current).ok();
        if before.is_some() {
            let next = self.file("previous.new");
            link(&current, &next).map_err(at(&next))?;
            fs::rename(&next, self.previous()).map_err(at(&next))?;
        }
        fs::rename(&mine, &current).map_err(at(&mine))?;
        self.sync()?;
        let installed = Installed {
            before: before.map(|model| name(&model.manifest)),
            model: verified.model,
            vectors: verified.vectors,
            engine: verified.engine,
        };
        log::info!(
            target: "model",
            MESSAGE_ID = Message::ModelChanged.id(), ANOMALYD_MODEL = installed.model.as_str();
            "model {} is in force from now on: {} golden vectors reproduced on engine {}{}",
            installed.model,
            installed.vectors,
            installed.engine,
            match &installed.before {
                Some(before) => format!("; {before} is kept for `anomalyd model rollback`"),
                None => String::new(),
            }
        );
        Ok(installed)
    }

    /// Puts the previous model in force again, once it is verified, and the one in force in its
    /// place: done twice, nothing has changed.
    ///
    /// # Errors
    /// There is none, it does not verify, or the folder cannot be written; nothing changes.
    pub fn rollback(&self) -> Result<Installed, StoreError> {
        let _lock = self.lock()?;
        let (current, previous) = (self.current(), self.previous());
        if !previous.exists() {
            return Err(StoreError::NoPrevious { path: previous });
        }
        let verified = self
            .verify(&previous)
            .map_err(|reason| StoreError::PreviousRefused { reason })?;
        let before = ModelFile::load(&current).ok();
        let swapped = self.file(SWAPPED);
        let there_is_one = current.exists();
        if there_is_one {
            link(&current, &swapped).map_err(at(&swapped))?;
        }
        fs::rename(&previous, &current).map_err(at(&previous))?;
        if there_is_one {
            fs::rename(&swapped, &previous).map_err(at(&swapped))?;
        }
        self.sync()?;
        let installed = Installed {
            before: before.map(|model| name(&model.manifest)),
            model: verified.model,
            vectors: verified.vectors,
            engine: verified.engine,
        };
        log::warn!(
            target: "model",
            MESSAGE_ID = Message::ModelRolledBack.id(), ANOMALYD_MODEL = installed.model.as_str();
            "model {} is in force again{}",
            installed.model,
            match &installed.before {
                Some(before) => format!(" in place of {before}"),
                None => String::new(),
            }
        );
        Ok(installed)
    }

    fn verify(&self, path: &Path) -> Result<Verified, String> {
        let model = ModelFile::load(path).map_err(|error| error.to_string())?;
        let (engine, agreement) =
            open_engine(&model, self.engine, &self.torch).map_err(|error| error.to_string())?;
        Ok(Verified {
            model: name(&model.manifest),
            vectors: agreement.vectors,
            engine: engine.name(),
        })
    }

    fn refuse(&self, candidate: &Path, reason: String) -> StoreError {
        let (kept, why) = self.refused();
        log::error!(
            target: "model",
            MESSAGE_ID = Message::ModelRefused.id();
            "the new model is not taken, the one in force stays: {reason}"
        );
        let moved = self
            .move_in(candidate, &kept)
            .and_then(|()| fs::write(&why, format!("{reason}\n")).map_err(at(&why)));
        match moved {
            Ok(()) => StoreError::Refused { kept, reason },
            // That it is refused is what matters.
            Err(_) => StoreError::Refused {
                kept: candidate.to_owned(),
                reason,
            },
        }
    }

    /// Moves a file into the folder, from another disk too.
    fn move_in(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        if fs::rename(from, to).is_ok() {
            return Ok(());
        }
        copy(from, to).map_err(at(to))?;
        fs::remove_file(from).map_err(at(from))
    }

    /// One at a time: the service and a person may change models at the same moment.
    fn lock(&self) -> Result<Flock<File>, StoreError> {
        let folder = File::open(&self.folder).map_err(at(&self.folder))?;
        Flock::lock(folder, FlockArg::LockExclusive)
            .map_err(|(_, error)| at(&self.folder)(error.into()))
    }

    fn sync(&self) -> Result<(), StoreError> {
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(at(&self.folder))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn name(manifest: &Manifest) -> String {
    format!("{} {}", manifest.name, manifest.version)
}

/// A second name for a file, or a copy where the disk has no such thing (or the kernel forbids it
/// for a file of another user).
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(from, to).or_else(|_| copy(from, to))
}

/// All of it on the disk before it has its name.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let aside = to.with_extension("part");
    let mut file = File::create(&aside)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(aside, to)
}
