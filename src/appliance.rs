//! The user's file on a card's first partition, taken over once.
//!
//! ```text
//!  card (FAT)                     machine
//!  anomalyd.toml ──► text ──► checked as a whole ──► files in /etc and /var, one after the other
//!  plant.pt …                                              │ all of them lasting
//!  anomalyd-result.txt ◄── what was done ◄─────────────────┘
//!  the file and what it names: overwritten, then removed
//! ```
//!
//! A power cut at any moment leaves the file on the card, and the next start does all of it again, or
//! the file marked as taken over, and the next start only removes it. Imports `config` and `durable`.

mod apply;
mod card;
mod check;
mod encoding;
mod owner;
mod plan;
mod references;
mod report;

use std::io;
use std::path::{Path, PathBuf};

pub use apply::Steps;
pub use check::ModelCheck;
pub use report::Report;

use card::{Card, Found};
use check::Checked;

/// The file that is taken over.
pub const FILE: &str = "anomalyd.toml";
/// The file that says what came of it.
pub const RESULT: &str = "anomalyd-result.txt";

/// Where the machine and the card are.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/`, or the root folder of another system.
    pub root: PathBuf,
    /// Where the card's first partition is mounted, as a full path in that system.
    pub boot: PathBuf,
}

impl Places {
    /// `path` of the system, from here.
    fn of(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// There is no file.
    Nothing,
    /// A file that was taken over before is gone now.
    Removed,
    /// The file is in force. The error says why it could not be removed from the card.
    TakenOver(Report, Option<ProvisionError>),
    /// The file is wrong, and nothing was changed. The error says why the card does not tell.
    Refused(Report, Option<ProvisionError>),
}

/// Something could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}: {source}")]
pub struct ProvisionError {
    pub path: PathBuf,
    pub what: &'static str,
    pub source: io::Error,
}

impl ProvisionError {
    fn new(path: &Path, what: &'static str, source: io::Error) -> Self {
        ProvisionError {
            path: path.to_owned(),
            what,
            source,
        }
    }
}

/// Takes the file over, if there is one. `model_check` verifies a model file and names its sensors.
///
/// # Errors
/// The machine's files could not be written. The file stays on the card, and the next call does it
/// again from the start.
pub fn provision(
    places: &Places,
    model_check: ModelCheck<'_>,
    steps: &mut Steps,
) -> Result<Outcome, ProvisionError> {
    let mut card = Card::new(places.of(&places.boot));
    let file = match card.find()? {
        Found::Nothing => return Ok(Outcome::Nothing),
        Found::OtherName(name) => {
            let report = Report::other_name(&name);
            return Ok(refused(&mut card, report, steps));
        }
        Found::File(file) => file,
    };
    let bytes = match card.read(&file)? {
        Ok(bytes) if card::is_wiped(&bytes) => {
            // A power cut came in between; all else was done before.
            card.wipe(&file, steps)?;
            return Ok(Outcome::Removed);
        }
        Ok(bytes) => bytes,
        Err(why) => return Ok(refused(&mut card, Report::unreadable(None, why), steps)),
    };
    let text = match encoding::text(&bytes) {
        Ok(text) => text,
        Err((line, why)) => {
            let report = Report::unreadable(line, why);
            return Ok(refused(&mut card, report, steps));
        }
    };
    let checked = match check::check(&text, places, &card, model_check)? {
        Ok(checked) => checked,
        Err(mistakes) => return Ok(refused(&mut card, Report::mistakes(&mistakes), steps)),
    };
    if let Err(error) = apply_all(&checked, places, steps) {
        // Where nobody can log in, the card is all that tells.
        let told = card.write_result(&Report::failed(&error.to_string()).text, steps);
        if let Err(untold) = told {
            log::warn!(target: "provision", "{untold}");
        }
        return Err(error);
    }
    let report = Report::taken_over(&checked, card.clock_is_set(&file));
    let left = clear(&mut card, &file, &checked, &report, steps).err();
    Ok(Outcome::TakenOver(report, left))
}

/// Says on the card, if there is a file, that it cannot be taken over now, and why.
///
/// # Errors
/// The card cannot be read.
pub fn decline(places: &Places, why: &str) -> Result<Outcome, ProvisionError> {
    let mut card = Card::new(places.of(&places.boot));
    Ok(match card.find()? {
        Found::File(_) => refused(&mut card, Report::failed(why), &mut Steps::unlimited()),
        Found::Nothing | Found::OtherName(_) => Outcome::Nothing,
    })
}

fn apply_all(checked: &Checked, places: &Places, steps: &mut Steps) -> Result<(), ProvisionError> {
    let owner = owner::Owner::of_service(&places.root)?;
    plan::changes(checked)
        .iter()
        .try_for_each(|change| apply::apply(change, places, owner, steps))
}

/// Tells on the card what was done, and removes what was taken over: the file itself last, for
/// without it nobody would look for the others.
fn clear(
    card: &mut Card,
    file: &Path,
    checked: &Checked,
    report: &Report,
    steps: &mut Steps,
) -> Result<(), ProvisionError> {
    card.remove_filler()?;
    card.write_result(&report.text, steps)?;
    for file in checked.files.iter().filter_map(|one| one.card.as_deref()) {
        card.wipe(file, steps)?;
    }
    card.wipe_free_room(steps)?;
    card.wipe(file, steps)
}

fn refused(card: &mut Card, report: Report, steps: &mut Steps) -> Outcome {
    let untold = card.write_result(&report.text, steps).err();
    Outcome::Refused(report, untold)
}

/// Whether what is written to `/etc` and `/var` outlives a restart, by the text of
/// `/proc/self/mountinfo`: both are overlays on the data partition, which may have failed to mount.
pub fn outlives_restart(mountinfo: &str) -> bool {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
    let data = mountinfo.lines().rev().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let at = mount.split(' ').nth(4)?;
        (at == "/data").then(|| file_system.split(' ').next().unwrap_or_default())
    });
    data.is_some_and(|kind| kind != "tmpfs" && kind != "ramfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_data_partition_outlives_a_restart() {
        let line = |at: &str, kind: &str| {
            format!("36 35 98:0 / {at} rw,noatime shared:1 - {kind} /dev/x rw\n")
        };
        let root = line("/", "squashfs");
        assert!(outlives_restart(&(root.clone() + &line("/data", "ext4"))));
        assert!(!outlives_restart(&(root.clone() + &line("/data", "tmpfs"))));
        assert!(!outlives_restart(&(root + &line("/database", "ext4"))));
        assert!(!outlives_restart(""));
    }
}
