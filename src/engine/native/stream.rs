//! The encoder over a stream: all open windows together.

use super::layer::{Chosen, Layers, States};
use crate::engine::kernel::{Block, Kernel};

/// The encoder states of the T windows that hold the newest frame.
///
/// Slot n of the ring belongs to the window that began with a frame whose number is n (mod T).
#[derive(Debug, Clone)]
pub(super) struct Stream {
    states: States,
    /// T
    window: usize,
    /// Number of windows that have begun and are not complete, at most T − 1.
    open: usize,
    /// Slot of the window that begins with the next frame.
    next: usize,
}

impl Stream {
    pub(super) fn new(encoder: &Layers, window: usize) -> Stream {
        Stream {
            states: States::new(encoder, window),
            window,
            open: 0,
            next: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.open = 0;
    }

    /// Advances every open window by the frame whose input `projection` `[⌈H/8⌉,4]` is, and begins
    /// one with it. Returns the final h `[⌈H/8⌉]` of the window that is complete now, if there is
    /// one.
    pub(super) fn push(
        &mut self,
        kernel: Kernel,
        encoder: &Layers,
        projection: &[Block],
    ) -> Option<&[Block]> {
        let running = Chosen::Running {
            first: (self.next + self.window - self.open) % self.window,
            count: self.open,
        };
        let fresh = Chosen::Fresh {
            first: self.next,
            count: 1,
        };
        for chosen in [running, fresh] {
            encoder.step(kernel, projection, &mut self.states, chosen, false);
        }
        self.states.turn();
        self.next = (self.next + 1) % self.window;
        self.open += 1;
        if self.open < self.window {
            return None;
        }
        // The oldest window, whose slot the next frame's window takes over.
        self.open -= 1;
        Some(self.states.output(self.next))
    }
}
