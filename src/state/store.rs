//! `state.json`: one [`StreamState`].

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::StateError;
use crate::durable;
use crate::message::Message;
use crate::pipeline::{SCHEMA, StreamState};

/// The name of the file in the state folder.
pub const STATE: &str = "state.json";
/// A state is 6 KB for 51 sensors and at most 200 KB for 1024; anything much larger is none.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Files that were set aside and are kept.
const MOST_SET_ASIDE: usize = 3;

/// The state folder's `state.json`.
#[derive(Debug, Clone)]
pub struct StateStore {
    path: PathBuf,
}

/// What every schema has.
#[derive(serde::Deserialize)]
struct Stamp {
    schema: u32,
}

impl StateStore {
    /// The store in `folder`, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        StateStore {
            path: folder.join(STATE),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the saved state: after a power cut the old or the new one is there, whole.
    ///
    /// # Errors
    /// The file cannot be written, as the disk is full or the folder is not ours; the old one is
    /// still there.
    pub fn save(&self, state: &StreamState) -> Result<(), StateError> {
        let content = serde_json::to_vec(state).map_err(io::Error::from);
        content
            .and_then(|content| {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder)?;
                }
                durable::replace(&self.path, &content)
            })
            .map_err(StateError::unwritable(&self.path))
    }

    /// The saved state; none where there is none yet. One that cannot be used is journaled, set
    /// aside as `state.json.bad-1` (to `-3`), and none.
    pub fn load(&self) -> Option<StreamState> {
        let reason = match self.read() {
            Ok(state) => return state,
            Err(reason) => reason,
        };
        let kept = match self.set_aside() {
            Ok(path) => format!("it is kept as {}", path.display()),
            Err(error) => format!("it cannot be set aside ({error})"),
        };
        log::warn!(
            target: "state",
            MESSAGE_ID = Message::StateUnreadable.id();
            "{}: {reason}; {kept}, and what was learnt since the model was trained starts anew",
            self.path.display()
        );
        None
    }

    fn read(&self) -> Result<Option<StreamState>, String> {
        let in_words = |error: io::Error| format!("cannot be read: {error}");
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(in_words)?,
        };
        let mut content = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut content)
            .map_err(in_words)?;
        if content.len() as u64 > LARGEST {
            return Err("is too large to be a saved state".to_owned());
        }
        let damaged = |error: serde_json::Error| format!("is damaged: {error}");
        let Stamp { schema } = serde_json::from_slice(&content).map_err(damaged)?;
        if schema != SCHEMA {
            return Err(format!(
                "is of schema {schema}, this anomalyd knows {SCHEMA}"
            ));
        }
        serde_json::from_slice(&content).map(Some).map_err(damaged)
    }

    /// The newest is `bad-1`.
    fn set_aside(&self) -> io::Result<PathBuf> {
        let place = |number: usize| {
            let name = format!("{STATE}.bad-{number}");
            self.path.with_file_name(name)
        };
        for number in (1..MOST_SET_ASIDE).rev() {
            match fs::rename(place(number), place(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, place(1))?;
        Ok(place(1))
    }
}

#[cfg(test)]
mod tests;
