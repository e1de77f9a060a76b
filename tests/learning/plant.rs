//! The simulated plant as a source, and a state directory in which its model was learned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anomalyd::frame::{Sample, Timestamp};
use anomalyd::ingest::SensorIndex;
use anomalyd::learn::{LearnConfig, Learner};
use anomalyd::simulate::faults::{Fault, FaultKind};
use anomalyd::simulate::{Plant, SENSORS, column_of};
use tempfile::TempDir;

pub const PERIOD: Duration = Duration::from_secs(5);

/// Something in the messages that is a text, never a number.
pub const STATUS: &str = "status";

/// What the fault shifts.
pub const FAULTY: [&str; 4] = ["AIT201", "AIT202", "AIT501", "PIT502"];

/// A sensor's name with its sample, whose index the receiver sets.
pub type Reading = (String, Sample);

pub fn config() -> LearnConfig {
    LearnConfig {
        learn_for: Duration::from_secs(6 * 3600),
        name: "tank farm".to_owned(),
        // The recordings are short, and how well faults are found is not what is tested.
        max_false_alarms_per_week: 300.0,
        ..LearnConfig::default()
    }
}

pub fn normal() -> Plant {
    Plant::new(7, PERIOD)
}

/// Another day, on which four sensors are shifted far from row `row` on.
pub fn with_fault(row: u32) -> Plant {
    let fault = Fault {
        kind: FaultKind::Spoofed,
        columns: FAULTY.iter().map(|name| column_of(name).unwrap()).collect(),
        start: PERIOD * row,
        duration: Duration::from_secs(600),
        magnitude: Some(30.0),
    };
    Plant::with_faults(7, PERIOD, Timestamp::EPOCH, vec![fault])
}

/// Messages of all sensors and a status text, one a period.
pub struct Rows {
    plant: Plant,
    row: u32,
}

impl Rows {
    pub fn new(plant: Plant) -> Self {
        Rows { plant, row: 0 }
    }
}

impl Iterator for Rows {
    type Item = Vec<Reading>;

    fn next(&mut self) -> Option<Self::Item> {
        let time = Timestamp::EPOCH.plus(PERIOD * self.row);
        self.row += 1;
        let reading = |name: &str, value| {
            let sample = Sample {
                sensor: usize::MAX,
                time,
                value,
            };
            (name.to_owned(), sample)
        };
        let values = self.plant.step().iter();
        let sensors = SENSORS.iter().zip(values);
        let mut row: Vec<Reading> = sensors.map(|(s, value)| reading(s.name, *value)).collect();
        // As `ingest` hands on what is no number.
        row.push(reading(STATUS, f64::NAN));
        Some(row)
    }
}

/// Pushes rows as the daemon does.
pub fn pushed(
    learner: &mut Learner,
    index: &SensorIndex,
    rows: impl Iterator<Item = Vec<Reading>>,
) {
    for row in rows {
        let count = row.len();
        for (place, (name, sample)) in row.into_iter().enumerate() {
            let sensor = index.admit(&name).unwrap();
            if index.len() > learner.sensors().len() {
                learner.know_sensors(&index.all()).unwrap();
            }
            let sample = Sample { sensor, ..sample };
            learner.push(sample, place + 1 == count).unwrap();
        }
    }
}

/// A state directory with a recording of six hours and model 1 of it.
pub fn learned() -> &'static Path {
    static LEARNED: OnceLock<TempDir> = OnceLock::new();
    let state = LEARNED.get_or_init(|| {
        let state = tempfile::tempdir().unwrap();
        let mut learner = Learner::open(state.path(), config()).unwrap();
        let index = SensorIndex::learning(learner.sensors());
        pushed(&mut learner, &index, Rows::new(normal()).take(4325));
        assert!(learner.is_complete());
        learner.fit(&mut |_| ()).unwrap();
        state
    });
    state.path()
}

/// A copy of [`learned`] that may be changed.
pub fn learned_copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for folder in ["learning", "models"] {
        let to = copy.path().join(folder);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(learned().join(folder)).unwrap() {
            let from: PathBuf = entry.unwrap().path();
            fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
    }
    copy
}

pub fn anomalyd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_anomalyd"))
}

/// The command's standard output; it must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
