//! What is measured, the same for instruction counts (`instructions.rs`) and times (`stages.rs`): each
//! case is one small step of the daemon's work, done again and again.
//!
//! The model is the demo's (51 sensors, T = 10, H = 64, three heads) and the rows are ten minutes of the
//! simulated plant's, so that what is counted is the daemon's everyday: nothing is unusual, no alarm
//! is raised. `plant.csv` is what `anomalyd simulate --seed 1 --duration 640s --out plant.csv` writes:
//! from a file, because the plant runs for two hours before its first row, which a tool that counts
//! instructions would take seconds for.

mod judging;
mod parsing;

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use anomalyd::ingest::csv::{CsvOptions, CsvReader};
use anomalyd::model::ModelFile;

/// Does a case's work once.
pub type Step = Box<dyn FnMut()>;

pub struct Case {
    pub name: String,
    /// Steps that are enough to count: the differences between single steps are evened out.
    // A bench that takes times finds its own number.
    #[allow(dead_code)]
    pub steps: usize,
    /// Makes what the steps need. Its own cost belongs to no step.
    pub begin: Box<dyn FnOnce() -> Step>,
}

impl Case {
    fn new(name: impl Into<String>, steps: usize, begin: impl FnOnce() -> Step + 'static) -> Self {
        Case {
            name: name.into(),
            steps,
            begin: Box::new(begin),
        }
    }
}

/// All cases of this machine, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = judging::cases();
    cases.extend(parsing::cases());
    cases
}

/// The demo's model.
fn model() -> ModelFile {
    match ModelFile::load(&model_path()) {
        Ok(model) => model,
        Err(error) => fail(error),
    }
}

fn model_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.pt")
}

/// A bench has nobody to hand an error to.
fn fail(error: impl Display) -> ! {
    panic!("the bench cannot go on: {error}")
}

/// The model's period.
const PERIOD: Duration = Duration::from_secs(10);
/// Rows in the recording
const ROWS: usize = 64;
const RECORDING: &str = include_str!("plant.csv");

/// The recording's rows, `[ROWS][F]`.
fn rows() -> Vec<Vec<f64>> {
    let source = RECORDING.as_bytes();
    let opened = CsvReader::from_source(source, Path::new("plant.csv"), CsvOptions::default());
    let mut reader = opened.unwrap_or_else(|error| fail(error));
    let mut rows = Vec::with_capacity(ROWS);
    loop {
        let mut values = Vec::new();
        match reader.next_row(&mut values) {
            Ok(Some(_)) => rows.push(values),
            Ok(None) => break,
            Err(error) => fail(error),
        }
    }
    assert_eq!(rows.len(), ROWS, "rows of the recording");
    rows
}

/// Places in the recording for ever, back and forth, so that the plant never jumps.
fn to_and_fro() -> impl Iterator<Item = usize> {
    (0..ROWS).chain((1..ROWS - 1).rev()).cycle()
}
