//! The bar on a terminal, and the folder for what training leaves lying about. Imports `train` for
//! what it tells of.

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::train::TrainProgress;

/// A progress bar on stderr, hidden where that is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        if !crate::cli::lively_stderr() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "{msg:34} {bar:28} {percent:>3} % {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar(bar)
    }

    pub fn show(&self, at: TrainProgress) {
        let bar = &self.0;
        let share = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        match at {
            TrainProgress::Graph => bar.set_message("sensor graph"),
            TrainProgress::Autoencoder { step, steps, loss } => {
                share(step, steps);
                bar.set_message(format!("LSTM autoencoder, loss {loss:.4}"));
            }
            TrainProgress::Judging { row, rows } => {
                share(row, rows);
                bar.set_message("the module judges the rows");
            }
            TrainProgress::Calibrating => bar.set_message("thresholds"),
            TrainProgress::Verifying => bar.set_message("golden vectors"),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A folder of our own, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// # Errors
    /// The temporary folder cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("anomalyd-train-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{}: cannot be made; set TMPDIR", path.display()))?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in the temporary folder are harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
