//! Training with libtorch beside the running service: all heads, at the lowest priority, in a
//! process of its own. Imports `engine` and its siblings.
//!
//! The process is `anomalyd train --background` on the recording. What it makes is put in force by
//! the store once it verifies; whatever goes wrong, the present model stays.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use super::store::ModelStore;
use super::{FOLDER, LearnError, MODELS};
use crate::engine::torch::{TorchConfig, locate};
use crate::frame::Timestamp;
use crate::pipeline::EngineChoice;

/// A training takes 345 MiB (measured: a day of 51 sensors at 1 s; 269 MiB of it libtorch's process),
/// and the service goes on beside it. In less it would not be the training alone that the kernel
/// slows down.
pub const NEEDED_BYTES: u64 = 400 << 20;
/// Between two tries.
const BETWEEN_TRIES: i64 = 86_400 * 1_000_000_000;
/// In the recording's folder: when it was tried, and what came of it.
const MARKER: &str = "background.json";
/// What the process says.
const LOG: &str = "training.log";
/// The process's temporary files; not in /tmp, which is memory on many machines.
const SCRATCH: &str = "training";
/// Of the log's end, in an error.
const SHOWN_BYTES: u64 = 600;
/// What systemd tells the service, and the service alone.
const NOT_INHERITED: [&str; 5] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
];

/// What is trained, and by which programs.
#[derive(Debug, Clone)]
pub struct BackgroundConfig {
    /// The state directory.
    pub state: PathBuf,
    /// anomalyd itself; as a rule [`std::env::current_exe`].
    pub program: PathBuf,
    pub name: String,
    pub max_false_alarms_per_week: f64,
    /// On which the result is verified: the one that the service uses.
    pub engine: EngineChoice,
    pub torch: TorchConfig,
    /// What the service and its children may use together (`memory.high` or `memory.max` of its
    /// cgroup, whichever is less); nothing where there is no limit.
    pub memory_limit: Option<u64>,
    /// Further options of `anomalyd train`.
    pub options: Vec<String>,
}

/// Something the service should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackgroundEvent {
    /// The better model is `models/current.pt` now: load it.
    Installed { model: String, text: String },
    /// It came to nothing; told once, although it is tried again.
    Failed { text: String },
}

/// Trains once there is a recording and libtorch, and tries again once a day where that fails.
#[derive(Debug)]
pub struct Background {
    config: BackgroundConfig,
    worker: PathBuf,
    folder: PathBuf,
    marker: Marker,
    child: Option<Child>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    tried_at: Option<Timestamp>,
    /// The failure was told.
    told: bool,
    done: bool,
}

impl Background {
    /// Nothing where there is nothing to do: no worker, no recording, or all is done already. The
    /// training itself begins with [`Background::poll`].
    pub fn start(config: BackgroundConfig) -> Option<Self> {
        let worker = locate(config.torch.worker.as_deref()).ok()?;
        let folder = config.state.join(FOLDER);
        let marker = read_marker(&folder);
        // Of a process that was ended in the middle.
        remove_scratch(&folder);
        let recording = fs::read_dir(&folder).ok()?.flatten();
        let mut blocks = recording.filter(|f| f.path().extension().is_some_and(|e| e == "rec"));
        if marker.done || blocks.next().is_none() {
            return None;
        }
        Some(Background {
            config,
            worker,
            folder,
            marker,
            child: None,
        })
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// To be called every few seconds; `now` is the time of day. Gives an event when there is news,
    /// and may take a second then: the new model is verified.
    pub fn poll(&mut self, now: Timestamp) -> Option<BackgroundEvent> {
        let Some(child) = &mut self.child else {
            if self.marker.done || !self.is_due(now) {
                return None;
            }
            if let Some(limit) = self
                .config
                .memory_limit
                .filter(|limit| *limit < NEEDED_BYTES)
            {
                return self.fail(&no_room(limit, &self.folder));
            }
            self.marker.tried_at = Some(now);
            // Kept first: a machine that this brings down must not try at once again.
            let kept = self.keep_marker();
            let begun = kept.and_then(|()| self.begin());
            return begun.err().and_then(|error| self.fail(&error.to_string()));
        };
        match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => {
                self.child = None;
                let ended = self.take_result(status);
                remove_scratch(&self.folder);
                match ended {
                    Ok(event) => Some(event),
                    Err(reason) => self.fail(&reason),
                }
            }
            Err(error) => {
                self.end();
                self.fail(&error.to_string())
            }
        }
    }

    /// A day since the last try, on whichever side a clock that was set has put it.
    fn is_due(&self, now: Timestamp) -> bool {
        let since = |tried: Timestamp| now.nanos_since(tried).unsigned_abs();
        self.marker
            .tried_at
            .is_none_or(|tried| since(tried) >= BETWEEN_TRIES.unsigned_abs())
    }

    fn begin(&mut self) -> Result<(), LearnError> {
        let store = self.store()?;
        let scratch = self.folder.join(SCRATCH);
        let _ = fs::remove_file(store.candidate());
        fs::create_dir_all(&scratch).map_err(LearnError::at(&scratch))?;
        let log = self.folder.join(LOG);
        let stderr = File::create(&log).map_err(LearnError::at(&log))?;
        let mut command = Command::new(&self.config.program);
        command
            .args(["train", "--background", "--heads"])
            .arg("reconstruction,neighbour,raw")
            .arg("--data")
            .arg(&self.folder)
            .arg("--out")
            .arg(store.candidate())
            .arg("--torch-worker")
            .arg(&self.worker)
            .args(["--name", &self.config.name])
            .args(["--model-version", &store.next_version().to_string()])
            .arg("--max-false-alarms-per-week")
            .arg(self.config.max_false_alarms_per_week.to_string())
            .args(&self.config.options)
            .env("TMPDIR", &scratch)
            // It ends when this closes: with the service, however that ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr);
        for variable in NOT_INHERITED {
            command.env_remove(variable);
        }
        let child = command
            .spawn()
            .map_err(LearnError::at(&self.config.program))?;
        log::info!(
            target: "learn",
            "training the LSTM autoencoder in the background, process {}; the present model goes on",
            child.id()
        );
        self.child = Some(child);
        Ok(())
    }

    fn take_result(&mut self, status: ExitStatus) -> Result<BackgroundEvent, String> {
        if !status.success() {
            let said = end_of(&self.folder.join(LOG)).unwrap_or_default();
            return Err(format!("{status}: {}", said.trim()));
        }
        let store = self.store().map_err(|error| error.to_string())?;
        let installed = store.install(&store.candidate());
        let installed = installed.map_err(|error| error.to_string())?;
        self.marker.done = true;
        if let Err(error) = self.keep_marker() {
            log::warn!(target: "learn", "{error}; it is trained again after a restart");
        }
        Ok(BackgroundEvent::Installed {
            text: format!(
                "learned with the LSTM autoencoder: model {}; {}",
                installed.model,
                match &installed.before {
                    Some(before) => format!("{before} stays for `anomalyd model rollback`"),
                    None => "there was none before".to_owned(),
                }
            ),
            model: installed.model,
        })
    }

    fn fail(&mut self, reason: &str) -> Option<BackgroundEvent> {
        let text = format!(
            "the LSTM autoencoder could not be trained, the present model stays: {reason}; tried \
             again once a day"
        );
        if self.marker.told {
            log::debug!(target: "learn", "{text}");
            return None;
        }
        self.marker.told = true;
        if let Err(error) = self.keep_marker() {
            log::warn!(target: "learn", "{error}");
        }
        Some(BackgroundEvent::Failed { text })
    }

    fn store(&self) -> Result<ModelStore, LearnError> {
        let store = ModelStore::open(&self.config.state.join(MODELS))?;
        Ok(store.on_engine(self.config.engine, self.config.torch.clone()))
    }

    fn keep_marker(&self) -> Result<(), LearnError> {
        let path = self.folder.join(MARKER);
        let aside = self.folder.join("background.new");
        serde_json::to_vec(&self.marker)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&aside, text))
            .and_then(|()| fs::rename(&aside, &path))
            .map_err(LearnError::at(&path))
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its workers end when its pipes to them close. Fails only where it has just ended.
            let _ = child.kill();
            let _ = child.wait();
            remove_scratch(&self.folder);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

fn no_room(limit: u64, folder: &Path) -> String {
    format!(
        "it needs {} MiB and the service may use {} MiB; raise MemoryHigh= and MemoryMax=, or train \
         elsewhere: anomalyd train --data {} --out model.pt",
        NEEDED_BYTES >> 20,
        limit >> 20,
        folder.display()
    )
}

/// What is left over takes disk space and does no other harm.
fn remove_scratch(folder: &Path) {
    let _ = fs::remove_dir_all(folder.join(SCRATCH));
}

/// Forgets that there was a training: there is another recording.
///
/// # Errors
/// The marker cannot be removed.
pub(super) fn forget(folder: &Path) -> Result<(), LearnError> {
    let path = folder.join(MARKER);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LearnError::at(&path)(error)),
        _ => Ok(()),
    }
}

/// What cannot be read counts as never tried.
fn read_marker(folder: &Path) -> Marker {
    let text = fs::read(folder.join(MARKER)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The last line or two of what the process said.
fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
    let mut end = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end).into_owned();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Ok(last.unwrap_or_default().to_owned())
}
