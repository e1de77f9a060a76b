//! What the inference thread tells: alarms to the outputs, trouble to the log, and on request how
//! things stand.

use std::time::{Duration, Instant};

use super::infer::Work;
use super::keeper::{self, KeepSender};
use super::pace::Pace;
use super::tally::FrameTally;
use super::tap::Tap;
use super::task::Task;
use super::view::View;
use crate::control::Latencies;
use crate::engine::EngineError;
use crate::message::Message;
use crate::output::AlarmSender;
use crate::pipeline::{Happening, Outcome};

/// Failures of the engine are told at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Passes alarms on, and tells of what could not be judged.
pub struct Reporter {
    alarms: AlarmSender,
    keep: KeepSender,
    /// Something is to be saved that was not when the state was, at `kept`.
    changed: bool,
    kept: Instant,
    /// Since the engine failed; the last reason was told at `told`.
    unscored: u64,
    untold: u64,
    told: Option<Instant>,
    tally: FrameTally,
    pace: Pace,
    last_score: Option<f64>,
    tap: Tap,
}

impl Reporter {
    pub fn new(alarms: AlarmSender, keep: KeepSender, tap: Tap) -> Self {
        Reporter {
            alarms,
            keep,
            changed: false,
            kept: Instant::now(),
            unscored: 0,
            untold: 0,
            told: None,
            tally: FrameTally::new(Instant::now()),
            pace: Pace::new(Instant::now()),
            last_score: None,
            tap,
        }
    }

    /// A sample is about to be judged, the last of its reading where `end_of_row`.
    pub fn sample_came(&mut self, end_of_row: bool) {
        self.pace.sample_came(end_of_row);
    }

    pub fn take(&mut self, happening: &Happening<'_>) {
        match happening {
            Happening::Alarm(event) => {
                self.tally.count_alarm(event);
                self.alarms.send(event);
                self.keep.event(event);
                self.changed = true;
            }
            Happening::Frame(frame, Outcome::Unscored(reason)) => {
                self.tap.frame(frame, None, &self.keep);
                self.unscored(reason);
            }
            Happening::Frame(frame, Outcome::Scored(score, _)) => {
                self.tap.frame(frame, Some(score), &self.keep);
                self.pace.frame_scored(frame.time);
                self.last_score = Some(score.relative);
                self.alarms.score(frame.time, score.relative);
                if self.unscored > 0 {
                    self.scored_again();
                }
            }
            Happening::Frame(frame, _) => self.tap.frame(frame, None, &self.keep),
        }
    }

    /// Lets the page see what the frames were, when it is time.
    pub fn show(&mut self, task: &Task) {
        if self.tap.has_news()
            && let Some(stream) = task.stream()
        {
            self.tap.show(stream);
        }
    }

    fn unscored(&mut self, reason: &EngineError) {
        self.unscored += 1;
        self.untold += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            let count = plural(self.untold);
            log::warn!(
                target: "infer",
                MESSAGE_ID = Message::Unscored.id();
                "{count} unscored, no alarm made up: {reason}"
            );
            self.untold = 0;
            self.told = Some(Instant::now());
        }
    }

    fn scored_again(&mut self) {
        let count = plural(self.unscored);
        log::info!(
            target: "infer",
            MESSAGE_ID = Message::ScoredAgain.id();
            "scoring again; {count} had no score"
        );
        self.unscored = 0;
        self.untold = 0;
        self.told = None;
    }

    /// Further alarms go to `alarms`, and what is to be kept to `keep`.
    pub fn go_on_with(&mut self, alarms: AlarmSender, keep: KeepSender) {
        self.alarms = alarms;
        self.keep = keep;
        self.changed = true;
    }

    /// What is to be kept has changed.
    pub fn has_changed(&mut self) {
        self.changed = true;
    }

    /// Whether something is to be saved.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Passes the state on, when it has changed, when it is time, or when the work `ends`.
    pub fn keep(&mut self, task: &Task, ends: bool) {
        let Some(stream) = task.stream() else {
            return;
        };
        if ends || self.changed || self.kept.elapsed() >= keeper::EVERY {
            self.keep.state(stream);
            self.changed = false;
            self.kept = Instant::now();
        }
    }

    /// How things stand.
    pub fn view(&mut self, work: &Work) -> View {
        let pace = self.pace.look(Instant::now());
        View::of(&work.task, work.queue.dropped(), self.last_score, pace)
    }

    /// How soon frames were scored since the service started.
    pub fn latencies(&self) -> Latencies {
        self.pace.latencies().clone()
    }

    /// Says what was not as it should be, when it is time or the work `ends`.
    pub fn tally(&mut self, work: &Work, ends: bool) {
        let now = Instant::now();
        if !ends && !self.tally.is_due(now) {
            return;
        }
        if let Some(progress) = work.task.progress() {
            log::info!(target: "learn", MESSAGE_ID = Message::Learning.id(); "{progress}");
            self.tally.put_off(now);
        }
        if let Some(stream) = work.task.stream() {
            let align = stream.align_counters();
            let frames = stream.pipeline().counts();
            let dropped = work.queue.dropped();
            if let Some(line) = self.tally.line(now, align, frames, dropped) {
                log::warn!(target: "infer", MESSAGE_ID = Message::SamplesLost.id(); "{line}");
            }
        }
    }

    /// Further frames are of other work, or there are none.
    pub fn end(&mut self) {
        self.tap.end(&self.keep);
    }

    pub fn sum_up(&self, work: &Work) {
        if let Some(stream) = work.task.stream() {
            let summary = self
                .tally
                .summary(Instant::now(), stream.pipeline().counts());
            log::info!(target: "infer", "{summary}");
        }
    }

    /// New work begins: its counters may start from zero.
    pub fn begin(&mut self, work: &Work) {
        self.tap.begin(&work.task, work.history, &self.keep);
        if let Some(stream) = work.task.stream() {
            let frames = stream.pipeline().counts();
            self.tally
                .rebase(stream.align_counters(), frames, work.queue.dropped());
        }
    }
}

fn plural(frames: u64) -> String {
    match frames {
        1 => "1 frame".to_owned(),
        count => format!("{count} frames"),
    }
}
