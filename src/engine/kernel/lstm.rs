//! The products and the LSTM step, written once over [`Lanes`].
//!
//! A sum is always taken in the same order, whatever else is computed beside it: a window gives the
//! same bits alone as among others. Everything is `inline(always)`: it must end up inside the
//! function that is compiled for the instruction set.

use super::lanes::{Lanes, cell};
use super::{Block, LANES, Panel, Step};

/// See [`super::Kernel::project`].
#[inline(always)]
pub(super) fn project<V: Lanes>(weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
    let (bias, _) = bias.as_chunks::<4>();
    let (out, _) = out.as_chunks_mut::<4>();
    let groups = weights.groups();
    let mut group = 0;
    while groups - group >= 2 {
        project_groups::<V, 2>(weights, bias, x, out, group);
        group += 2;
    }
    if group < groups {
        project_groups::<V, 1>(weights, bias, x, out, group);
    }
}

#[inline(always)]
fn project_groups<V: Lanes, const G: usize>(
    weights: &Panel,
    bias: &[[Block; 4]],
    x: &[Block],
    out: &mut [[Block; 4]],
    group: usize,
) {
    let mut sums = start::<V, G, 1>(&bias[group..][..G]);
    add_product(&mut sums, weights, group, [x]);
    for (sums, out) in sums.into_iter().zip(&mut out[group..][..G]) {
        for (value, block) in sums[0].into_iter().zip(out) {
            value.store(block);
        }
    }
}

/// See [`super::Kernel::advance`].
///
/// Registers: three states by four gates are twelve running sums of the sixteen vectors that AVX2
/// has (24 of 32 on NEON), and each weight that is loaded serves three states. The weights of a
/// group of units (8 KB at H = 64) stay in the first-level cache from one triple to the next. A
/// state alone takes two groups at once, since four sums would wait for each other.
#[inline(always)]
pub(super) fn advance<V: Lanes>(step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
    let groups = step.projection.len() / 4;
    let triples = step.count - step.count % 3;
    if triples > 0 || step.count == 2 {
        for index in 0..groups {
            let group = if step.backward {
                groups - 1 - index
            } else {
                index
            };
            for from in (0..triples).step_by(3) {
                units::<V, 1, 3>(step, group, from, h, c);
            }
            match step.count - triples {
                2 => units::<V, 1, 2>(step, group, triples, h, c),
                1 => units::<V, 1, 1>(step, group, triples, h, c),
                _ => {}
            }
        }
    } else if step.count == 1 {
        let pairs = groups / 2;
        if step.backward && groups % 2 == 1 {
            units::<V, 1, 1>(step, groups - 1, 0, h, c);
        }
        for index in 0..pairs {
            let pair = if step.backward {
                pairs - 1 - index
            } else {
                index
            };
            units::<V, 2, 1>(step, pair * 2, 0, h, c);
        }
        if !step.backward && groups % 2 == 1 {
            units::<V, 1, 1>(step, groups - 1, 0, h, c);
        }
    }
}

/// Advances `G` groups of eight units of `S` states, from the `from`-th chosen state on.
#[inline(always)]
fn units<V: Lanes, const G: usize, const S: usize>(
    step: &Step<'_>,
    group: usize,
    from: usize,
    h: &mut [Block],
    c: &mut [Block],
) {
    let mut slots = [0; S];
    for (s, slot) in slots.iter_mut().enumerate() {
        let at = step.first + from + s;
        *slot = if at >= step.ring { at - step.ring } else { at };
    }
    let (projection, _) = step.projection.as_chunks::<4>();
    let mut sums = start::<V, G, S>(&projection[group..][..G]);
    for product in step.products {
        let depth = product.weights.depth();
        let mut inputs: [&[Block]; S] = [&[]; S];
        for (input, slot) in inputs.iter_mut().zip(slots) {
            *input = &product.inputs[slot * depth..][..depth];
        }
        add_product(&mut sums, product.weights, group, inputs);
    }
    for (g, sums) in sums.into_iter().enumerate() {
        for (sums, slot) in sums.into_iter().zip(slots) {
            let at = slot * projection.len() + group + g;
            let (new_h, new_c) = cell(sums, V::load(&c[at]));
            new_h.store(&mut h[at]);
            new_c.store(&mut c[at]);
        }
    }
}

/// Running sums of `G` groups of four blocks of rows for `S` states.
type Sums<V, const G: usize, const S: usize> = [[[V; 4]; S]; G];

/// The sums of `S` states that begin with the same values.
#[inline(always)]
fn start<V: Lanes, const G: usize, const S: usize>(values: &[[Block; 4]]) -> Sums<V, G, S> {
    let mut sums = [[[V::splat(0.0); 4]; S]; G];
    for (sums, values) in sums.iter_mut().zip(values) {
        for sums in sums {
            for (sum, block) in sums.iter_mut().zip(values) {
                *sum = V::load(block);
            }
        }
    }
    sums
}

/// Adds the products of `G` groups of rows, from `group` on, with the inputs of `S` states.
#[inline(always)]
fn add_product<V: Lanes, const G: usize, const S: usize>(
    sums: &mut Sums<V, G, S>,
    weights: &Panel,
    group: usize,
    inputs: [&[Block]; S],
) {
    let depth = weights.depth();
    let mut rows: [&[[Block; 4 * LANES]]; G] = [&[]; G];
    for (g, rows) in rows.iter_mut().enumerate() {
        *rows = &weights.group(group + g)[..depth];
    }
    let mut x: [&[Block]; S] = [&[]; S];
    for (x, input) in x.iter_mut().zip(inputs) {
        *x = &input[..depth];
    }
    for at in 0..depth {
        for k in 0..LANES {
            let mut factors = [V::splat(0.0); S];
            for (factor, x) in factors.iter_mut().zip(x) {
                *factor = V::splat(x[at].0[k]);
            }
            for (sums, rows) in sums.iter_mut().zip(rows) {
                for quarter in 0..4 {
                    let weight = V::load(&rows[at][k * 4 + quarter]);
                    for (sums, factor) in sums.iter_mut().zip(factors) {
                        sums[quarter] = weight.mul_add(factor, sums[quarter]);
                    }
                }
            }
        }
    }
}
