//! Frames that wait to be judged together: a recording's frames are known before they are judged,
//! and the engine is faster at several than at one (`Engine::run`).
//!
//! Only the pipeline waits. The aligner goes on, so what it knew of silent sensors at each frame is
//! kept with the frame.

use super::{Listener, Stream};
use crate::alarm::silent::SilentSensor;
use crate::frame::Frame;

/// Memory for the frames that wait.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Frames that are judged together, at least 1; with 0 or 1 each is judged at once.
    limit: usize,
    /// The first `waiting` ones wait.
    frames: Vec<Frame>,
    /// The sensors that were silent at each of them.
    silent: Vec<Vec<SilentSensor>>,
    waiting: usize,
}

impl Ahead {
    /// Whether frames wait at all.
    pub fn is_on(&self) -> bool {
        self.limit > 1
    }

    /// Keeps `frame` and those who are `silent` at it; true when that makes enough.
    fn keep(&mut self, frame: &Frame, silent: &[SilentSensor]) -> bool {
        if self.waiting == self.frames.len() {
            self.frames.push(frame.clone());
            self.silent.push(silent.to_vec());
        } else {
            let kept = &mut self.frames[self.waiting];
            (kept.time, kept.restart) = (frame.time, frame.restart);
            kept.values.clone_from(&frame.values);
            kept.freshness.clone_from(&frame.freshness);
            let kept = &mut self.silent[self.waiting];
            kept.clear();
            kept.extend_from_slice(silent);
        }
        self.waiting += 1;
        self.waiting >= self.limit
    }
}

impl Stream {
    /// Judges up to `frames` frames together, which is faster: for recordings. The same things
    /// happen in the same order, but later; only after [`Stream::finish`] (or [`Stream::tick`]) has
    /// everything happened, and before that nothing must be told the stream but samples.
    pub fn set_ahead(&mut self, frames: usize) {
        debug_assert_eq!(self.ahead.waiting, 0, "frames wait");
        self.ahead.limit = frames;
    }

    /// Lets the newest frame wait, or judges it together with those that do.
    pub(super) fn keep_frame(&mut self, listener: &mut Listener<'_>) {
        self.look_who_is_silent();
        if self.ahead.keep(&self.frame, &self.silent_now) {
            self.judge_waiting(listener);
        }
    }

    /// Judges the frames that wait.
    pub(super) fn judge_waiting(&mut self, listener: &mut Listener<'_>) {
        if self.ahead.waiting == 0 {
            return;
        }
        let mut ahead = std::mem::take(&mut self.ahead);
        let frames = &ahead.frames[..ahead.waiting];
        self.pipeline.foresee(frames);
        for (frame, silent) in frames.iter().zip(&mut ahead.silent) {
            self.judge(frame, listener);
            std::mem::swap(&mut self.silent_now, silent);
            self.judge_silence(frame.time, listener);
        }
        ahead.waiting = 0;
        self.ahead = ahead;
    }
}
