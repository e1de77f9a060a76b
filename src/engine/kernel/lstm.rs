//! The products and the LSTM step, written once over [`Eight`] lanes.
//!
//! A sum is always taken in the same order, whatever else is computed beside it: a window gives the
//! same bits alone as among others. Everything is `inline(always)`: it must end up inside the
//! function that is compiled for the instruction set.

use super::lanes::{Cell, Eight};
use super::panel::Columns;
use super::{Block, LANES, Panel, Step};

/// See [`super::Kernel::project`]; in the same blocks as [`advance`].
#[inline(always)]
pub(super) fn project<V: Eight>(weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
    let (bias, _) = bias.as_chunks::<4>();
    let (out, _) = out.as_chunks_mut::<4>();
    for group in (0..weights.groups()).step_by(2) {
        project_groups::<V>(weights, bias, x, out, group);
    }
}

/// Two groups of rows from `group` on, or the last one, for all vectors.
#[inline(always)]
pub(super) fn project_groups<V: Eight>(
    weights: &Panel,
    bias: &[[Block; 4]],
    x: &[Block],
    out: &mut [[Block; 4]],
    group: usize,
) {
    let two = group + 1 < weights.groups();
    let count = out.len() / weights.groups();
    let paired = if V::PAIRS { count / 2 * 2 } else { 0 };
    for from in (0..paired).step_by(2) {
        project_block::<V, 1, 2>(weights, bias, x, out, group, from);
        if two {
            project_block::<V, 1, 2>(weights, bias, x, out, group + 1, from);
        }
    }
    for from in paired..count {
        if two {
            project_block::<V, 2, 1>(weights, bias, x, out, group, from);
        } else {
            project_block::<V, 1, 1>(weights, bias, x, out, group, from);
        }
    }
}

/// `G` groups of rows from `group` on, for `S` vectors from `from` on.
#[inline(always)]
fn project_block<V: Eight, const G: usize, const S: usize>(
    weights: &Panel,
    bias: &[[Block; 4]],
    x: &[Block],
    out: &mut [[Block; 4]],
    group: usize,
    from: usize,
) {
    let (depth, groups) = (weights.depth(), weights.groups());
    let mut sums = start::<V, G, S>([&bias[group..][..G]; S]);
    let mut inputs: [&[Block]; S] = [&[]; S];
    for (s, input) in inputs.iter_mut().enumerate() {
        *input = &x[(from + s) * depth..][..depth];
    }
    add_product(&mut sums, weights, group, inputs);
    for (g, sums) in sums.into_iter().enumerate() {
        for (s, sums) in sums.into_iter().enumerate() {
            let out = &mut out[(from + s) * groups + group + g];
            for (value, block) in sums.into_iter().zip(out) {
                value.store(block);
            }
        }
    }
}

/// See [`super::Kernel::advance`].
///
/// A block of the product is two states by one group, or one state by two groups: eight running
/// sums keep two multiply-add units of four cycles latency busy, and leave registers for the
/// operands (with twelve sums the compiler runs out of AVX2's sixteen, which halved the speed).
/// The weights of two groups (16 KB at H = 64) stay in the first-level cache from one pair of
/// states to the next.
#[inline(always)]
pub(super) fn advance<V: Eight>(step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
    let groups = h.len() / step.ring.max(1);
    let pairs = groups.div_ceil(2);
    for index in 0..pairs {
        let pair = if step.backward {
            pairs - 1 - index
        } else {
            index
        };
        advance_groups::<V>(step, 2 * pair, h, c);
    }
}

/// Advances the chosen states by two groups of eight units from `group` on, or by the last one.
#[inline(always)]
pub(super) fn advance_groups<V: Eight>(
    step: &Step<'_>,
    group: usize,
    h: &mut [Block],
    c: &mut [Block],
) {
    let two = (group + 1) * step.ring < h.len();
    let paired = if V::PAIRS { step.count / 2 * 2 } else { 0 };
    for from in (0..paired).step_by(2) {
        units::<V, 1, 2>(step, group, from, h, c);
        if two {
            units::<V, 1, 2>(step, group + 1, from, h, c);
        }
    }
    for from in paired..step.count {
        if two {
            units::<V, 2, 1>(step, group, from, h, c);
        } else {
            units::<V, 1, 1>(step, group, from, h, c);
        }
    }
}

/// Advances `G` groups of eight units of `S` states, from the `from`-th chosen state on.
#[inline(always)]
fn units<V: Eight, const G: usize, const S: usize>(
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
    let groups = h.len() / step.ring.max(1);
    let mut projections: [&[[Block; 4]]; S] = [&[]; S];
    for (projection, slot) in projections.iter_mut().zip(slots) {
        *projection = &step.projection_of(slot, groups)[group..][..G];
    }
    let mut sums = start::<V, G, S>(projections);
    for product in step.products {
        let depth = product.weights.depth();
        let mut inputs: [&[Block]; S] = [&[]; S];
        for (input, slot) in inputs.iter_mut().zip(slots) {
            *input = &product.inputs[slot * depth..][..depth];
        }
        add_product(&mut sums, product.weights, group, inputs);
    }
    let mut at = [[0; S]; G];
    let mut cells = [[Cell::new(sums[0][0], V::splat(0.0)); S]; G];
    for g in 0..G {
        for s in 0..S {
            at[g][s] = slots[s] * groups + group + g;
            cells[g][s] = Cell::new(sums[g][s], V::load(&c[at[g][s]]));
        }
    }
    // Stage by stage, so that the cells' long chains of operations run side by side.
    let (cells, at) = (cells.as_flattened_mut(), at.as_flattened());
    for cell in cells.iter_mut() {
        cell.first();
    }
    for (cell, at) in cells.iter_mut().zip(at) {
        cell.second().store(&mut c[*at]);
    }
    for cell in cells.iter_mut() {
        cell.third();
    }
    for (cell, at) in cells.iter_mut().zip(at) {
        cell.fourth().store(&mut h[*at]);
    }
}

/// Running sums of `G` groups of four blocks of rows for `S` states.
type Sums<V, const G: usize, const S: usize> = [[[V; 4]; S]; G];

/// The sums of `S` states, which begin with these `values` `[G]` of each.
#[inline(always)]
fn start<V: Eight, const G: usize, const S: usize>(values: [&[[Block; 4]]; S]) -> Sums<V, G, S> {
    let mut sums = [[[V::splat(0.0); 4]; S]; G];
    for (g, sums) in sums.iter_mut().enumerate() {
        for (sums, values) in sums.iter_mut().zip(values) {
            for (sum, block) in sums.iter_mut().zip(&values[g]) {
                *sum = V::load(block);
            }
        }
    }
    sums
}

/// Adds the products of `G` groups of rows, from `group` on, with the inputs of `S` states.
#[inline(always)]
fn add_product<V: Eight, const G: usize, const S: usize>(
    sums: &mut Sums<V, G, S>,
    weights: &Panel,
    group: usize,
    inputs: [&[Block]; S],
) {
    let depth = weights.depth();
    let mut rows: [&[Columns]; G] = [&[]; G];
    for (g, rows) in rows.iter_mut().enumerate() {
        *rows = &weights.group(group + g)[..depth];
    }
    let mut x: [&[Block]; S] = [&[]; S];
    for (x, input) in x.iter_mut().zip(inputs) {
        *x = &input[..depth];
    }
    for at in 0..depth {
        if V::IN_PARTS {
            let mut part = [[[V::splat(0.0); 4]; S]; G];
            add_columns(&mut part, rows, x, at);
            let (sums, part) = (sums.as_flattened_mut(), part.as_flattened());
            let both = sums.as_flattened_mut().iter_mut().zip(part.as_flattened());
            both.for_each(|(sum, part)| *sum = sum.add(*part));
        } else {
            add_columns(sums, rows, x, at);
        }
    }
}

/// Adds the products of the `at`-th eight columns.
#[inline(always)]
fn add_columns<V: Eight, const G: usize, const S: usize>(
    sums: &mut Sums<V, G, S>,
    rows: [&[Columns]; G],
    x: [&[Block]; S],
    at: usize,
) {
    for k in 0..LANES {
        let mut factors = [V::splat(0.0); S];
        for (factor, x) in factors.iter_mut().zip(x) {
            *factor = V::splat(x[at].0[k]);
        }
        for (sums, rows) in sums.iter_mut().zip(rows) {
            for quarter in 0..4 {
                let weight = V::load(&rows[at].0[k * 4 + quarter]);
                for (sums, factor) in sums.iter_mut().zip(factors) {
                    sums[quarter] = weight.mul_add(factor, sums[quarter]);
                }
            }
        }
    }
}
