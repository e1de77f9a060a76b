//! The synchronous core: window → engine → score → alarm, for one stream of frames.
//!
//! The daemon, `replay`, `evaluate` and calibration's golden vectors all run this very code; it
//! wires stages and has no clock, thread, input or output of its own. May import stages 1 to 6.

mod choose;
mod foresee;
mod ladder;
mod stream;
mod verify;

pub use choose::{EngineChoice, OpenError, open_engine, open_torch};
pub use stream::{
    Happening, Learnt, Listener, MuteError, Resumed, SCHEMA, SavedMute, Stream, StreamState,
};
pub use verify::{Agreement, GOLDEN_TOLERANCE, golden_scores, verify};

use std::sync::Arc;

use self::foresee::Foreseen;
use self::ladder::Window;
use crate::alarm::attribution::evidence;
use crate::alarm::mute::Mutes;
use crate::alarm::{AlarmConfig, AlarmEvent, AlarmKind, AlarmMachine, Transition};
use crate::engine::{Engine, EngineError};
use crate::frame::{Frame, Timestamp};
use crate::model::{Manifest, ModelFile};
use crate::score::Scorer;
use crate::score::threshold::Thresholds;
use crate::window::Standardiser;

/// What a user may set about judging; everything else comes with the model.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineConfig {
    /// N; `None` takes the model's.
    pub max_false_alarms_per_week: Option<f64>,
    /// How long the score must stay low before an alarm clears.
    pub clear_after_nanos: i64,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        PipelineConfig {
            max_false_alarms_per_week: None,
            clear_after_nanos: CLEAR_AFTER_NANOS,
        }
    }
}

/// Ten minutes.
pub const CLEAR_AFTER_NANOS: i64 = 600_000_000_000;

/// The score of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleScore {
    /// Chart A without flood control: for plots and evaluation.
    pub published: f32,
    /// Relative to the alarm threshold in force: 1.0 raises.
    pub relative: f64,
    /// That threshold, in multiples of the model's own.
    pub bar: f64,
}

/// What one frame led to.
#[derive(Debug)]
pub enum Outcome {
    Scored(SampleScore, Option<AlarmEvent>),
    /// The window is not full yet: nothing is made up.
    WindowFilling,
    /// Only every n-th frame is scored, and this is none of them.
    Skipped,
    /// The engine could not say; the frame stays unscored and no alarm is invented.
    Unscored(EngineError),
}

/// Counts of frames by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    pub frames: u64,
    pub scored: u64,
    /// Frames without a score because the engine failed.
    pub unscored: u64,
    /// Frames without a score because only every n-th is scored.
    pub skipped: u64,
}

pub struct Pipeline {
    manifest: Arc<Manifest>,
    model_name: String,
    /// Of the model file
    digest: String,
    standardiser: Standardiser,
    engine: Box<dyn Engine>,
    scorer: Scorer,
    machine: AlarmMachine,
    foreseen: Foreseen,
    /// Flood control's, as it was before the newest sample was judged
    attenuation: Vec<f32>,
    counts: FrameCounts,
    /// Every how many frames one is scored.
    every: u32,
    /// Frames since the last one that was.
    since_scored: u32,
    window: Window,
    mutes: Mutes,
}

impl Pipeline {
    pub fn new(model: &ModelFile, engine: Box<dyn Engine>, config: &PipelineConfig) -> Self {
        let manifest = Arc::new(model.manifest.clone());
        let sensors = manifest.sensors.len();
        let budget = config
            .max_false_alarms_per_week
            .unwrap_or(manifest.max_false_alarms_per_week);
        let model_name = format!("{} {}", manifest.name, manifest.version);
        let alarm = AlarmConfig {
            max_false_alarms_per_week: budget,
            thresholds: Thresholds::for_budget(&manifest.charts, budget),
            clear_after_nanos: config.clear_after_nanos,
            model: model_name.clone(),
        };
        Pipeline {
            standardiser: Standardiser::new(&manifest.sensors, &manifest.edges),
            scorer: Scorer::new(&manifest),
            machine: AlarmMachine::new(alarm, sensors),
            foreseen: Foreseen::new(sensors),
            attenuation: Vec::with_capacity(sensors),
            counts: FrameCounts::default(),
            every: 1,
            since_scored: 0,
            window: Window::new(manifest.window, sensors),
            mutes: Mutes::default(),
            engine,
            model_name,
            digest: model.digest.clone(),
            manifest,
        }
    }

    /// Runs one frame through all stages.
    pub fn step(&mut self, frame: &Frame) -> Outcome {
        if self.foreseen.is_empty() {
            self.foresee(std::slice::from_ref(frame));
        }
        self.counts.frames += 1;
        if frame.restart {
            self.scorer.restart();
            self.machine.restart();
        }
        self.pass_time(frame.time);
        let turn = self.foreseen.take();
        match std::mem::replace(&mut turn.answer, Ok(false)) {
            _ if !turn.wanted => {
                self.counts.skipped += 1;
                Outcome::Skipped
            }
            Ok(true) => self.judge(frame),
            Ok(false) => Outcome::WindowFilling,
            Err(error) => {
                self.counts.unscored += 1;
                Outcome::Unscored(error)
            }
        }
    }

    fn judge(&mut self, frame: &Frame) -> Outcome {
        self.counts.scored += 1;
        let turn = self.foreseen.taken();
        let charts = self.scorer.step(
            frame,
            &turn.x,
            &turn.expectation,
            self.machine.flood().attenuation(),
            self.machine.is_frozen(),
        );
        // Evidence is named with the attenuation that the alarm was judged with.
        self.attenuation.clear();
        let before = self.machine.flood().attenuation();
        self.attenuation.extend_from_slice(before);
        let judgement = self.machine.step(frame.time, charts, &self.scorer);
        let event = judgement.change.map(|(transition, open)| AlarmEvent {
            id: open.id,
            kind: AlarmKind::Anomaly,
            transition,
            time: frame.time,
            raised_at: open.raised_at,
            score: judgement.score,
            peak_score: open.peak_score,
            threshold: open.bar,
            sensors: match transition {
                Transition::Cleared => Vec::new(),
                Transition::Raised | Transition::Updated => evidence(
                    &self.manifest,
                    &self.standardiser,
                    &self.scorer,
                    &self.attenuation,
                    frame,
                    &turn.x,
                ),
            },
            model: self.model_name.clone(),
            degraded: open.degraded,
            verdict: open.verdict,
        });
        if let Some(event) = &event {
            self.forget_mute_of(event);
        }
        let score = SampleScore {
            published: charts.published,
            relative: judgement.score,
            bar: self.machine.bar(),
        };
        Outcome::Scored(score, event)
    }

    /// What was expected of each sensor, in its unit, when the newest frame was scored, and what part
    /// of an alarm it makes up: 1 raises one alone, by the model's own thresholds. In the order
    /// of the model's sensors.
    pub fn sensors_now(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let turn = self.foreseen.last();
        let thresholds = self.machine.thresholds();
        turn.into_iter().flat_map(move |turn| {
            turn.x.iter().enumerate().map(move |(i, x)| {
                let (a, b) = self.scorer.part(i);
                let expected = x - self.scorer.deviation(i);
                (
                    self.standardiser.in_unit(i, expected),
                    thresholds.ratio(a, b),
                )
            })
        })
    }

    /// Takes over what `earlier` has learnt: of the same model everything, of another one the open
    /// alarm and flood control's level. Thresholds, budget and off delay stay this pipeline's own.
    fn continue_from(&mut self, earlier: Pipeline) {
        let same_model = self.digest == earlier.digest;
        if same_model {
            self.scorer = earlier.scorer;
            self.window = earlier.window;
            if self.engine.name() == earlier.engine.name() {
                self.engine = earlier.engine;
            }
        }
        self.every = earlier.every;
        self.since_scored = earlier.since_scored;
        self.take_mutes(&earlier.mutes, |sensor| {
            earlier
                .manifest
                .sensors
                .get(sensor)
                .map(|s| s.name.as_str())
        });
        self.counts = earlier.counts;
        self.machine.continue_from(earlier.machine, same_model);
    }

    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Name and version of the model, as events carry them.
    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// Of the model's file.
    pub fn model_digest(&self) -> &str {
        &self.digest
    }

    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    pub fn machine(&self) -> &AlarmMachine {
        &self.machine
    }

    pub fn counts(&self) -> FrameCounts {
        self.counts
    }

    /// Time of the open alarm's raise, when one is on.
    pub fn alarm_since(&self) -> Option<Timestamp> {
        self.machine.open().map(|open| open.raised_at)
    }
}

#[cfg(test)]
mod tests;
