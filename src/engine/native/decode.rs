//! The decoder: T steps from each code, and the output layer.

use super::layer::{Chosen, Layers, States};
use super::weights::Weights;
use crate::engine::kernel::{Block, Kernel};

/// The memory of the sequences that are decoded together: one in a live stream; several, which
/// share each reading of the weights, where frames are given ahead.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    /// Sequences that are decoded now.
    count: usize,
    states: States,
    /// The first layer's input projections, the same in all steps: `[ring,⌈H/8⌉,4]`
    projections: Vec<Block>,
    /// What the output layer gives, `[ring,4 × groups]`
    results: Vec<Block>,
}

impl Decoder {
    /// Makes room for `ring` sequences.
    pub(super) fn new(weights: &Weights, ring: usize) -> Decoder {
        let layers = &weights.decoder;
        Decoder {
            count: 0,
            states: States::new(layers, ring),
            projections: vec![Block::ZERO; ring * layers.projection_length()],
            results: vec![Block::ZERO; ring * weights.output.bias.len()],
        }
    }

    /// Decodes the `codes` `[n,⌈H/8⌉]`, each the input of every step of its sequence, through all
    /// `window` steps.
    ///
    /// # Panics
    /// There is no room for n sequences.
    pub(super) fn run(
        &mut self,
        kernel: Kernel,
        weights: &Weights,
        codes: &[Block],
        window: usize,
    ) {
        self.begin(kernel, weights, codes);
        for t in 0..window {
            self.step(kernel, &weights.decoder, t);
        }
    }

    /// Takes the codes, as [`Decoder::run`] does.
    pub(super) fn begin(&mut self, kernel: Kernel, weights: &Weights, codes: &[Block]) {
        let length = weights.decoder.projection_length();
        self.count = codes.len() * 4 / length.max(1);
        let projections = &mut self.projections[..self.count * length];
        weights.decoder.project(kernel, codes, projections);
    }

    /// Makes step `t` of the sequences; the steps are made in order from 0.
    pub(super) fn step(&mut self, kernel: Kernel, layers: &Layers, t: usize) {
        let (first, count) = (0, self.count);
        let chosen = match t {
            0 => Chosen::Fresh { first, count },
            _ => Chosen::Running { first, count },
        };
        let backward = t % 2 == 1;
        layers.step(
            kernel,
            &self.projections,
            &mut self.states,
            chosen,
            backward,
        );
        self.states.turn();
    }

    /// The frames that the last step stands for, to be had one by one from [`Decoder::frame`].
    pub(super) fn reconstruct(&mut self, kernel: Kernel, weights: &Weights) {
        let output = &weights.output;
        let results = &mut self.results[..self.count * output.bias.len()];
        let h = self.states.outputs(0, self.count);
        kernel.project(&output.weights, &output.bias, h, results);
    }

    /// The frame `[F]` of the `n`-th sequence.
    pub(super) fn frame(&self, n: usize, frame: &mut [f32]) {
        let length = self.results.len() / self.states.ring();
        Block::spill(&self.results[n * length..][..length], frame);
    }
}
