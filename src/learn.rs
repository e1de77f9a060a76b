//! A model that the service learns by itself: frames are recorded until there are enough, a model is
//! fitted to them, and where libtorch is, a better one is trained in the background.
//!
//! Synchronous, without a clock of its own but for the background's once a day. The daemon plays it
//! like this (`tests/learning.rs` does):
//!
//! ```text
//! no model ─► Learner::open ─► push, tick ... is_complete ─► fit (seconds) ─► models/current.pt
//!                                                 │
//!               Background::start ─► poll ... Installed: reload    models/previous.pt: roll back
//! ```
//!
//! May import what the table in `lib.rs` says.

pub mod background;
mod block;
mod discovery;
pub mod fit;
pub mod idle;
pub mod recorder;
pub mod recording;
pub mod store;
mod words;

pub use background::{Background, BackgroundConfig, BackgroundEvent};
pub use fit::Fitted;
pub use recorder::RecorderConfig;
pub use recording::Recording;
pub use store::{ModelStore, StoreError};
pub use words::few;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::discovery::Discovery;
use self::recorder::Recorder;
use crate::frame::align::{AlignConfig, Aligner};
use crate::frame::{Frame, Sample, Timestamp};
use crate::train::{FEWEST_ROWS, TrainError, TrainProgress};

/// The recording's folder in the state directory.
pub const FOLDER: &str = "learning";
/// The models' folder in the state directory.
pub const MODELS: &str = "models";

/// What to learn and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnConfig {
    /// Recorded time (frames times period) to learn from; a gap or a restart does not count.
    pub learn_for: Duration,
    /// Sensors that are known before they report (MQTT topics).
    pub sensors: Vec<String>,
    /// Time between two frames; else the median step of what comes.
    pub period: Option<Duration>,
    /// Periods for which a sensor's last value is used.
    pub hold: u32,
    /// By the name of the sensor, where it differs.
    pub sensor_hold: BTreeMap<String, u32>,
    /// What the plant is called, for the model.
    pub name: String,
    pub max_false_alarms_per_week: f64,
    pub recorder: RecorderConfig,
}

impl Default for LearnConfig {
    fn default() -> Self {
        LearnConfig {
            learn_for: Duration::from_secs(86_400),
            sensors: Vec::new(),
            period: None,
            hold: 3,
            sensor_hold: BTreeMap::new(),
            name: "plant".to_owned(),
            max_false_alarms_per_week: 1.0,
            recorder: RecorderConfig::default(),
        }
    }
}

/// Why there is no model, or no recording.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("no sensor has reported {FEWEST_ROWS} values yet; look at the sources")]
    NoSensor,
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LearnError {
    fn at(path: &Path) -> impl Fn(io::Error) -> LearnError + '_ {
        move |source| LearnError::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// How far learning is. Displayed as `learning: 6 h 12 min of 24 h, 51 sensors, 1 s period, 0.02 %
/// missing`.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub recorded_seconds: f64,
    pub wanted_seconds: f64,
    /// Those that have reported a value.
    pub sensors: usize,
    /// Not known yet at the very start.
    pub period_seconds: Option<f64>,
    /// Share of values that are missing, 0 to 1.
    pub missing: f64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sensors = words::counted(self.sensors, "sensor");
        match self.period_seconds {
            None => write!(
                f,
                "learning: looking which sensors report, {sensors} so far"
            ),
            Some(period) => write!(
                f,
                "learning: {} of {}, {sensors}, {} period, {:.2} % missing",
                words::hours(self.recorded_seconds),
                words::target(self.wanted_seconds),
                words::seconds(period),
                100.0 * self.missing,
            ),
        }
    }
}

/// Records until there is enough, then fits. All of its state is in the state directory.
pub struct Learner {
    state: PathBuf,
    config: LearnConfig,
    /// `[F]`, at the places that samples name
    sensors: Vec<String>,
    phase: Phase,
    /// After a fit that failed: frames to have before the next try.
    wait_until: u64,
    notes: Vec<String>,
}

enum Phase {
    Discovering(Discovery),
    Recording(Box<Recordings>),
}

/// What records, and what was recorded.
struct Recordings {
    aligner: Aligner,
    frame: Frame,
    recorder: Recorder,
    /// `[F]` rows with a value
    present: Vec<u64>,
    /// Rows that `present` counts.
    rows: u64,
}

impl Learner {
    /// Goes on with the recording in the state directory, or begins one.
    ///
    /// # Errors
    /// The state directory cannot be read or written.
    pub fn open(state: &Path, config: LearnConfig) -> Result<Self, LearnError> {
        let folder = state.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(LearnError::at(&folder))?;
        let mut notes = Vec::new();
        let mut found = Recording::load(&folder)?;
        if let Some(recording) = &found {
            notes = recording.set_damaged_aside()?;
        }
        let wanted = config.period.map(nanos);
        let other = |recording: &mut Recording| {
            recording.blocks.is_empty()
                || wanted.is_some_and(|wanted| wanted != recording.period_nanos)
        };
        if let Some(recording) = found.take_if(other)
            && !recording.blocks.is_empty()
        {
            notes.push(format!(
                "the recording is of another period ({}) than the configuration's: it begins anew",
                words::seconds(recording.period_nanos as f64 / 1e9)
            ));
            recording::remove(&folder)?;
        }
        let mut learner = Learner {
            state: state.to_owned(),
            sensors: config.sensors.clone(),
            phase: Phase::Discovering(Discovery::new(wanted)),
            config,
            wait_until: 0,
            notes,
        };
        if let Some(recording) = found {
            let recorder = Recorder::go_on(&recording, learner.config.recorder)?;
            let mut sensors = recording.sensors.clone();
            let known = learner.config.sensors.iter();
            let new: Vec<String> = known.filter(|s| !sensors.contains(s)).cloned().collect();
            sensors.extend(new);
            learner.record(recorder, recording.present, recording.rows);
            learner.know_sensors(&sensors)?;
        }
        Ok(learner)
    }

    /// Names of the sensors `[F]` at the places that samples must use: give them to
    /// `ingest::SensorIndex::learning`.
    pub fn sensors(&self) -> &[String] {
        &self.sensors
    }

    /// What is worth a line in the log, told once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Says that there are further sensors: `sensors` begins with [`Learner::sensors`]. To be called
    /// with `SensorIndex::all` whenever that has grown, before samples of the new ones are pushed.
    ///
    /// # Errors
    /// The recording cannot be written.
    pub fn know_sensors(&mut self, sensors: &[String]) -> Result<(), LearnError> {
        self.sensors = sensors.to_vec();
        let Phase::Recording(recordings) = &mut self.phase else {
            return Ok(());
        };
        if recordings.recorder.sensors().len() >= sensors.len() {
            return Ok(());
        }
        let finished = recordings.finish();
        let widened = recordings.recorder.widen(sensors.to_vec());
        recordings.present.resize(sensors.len(), 0);
        let period = recordings.recorder.period_nanos();
        recordings.aligner = aligner(&self.config, sensors, period);
        recordings.frame = Frame::new(sensors.len());
        finished.and(widened)
    }

    /// Takes one sample; `end_of_row` says that no further one of the same reading follows.
    ///
    /// # Errors
    /// The recording cannot be written (a full disk); learning goes on.
    pub fn push(&mut self, sample: Sample, end_of_row: bool) -> Result<(), LearnError> {
        match &mut self.phase {
            Phase::Recording(recordings) => {
                recordings.aligner.push(sample);
                match end_of_row {
                    true => recordings.take_frames(None),
                    false => Ok(()),
                }
            }
            Phase::Discovering(discovery) => {
                if !discovery.push(sample, end_of_row) {
                    return Ok(());
                }
                self.end_discovery()
            }
        }
    }

    /// Lets time pass, as [`crate::pipeline::Stream::tick`].
    ///
    /// # Errors
    /// As for [`Learner::push`].
    pub fn tick(&mut self, ticks: Timestamp) -> Result<(), LearnError> {
        match &mut self.phase {
            Phase::Recording(recordings) => recordings.take_frames(Some(ticks)),
            Phase::Discovering(_) => Ok(()),
        }
    }

    pub fn progress(&self) -> Progress {
        let wanted_seconds = self.config.learn_for.as_secs_f64();
        match &self.phase {
            Phase::Discovering(discovery) => Progress {
                recorded_seconds: 0.0,
                wanted_seconds,
                sensors: discovery.sensors(),
                period_seconds: None,
                missing: 0.0,
            },
            Phase::Recording(recordings) => {
                let period = recordings.recorder.period_nanos() as f64 / 1e9;
                let reported = recordings.present.iter().filter(|count| **count > 0);
                let sensors = reported.count();
                let all = (sensors as u64 * recordings.rows).max(1);
                let there: u64 = recordings.present.iter().sum();
                let missing = 1.0 - there as f64 / all as f64;
                Progress {
                    recorded_seconds: recordings.recorder.frames() as f64 * period,
                    wanted_seconds: self.wanted_frames() as f64 * period,
                    sensors,
                    period_seconds: Some(period),
                    missing: if recordings.rows > 0 { missing } else { 0.0 },
                }
            }
        }
    }

    /// Whether there is enough to learn from.
    pub fn is_complete(&self) -> bool {
        match &self.phase {
            Phase::Recording(recordings) => {
                recordings.recorder.frames() >= self.wanted_frames().max(FEWEST_FRAMES)
            }
            Phase::Discovering(_) => false,
        }
    }

    /// Fits a model to the recording, verifies it and puts it in force in the state directory. Takes
    /// up to a minute; the recording stays, for the background.
    ///
    /// After an error more is recorded before [`Learner::is_complete`] is true again.
    ///
    /// # Errors
    /// What was recorded makes no model, or the model cannot be written.
    pub fn fit(&mut self, progress: &mut dyn FnMut(TrainProgress)) -> Result<Fitted, LearnError> {
        let fitted = self.try_fit(progress);
        if fitted.is_err()
            && let Phase::Recording(recordings) = &self.phase
        {
            let frames = recordings.recorder.frames();
            self.wait_until = frames + (frames / 10).max(FEWEST_FRAMES);
        }
        fitted
    }

    fn try_fit(&mut self, progress: &mut dyn FnMut(TrainProgress)) -> Result<Fitted, LearnError> {
        if let Phase::Recording(recordings) = &mut self.phase {
            recordings.recorder.flush()?;
        }
        let folder = self.state.join(FOLDER);
        let recording = Recording::load(&folder)?.ok_or(LearnError::NoSensor)?;
        let store = ModelStore::open(&self.state.join(MODELS))?;
        fit::fit_and_install(&recording, &self.config, &store, progress)
    }

    fn wanted_frames(&self) -> u64 {
        let Phase::Recording(recordings) = &self.phase else {
            return 0;
        };
        let period = u128::from(recordings.recorder.period_nanos().unsigned_abs().max(1));
        let frames = self.config.learn_for.as_nanos().div_ceil(period);
        u64::try_from(frames)
            .unwrap_or(u64::MAX)
            .max(self.wait_until)
    }

    fn end_discovery(&mut self) -> Result<(), LearnError> {
        let Phase::Discovering(discovery) = &mut self.phase else {
            return Ok(());
        };
        let samples = discovery.take_samples();
        let folder = self.state.join(FOLDER);
        let sensors = self.sensors.clone();
        let period = discovery.period_nanos();
        let recorder = Recorder::begin(&folder, self.config.recorder, period, sensors)?;
        background::forget(&folder)?;
        self.record(recorder, vec![0; self.sensors.len()], 0);
        let mut result = Ok(());
        for (sample, end_of_row) in samples {
            result = result.and(self.push(sample, end_of_row));
        }
        result
    }

    fn record(&mut self, recorder: Recorder, present: Vec<u64>, rows: u64) {
        let sensors = recorder.sensors();
        self.phase = Phase::Recording(Box::new(Recordings {
            aligner: aligner(&self.config, sensors, recorder.period_nanos()),
            frame: Frame::new(sensors.len()),
            present,
            rows,
            recorder,
        }));
    }
}

/// What the train code asks for, and a window and golden vectors besides.
const FEWEST_FRAMES: u64 = FEWEST_ROWS as u64 + 50;

impl Recordings {
    fn take_frames(&mut self, ticks: Option<Timestamp>) -> Result<(), LearnError> {
        let mut result = Ok(());
        while self.aligner.next_frame(ticks, &mut self.frame) {
            result = result.and(self.take_frame());
        }
        result
    }

    fn finish(&mut self) -> Result<(), LearnError> {
        let mut result = Ok(());
        while self.aligner.finish(&mut self.frame) {
            result = result.and(self.take_frame());
        }
        result
    }

    fn take_frame(&mut self) -> Result<(), LearnError> {
        self.rows += 1;
        for (present, value) in self.present.iter_mut().zip(&self.frame.values) {
            *present += u64::from(value.is_finite());
        }
        self.recorder.push(self.frame.time, &self.frame.values)
    }
}

fn aligner(config: &LearnConfig, sensors: &[String], period_nanos: i64) -> Aligner {
    let align = AlignConfig {
        hold: config.hold,
        ..AlignConfig::new(period_nanos)
    };
    let mut aligner = Aligner::new(sensors.len(), align);
    for (sensor, name) in sensors.iter().enumerate() {
        if let Some(periods) = config.sensor_hold.get(name) {
            aligner.set_hold(sensor, *periods);
        }
    }
    aligner
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
