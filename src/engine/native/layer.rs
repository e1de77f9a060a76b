//! Stacked LSTM layers with packed weights, and the states that run through them.

use crate::engine::kernel::{Block, GATE_SCALES, Kernel, Panel, Product, Step, gate_bias};
use crate::model::LstmLayer;

#[derive(Debug, Clone)]
struct Layer {
    /// `[4H,input]`
    input: Panel,
    /// `[4H,H]`
    recurrent: Panel,
    /// b_ih + b_hh, `[⌈H/8⌉,4]`
    bias: Vec<Block>,
}

/// One or more layers, the first one below.
#[derive(Debug, Clone)]
pub(super) struct Layers(Vec<Layer>);

/// h and c of independent sequences, in a ring, for each layer.
#[derive(Debug, Clone)]
pub(super) struct States {
    ring: usize,
    layers: Vec<LayerStates>,
}

#[derive(Debug, Clone)]
struct LayerStates {
    /// `[ring,⌈H/8⌉]`
    h: Vec<Block>,
    /// h while a step is under way, which must not disturb the h that it still reads.
    next: Vec<Block>,
    /// `[ring,⌈H/8⌉]`
    c: Vec<Block>,
}

/// Which sequences of the ring make a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chosen {
    /// `count` that begin, from `first` on: their h and c are taken as zero.
    Fresh { first: usize, count: usize },
    /// `count` that are under way, from `first` on (mod ring).
    Running { first: usize, count: usize },
}

impl Layers {
    /// The shapes have been checked.
    pub(super) fn pack(layers: &[LstmLayer]) -> Layers {
        let pack = |layer: &LstmLayer| Layer {
            input: Panel::gates(&layer.weight_ih, layer.hidden, layer.input, GATE_SCALES),
            recurrent: Panel::gates(&layer.weight_hh, layer.hidden, layer.hidden, GATE_SCALES),
            bias: gate_bias(
                |row| f64::from(layer.bias_ih[row]) + f64::from(layer.bias_hh[row]),
                layer.hidden,
                GATE_SCALES,
            ),
        };
        Layers(layers.iter().map(pack).collect())
    }

    /// ⌈H/8⌉ × 4, the length of an input projection in blocks.
    pub(super) fn projection_length(&self) -> usize {
        self.0.first().map_or(0, |layer| layer.bias.len())
    }

    /// W_ih x + b_ih + b_hh of the first layer, for one or more x.
    pub(super) fn project(&self, kernel: Kernel, x: &[Block], projection: &mut [Block]) {
        if let Some(layer) = self.0.first() {
            kernel.project(&layer.input, &layer.bias, x, projection);
        }
    }

    /// Advances the chosen sequences through all layers, with one input `projection` for all, or
    /// one for each of the ring. The other sequences lose their h: step all that are wanted, then call [`States::turn`].
    pub(super) fn step(
        &self,
        kernel: Kernel,
        projection: &[Block],
        states: &mut States,
        chosen: Chosen,
        backward: bool,
    ) {
        for (index, layer) in self.0.iter().enumerate() {
            let (below, rest) = states.layers.split_at_mut(index);
            let Some(own) = rest.first_mut() else { return };
            let groups = own.h.len() / states.ring;
            let recurrent = Product {
                weights: &layer.recurrent,
                inputs: &own.h,
            };
            let (first, count, running) = match chosen {
                Chosen::Fresh { first, count } => {
                    own.c[first * groups..][..count * groups].fill(Block::ZERO);
                    (first, count, false)
                }
                Chosen::Running { first, count } => (first, count, true),
            };
            // A layer above takes the h that the layer below has just got.
            let both;
            let alone;
            let (projection, products): (&[Block], &[Product<'_>]) = match below.last() {
                None => {
                    alone = [recurrent];
                    (projection, if running { &alone } else { &[] })
                }
                Some(below) => {
                    let from_below = Product {
                        weights: &layer.input,
                        inputs: &below.next,
                    };
                    both = [from_below, recurrent];
                    (&layer.bias, if running { &both } else { &both[..1] })
                }
            };
            let step = Step {
                projection,
                products,
                first,
                count,
                ring: states.ring,
                backward,
            };
            kernel.advance(&step, &mut own.next, &mut own.c);
        }
    }
}

impl States {
    pub(super) fn new(layers: &Layers, ring: usize) -> States {
        let layers = layers.0.iter().map(|layer| {
            let zero = vec![Block::ZERO; ring * layer.bias.len() / 4];
            LayerStates {
                h: zero.clone(),
                next: zero.clone(),
                c: zero,
            }
        });
        States {
            ring,
            layers: layers.collect(),
        }
    }

    /// Ends a step: the new h becomes the h that the next step starts from.
    pub(super) fn turn(&mut self) {
        for layer in &mut self.layers {
            std::mem::swap(&mut layer.h, &mut layer.next);
        }
    }

    /// h `[⌈H/8⌉]` of the last layer of one sequence.
    pub(super) fn output(&self, slot: usize) -> &[Block] {
        self.outputs(slot, 1)
    }

    /// h `[count,⌈H/8⌉]` of the last layer of `count` sequences from `first` on.
    pub(super) fn outputs(&self, first: usize, count: usize) -> &[Block] {
        self.layers.last().map_or(&[], |layer| {
            let length = layer.h.len() / self.ring;
            &layer.h[first * length..][..count * length]
        })
    }

    /// Number of sequences there is room for.
    pub(super) fn ring(&self) -> usize {
        self.ring
    }
}
