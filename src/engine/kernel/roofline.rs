//! What this processor can do at most, by kernel: the floor under the engine's cost, for
//! `benches/curves.rs`. Not part of any computation.

use std::hint::black_box;

use super::lanes::Lanes;
use super::panel::Columns;
use super::{LANES, Panel};

/// Independent running sums: more than two units of five cycles latency can hold, and no more than
/// there are registers for.
pub(super) const CHAINS: usize = 12;

/// `rounds` rounds of [`CHAINS`] multiply-adds that wait for nothing but their own sums.
#[inline(always)]
pub(super) fn multiply_add<V: Lanes>(rounds: usize) -> V {
    let (factor, addend) = (V::splat(black_box(0.5)), V::splat(black_box(1.0)));
    let mut sums = [addend; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, addend);
        }
    }
    sums.into_iter().fold(addend, V::add)
}

/// Reads all weights of `panel` `passes` times, `N` vectors of eight columns by `load`.
#[inline(always)]
pub(super) fn read<V: Lanes, const N: usize>(
    panel: &Panel,
    passes: usize,
    load: impl Fn(&Columns, usize) -> V,
) -> V {
    const { assert!(N.is_multiple_of(LANES)) };
    let mut sums = [V::splat(0.0); LANES];
    for _ in 0..passes {
        for group in 0..panel.groups() {
            for columns in black_box(panel.group(group)) {
                for at in (0..N).step_by(LANES) {
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(load(columns, at + lane));
                    }
                }
            }
        }
    }
    sums.into_iter().fold(V::splat(0.0), V::add)
}
