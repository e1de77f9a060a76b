//! Several frames of a stream at once, as a recording gives them: the input projections of all
//! frames, the decoding of all windows that they complete, and the output layer are one product
//! each, which reads its weights once. The encoder goes frame by frame as it does live, for its
//! windows share their reading already.
//!
//! Every sum is taken in the order of a live stream, so the results are the same bits.

use super::decode::Decoder;
use super::{Network, weights::Weights};
use crate::engine::Turn;
use crate::engine::kernel::{Block, Kernel};

/// Frames that are taken together at most. With more the states no longer share the first-level
/// cache with the weights of two groups (docs/performance.md has the curve).
pub(super) const FRAMES: usize = 16;

/// Working memory for [`FRAMES`] frames.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    /// `[FRAMES,⌈F/8⌉]`
    frames: Vec<Block>,
    /// The frames' input projections, `[FRAMES,⌈H/8⌉,4]`
    projections: Vec<Block>,
    /// Codes of the windows that are to be decoded, `[≤ FRAMES,⌈H/8⌉]`
    codes: Vec<Block>,
    /// The turns that the codes belong to.
    turns: Vec<usize>,
    decoder: Decoder,
}

impl Ahead {
    pub(super) fn new(weights: &Weights, sensors: usize) -> Ahead {
        let length = weights.encoder.projection_length();
        Ahead {
            frames: vec![Block::ZERO; FRAMES * Block::count(sensors)],
            projections: vec![Block::ZERO; FRAMES * length],
            codes: Vec::with_capacity(FRAMES * length / 4),
            turns: Vec::with_capacity(FRAMES),
            decoder: Decoder::new(weights, FRAMES),
        }
    }

    /// Takes at most [`FRAMES`] `turns` through `network`, and writes the reconstructions of those
    /// that are wanted and complete.
    pub(super) fn run(
        &mut self,
        kernel: Kernel,
        network: &mut Network,
        window: usize,
        turns: &mut [Turn],
    ) {
        let weights = &*network.weights;
        let depth = self.frames.len() / FRAMES;
        for (frame, turn) in self.frames.chunks_exact_mut(depth).zip(&*turns) {
            Block::fill(frame, &turn.x);
        }
        let length = weights.encoder.projection_length();
        let frames = &self.frames[..turns.len() * depth];
        let projections = &mut self.projections[..turns.len() * length];
        weights.encoder.project(kernel, frames, projections);
        self.codes.clear();
        self.turns.clear();
        for (n, turn) in turns.iter().enumerate() {
            if turn.restart {
                network.stream.reset();
            }
            let projection = &self.projections[n * length..][..length];
            let code = network.stream.push(kernel, &weights.encoder, projection);
            if let Some(code) = code.filter(|_| turn.wanted) {
                self.codes.extend_from_slice(code);
                self.turns.push(n);
            }
        }
        self.decoder.run(kernel, weights, &self.codes, window);
        self.decoder.reconstruct(kernel, weights);
        for (code, &turn) in self.turns.iter().enumerate() {
            let out = &mut turns[turn].expectation.reconstruction;
            self.decoder.frame(code, out);
        }
    }
}
