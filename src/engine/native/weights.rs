//! The autoencoder's packed weights. Streams of the same model share them, so that what one stream
//! has brought into the cache serves the next.

use super::layer::Layers;
use crate::engine::kernel::{Block, Panel};
use crate::model::{Autoencoder, Linear};

#[derive(Debug)]
pub(super) struct Weights {
    pub(super) encoder: Layers,
    pub(super) decoder: Layers,
    pub(super) output: Output,
}

/// The linear layer from H to F.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) weights: Panel,
    /// `[4 × groups]`
    pub(super) bias: Vec<Block>,
}

impl Weights {
    /// The shapes have been checked.
    pub(super) fn pack(model: &Autoencoder) -> Weights {
        Weights {
            encoder: Layers::pack(&model.encoder),
            decoder: Layers::pack(&model.decoder),
            output: Output::pack(&model.output),
        }
    }
}

impl Output {
    fn pack(output: &Linear) -> Output {
        let weights = Panel::rows(&output.weight, output.output, output.input);
        let mut bias = vec![Block::ZERO; weights.groups() * 4];
        Block::fill(&mut bias[..Block::count(output.output)], &output.bias);
        Output { weights, bias }
    }
}
