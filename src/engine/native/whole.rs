//! Whole windows that have nothing to do with each other, side by side: each step of all of them
//! reads its weights once. Sums are taken in the order of a stream, so the results are the same bits.

use super::decode::Decoder;
use super::layer::{Chosen, States};
use super::weights::Weights;
use crate::engine::kernel::{Block, Kernel};

/// Reconstructs `windows` `[n,T,F]` into `out` `[n,T,F]`; `window` is T, `sensors` is F.
pub(super) fn reconstruct(
    kernel: Kernel,
    weights: &Weights,
    [window, sensors]: [usize; 2],
    windows: &[f32],
    out: &mut [f32],
) {
    let size = window * sensors;
    let (first, count) = (0, windows.len() / size);
    let (encoder, depth) = (&weights.encoder, Block::count(sensors));
    let mut states = States::new(encoder, count);
    let mut frames = vec![Block::ZERO; count * depth];
    let mut projections = vec![Block::ZERO; count * encoder.projection_length()];
    for t in 0..window {
        for (frame, window) in frames
            .chunks_exact_mut(depth)
            .zip(windows.chunks_exact(size))
        {
            Block::fill(frame, &window[t * sensors..][..sensors]);
        }
        encoder.project(kernel, &frames, &mut projections);
        let chosen = match t {
            0 => Chosen::Fresh { first, count },
            _ => Chosen::Running { first, count },
        };
        encoder.step(kernel, &projections, &mut states, chosen, t % 2 == 1);
        states.turn();
    }
    let mut decoder = Decoder::new(weights, count);
    decoder.begin(kernel, weights, states.outputs(first, count));
    for t in 0..window {
        decoder.step(kernel, &weights.decoder, t);
        decoder.reconstruct(kernel, weights);
        for (n, out) in out.chunks_exact_mut(size).enumerate() {
            decoder.frame(n, &mut out[t * sensors..][..sensors]);
        }
    }
}
