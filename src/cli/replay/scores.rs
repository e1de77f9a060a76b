//! The scores of a replay as CSV, to plot or to compare. Imports `pipeline` (its outcomes) and
//! `simulate` (a file that appears whole).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::Unwritable;
use crate::frame::Timestamp;
use crate::pipeline::Outcome;
use crate::simulate::record::Draft;

/// One line a frame, `time,score,relative`; both numbers are empty where a frame has no score.
pub struct ScoreFile {
    path: PathBuf,
    draft: Draft,
    written: io::Result<()>,
}

impl ScoreFile {
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> Result<Self, Unwritable> {
        let begun = Draft::create(path).and_then(|mut draft| {
            writeln!(draft, "time,score,relative")?;
            Ok(draft)
        });
        Ok(ScoreFile {
            draft: begun.map_err(|error| unwritable(path, &error))?,
            path: path.to_owned(),
            written: Ok(()),
        })
    }

    pub fn take(&mut self, time: Timestamp, outcome: &Outcome) {
        if self.written.is_err() {
            return;
        }
        // The shortest text that reads back as the same number.
        self.written = match outcome {
            Outcome::Scored(score, _) => {
                let (published, relative) = (score.published, score.relative);
                writeln!(self.draft, "{time},{published},{relative}")
            }
            Outcome::WindowFilling | Outcome::Skipped | Outcome::Unscored(_) => {
                writeln!(self.draft, "{time},,")
            }
        };
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// A line could not be written; then there is no file.
    pub fn finish(self) -> Result<(), Unwritable> {
        self.written
            .and_then(|()| self.draft.finish())
            .map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Unwritable {
    Unwritable(format!("{}: cannot be written: {error}", path.display()))
}
