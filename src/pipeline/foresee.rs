//! The engine ahead of the judging: frames that are known already, as those of a recording are, go
//! through the engine together. What was foreseen is judged frame by frame, exactly as live.

use super::Pipeline;
use super::ladder::Window;
use crate::engine::Turn;
use crate::frame::Frame;
use crate::window::Standardiser;

/// The frames that the engine has taken, oldest first.
#[derive(Debug)]
pub(super) struct Foreseen {
    sensors: usize,
    turns: Vec<Turn>,
    /// The next turn that is to be judged, and the end of those that are.
    next: usize,
    end: usize,
}

impl Foreseen {
    pub fn new(sensors: usize) -> Self {
        Foreseen {
            sensors,
            turns: vec![Turn::new(sensors)],
            next: 0,
            end: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// The next turn.
    ///
    /// # Panics
    /// There is none.
    pub fn take(&mut self) -> &mut Turn {
        assert!(!self.is_empty(), "a frame that was not foreseen");
        self.next += 1;
        &mut self.turns[self.next - 1]
    }

    /// The turn that was taken last.
    ///
    /// # Panics
    /// None has ever been.
    pub fn taken(&self) -> &Turn {
        &self.turns[self.next - 1]
    }

    /// As [`Foreseen::taken`], or none.
    pub fn last(&self) -> Option<&Turn> {
        self.next.checked_sub(1).map(|last| &self.turns[last])
    }

    /// Room for `count` turns.
    fn begin(&mut self, count: usize) -> &mut [Turn] {
        debug_assert!(self.is_empty(), "frames are judged in order");
        while self.turns.len() < count {
            self.turns.push(Turn::new(self.sensors));
        }
        (self.next, self.end) = (0, count);
        &mut self.turns[..count]
    }
}

impl Pipeline {
    /// Lets the engine take `frames` ahead. The next calls of [`Pipeline::step`] must get these very
    /// frames in order, and nothing else may be told the pipeline before they have.
    pub(super) fn foresee(&mut self, frames: &[Frame]) {
        let turns = self.foreseen.begin(frames.len());
        for (turn, frame) in turns.iter_mut().zip(frames) {
            prepare(turn, frame, &self.standardiser, &mut self.window);
            self.since_scored += 1;
            turn.wanted = self.since_scored >= self.every;
            if turn.wanted {
                self.since_scored = 0;
            }
        }
        self.engine.run(turns);
    }
}

fn prepare(turn: &mut Turn, frame: &Frame, standardiser: &Standardiser, window: &mut Window) {
    turn.restart = frame.restart;
    if frame.restart {
        window.clear();
    }
    standardiser.standardise(frame, &mut turn.x);
    window.push(&turn.x);
}
