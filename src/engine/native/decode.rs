//! The decoder: T steps from one code, and the output layer.

use super::layer::{Chosen, Layers, States};
use crate::engine::kernel::{Block, Kernel, Panel};
use crate::model::Linear;

/// The decoder layers with the memory of the one sequence that they run.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    layers: Layers,
    states: States,
    /// The first layer's input projection, the same in all steps: `[⌈H/8⌉,4]`
    projection: Vec<Block>,
    output: Output,
}

/// The linear layer from H to F.
#[derive(Debug, Clone)]
struct Output {
    weights: Panel,
    /// `[4 × groups]`
    bias: Vec<Block>,
    /// `[4 × groups]`
    result: Vec<Block>,
}

impl Decoder {
    pub(super) fn new(layers: Layers, output: &Linear) -> Decoder {
        let weights = Panel::rows(&output.weight, output.output, output.input);
        let mut bias = vec![Block::ZERO; weights.groups() * 4];
        Block::fill(&mut bias[..Block::count(output.output)], &output.bias);
        Decoder {
            states: States::new(&layers, 1),
            projection: vec![Block::ZERO; layers.projection_length()],
            layers,
            output: Output {
                result: bias.clone(),
                weights,
                bias,
            },
        }
    }

    /// Takes the `code` `[⌈H/8⌉]` that the decoder gets as the input of every step.
    pub(super) fn begin(&mut self, kernel: Kernel, code: &[Block]) {
        self.layers.project(kernel, code, &mut self.projection);
    }

    /// Makes step `t` of the sequence; the steps are made in order from 0.
    pub(super) fn step(&mut self, kernel: Kernel, t: usize) {
        let chosen = match t {
            0 => Chosen::Fresh(0),
            _ => Chosen::Running { first: 0, count: 1 },
        };
        let backward = t % 2 == 1;
        (self.layers).step(kernel, &self.projection, &mut self.states, chosen, backward);
        self.states.turn();
    }

    /// The `frame` `[F]` that the last step stands for.
    pub(super) fn reconstruct(&mut self, kernel: Kernel, frame: &mut [f32]) {
        let output = &mut self.output;
        kernel.project(
            &output.weights,
            &output.bias,
            self.states.output(0),
            &mut output.result,
        );
        Block::spill(&output.result, frame);
    }
}
