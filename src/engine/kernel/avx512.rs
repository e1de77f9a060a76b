//! AVX-512: sixteen lanes and 32 registers.
//!
//! The weights lie as for eight lanes. A register takes two gates of eight units, which lie side by
//! side, so a group's sums are two registers (i f, g o); before the cell those of two groups are
//! laid together, gate by gate. Each sum is taken in the order of the other kernels, with AVX2's
//! operations: the results are the same bits as AVX2's. An odd last group is left to it.

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::lanes::{Cell, Lanes};
use super::panel::Columns;
use super::{Block, LANES, Panel, Step, lstm, roofline};

#[derive(Clone, Copy)]
struct Sixteen(__m512);

// SAFETY of every block below: the types and functions are private to this module, and are reached
// only through the two functions at the end, whose callers have made sure of AVX-512F. What is
// loaded and stored lies within the arrays of blocks that a reference leads to.
impl Lanes for Sixteen {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe { _mm512_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn clamp(self, limit: Self) -> Self {
        // The second operand is the result when one is NaN, so NaN becomes the limit.
        // SAFETY: see above.
        Sixteen(unsafe {
            let low = _mm512_sub_ps(_mm512_setzero_ps(), limit.0);
            _mm512_max_ps(_mm512_min_ps(self.0, limit.0), low)
        })
    }
    #[inline(always)]
    fn scale(self, rounded: Self) -> Self {
        // SAFETY: see above.
        Sixteen(unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(rounded.0));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self.0), exponent))
        })
    }
}

impl Sixteen {
    #[inline(always)]
    fn load(blocks: &[Block; 2]) -> Self {
        // SAFETY: see above; two blocks are sixteen values.
        Sixteen(unsafe { _mm512_loadu_ps(blocks.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, blocks: &mut [Block; 2]) {
        // SAFETY: see above; two blocks are sixteen values.
        unsafe { _mm512_storeu_ps(blocks.as_mut_ptr().cast(), self.0) }
    }

    /// Two gates of one group and the same gates of the next, laid together gate by gate.
    #[inline(always)]
    fn by_gate(group: Self, next: Self) -> [Self; 2] {
        // SAFETY: see above.
        unsafe {
            [
                Sixteen(_mm512_shuffle_f32x4::<0x44>(group.0, next.0)),
                Sixteen(_mm512_shuffle_f32x4::<0xee>(group.0, next.0)),
            ]
        }
    }
}

/// Running sums of `P` pairs of groups for `S` states: two groups of two registers each.
type Sums<const P: usize, const S: usize> = [[[[Sixteen; 2]; 2]; S]; P];

/// The sums of `S` states, which begin with these `values` `[2P]` of each.
#[inline(always)]
fn start<const P: usize, const S: usize>(values: [&[[Block; 4]]; S]) -> Sums<P, S> {
    let mut sums = [[[[Sixteen::splat(0.0); 2]; 2]; S]; P];
    for (p, sums) in sums.iter_mut().enumerate() {
        for (sums, values) in sums.iter_mut().zip(values) {
            for (sums, values) in sums.iter_mut().zip(&values[2 * p..][..2]) {
                let (gates, _) = values.as_chunks::<2>();
                *sums = [Sixteen::load(&gates[0]), Sixteen::load(&gates[1])];
            }
        }
    }
    sums
}

/// Adds the products of `P` pairs of groups, from `group` on, with the inputs of `S` states.
#[inline(always)]
fn add_product<const P: usize, const S: usize>(
    sums: &mut Sums<P, S>,
    weights: &Panel,
    group: usize,
    inputs: [&[Block]; S],
) {
    let depth = weights.depth();
    let mut rows: [[&[Columns]; 2]; P] = [[&[]; 2]; P];
    for (g, rows) in rows.as_flattened_mut().iter_mut().enumerate() {
        *rows = &weights.group(group + g)[..depth];
    }
    let mut x: [&[Block]; S] = [&[]; S];
    for (x, input) in x.iter_mut().zip(inputs) {
        *x = &input[..depth];
    }
    for at in 0..depth {
        for k in 0..LANES {
            let mut factors = [Sixteen::splat(0.0); S];
            for (factor, x) in factors.iter_mut().zip(x) {
                *factor = Sixteen::splat(x[at].0[k]);
            }
            for (sums, rows) in sums.iter_mut().zip(rows) {
                for (g, rows) in rows.into_iter().enumerate() {
                    let (gates, _) = rows[at].0[k * 4..][..4].as_chunks::<2>();
                    for (half, gates) in gates.iter().enumerate() {
                        let weight = Sixteen::load(gates);
                        for (sums, factor) in sums.iter_mut().zip(factors) {
                            let sum = &mut sums[g][half];
                            *sum = weight.mul_add(factor, *sum);
                        }
                    }
                }
            }
        }
    }
}

/// How many of `left` states are taken side by side: at most five, and no lone one at the end.
#[inline(always)]
fn share(left: usize) -> usize {
    match left {
        0..=5 => left,
        6 => 3,
        _ => 4,
    }
}

/// Calls `$function::<pairs, states>` for the two groups from `$group` on and all of `$count` states.
macro_rules! for_all_states {
    ($count:expr, $function:ident($($argument:expr),*)) => {
        let mut from = 0;
        while from < $count {
            let states = share($count - from);
            match states {
                1 => $function::<1, 1>($($argument),*, from),
                2 => $function::<1, 2>($($argument),*, from),
                3 => $function::<1, 3>($($argument),*, from),
                4 => $function::<1, 4>($($argument),*, from),
                _ => $function::<1, 5>($($argument),*, from),
            }
            from += states;
        }
    };
}

/// Advances `P` pairs of groups of eight units of `S` states, from the `from`-th chosen state on.
#[inline(always)]
fn units<const P: usize, const S: usize>(
    step: &Step<'_>,
    group: usize,
    h: &mut [Block],
    c: &mut [Block],
    from: usize,
) {
    let groups = h.len() / step.ring.max(1);
    let mut slots = [0; S];
    for (s, slot) in slots.iter_mut().enumerate() {
        let at = step.first + from + s;
        *slot = if at >= step.ring { at - step.ring } else { at };
    }
    let mut projections: [&[[Block; 4]]; S] = [&[]; S];
    for (projection, slot) in projections.iter_mut().zip(slots) {
        *projection = &step.projection_of(slot, groups)[group..][..2 * P];
    }
    let mut sums = start::<P, S>(projections);
    for product in step.products {
        let depth = product.weights.depth();
        let mut inputs: [&[Block]; S] = [&[]; S];
        for (input, slot) in inputs.iter_mut().zip(slots) {
            *input = &product.inputs[slot * depth..][..depth];
        }
        add_product(&mut sums, product.weights, group, inputs);
    }
    let zero = Sixteen::splat(0.0);
    let mut at = [[0; S]; P];
    let mut cells = [[Cell::new([zero; 4], zero); S]; P];
    for p in 0..P {
        for s in 0..S {
            at[p][s] = slots[s] * groups + group + 2 * p;
            let [[i_f, g_o], [next_i_f, next_g_o]] = sums[p][s];
            let [i, f] = Sixteen::by_gate(i_f, next_i_f);
            let [g, o] = Sixteen::by_gate(g_o, next_g_o);
            cells[p][s] = Cell::new([i, f, g, o], Sixteen::load(two(c, at[p][s])));
        }
    }
    // Stage by stage, so that the cells' long chains of operations run side by side.
    let (cells, at) = (cells.as_flattened_mut(), at.as_flattened());
    for cell in cells.iter_mut() {
        cell.first();
    }
    for (cell, at) in cells.iter_mut().zip(at) {
        cell.second().store(two_mut(c, *at));
    }
    for cell in cells.iter_mut() {
        cell.third();
    }
    for (cell, at) in cells.iter_mut().zip(at) {
        cell.fourth().store(two_mut(h, *at));
    }
}

/// Two blocks side by side.
#[inline(always)]
fn two(blocks: &[Block], at: usize) -> &[Block; 2] {
    &blocks[at..][..2].as_chunks().0[0]
}

#[inline(always)]
fn two_mut(blocks: &mut [Block], at: usize) -> &mut [Block; 2] {
    &mut blocks[at..][..2].as_chunks_mut().0[0]
}

/// `P` pairs of groups of rows from `group` on, for `S` vectors from `from` on.
#[inline(always)]
fn project_block<const P: usize, const S: usize>(
    weights: &Panel,
    bias: &[[Block; 4]],
    x: &[Block],
    out: &mut [[Block; 4]],
    group: usize,
    from: usize,
) {
    let (depth, groups) = (weights.depth(), weights.groups());
    let mut sums = start::<P, S>([&bias[group..][..2 * P]; S]);
    let mut inputs: [&[Block]; S] = [&[]; S];
    for (s, input) in inputs.iter_mut().enumerate() {
        *input = &x[(from + s) * depth..][..depth];
    }
    add_product(&mut sums, weights, group, inputs);
    for (p, sums) in sums.into_iter().enumerate() {
        for (s, sums) in sums.into_iter().enumerate() {
            let out = &mut out[(from + s) * groups + group + 2 * p..][..2];
            for (sums, out) in sums.into_iter().zip(out) {
                let (gates, _) = out.as_chunks_mut::<2>();
                for (sum, gates) in sums.into_iter().zip(gates) {
                    sum.store(gates);
                }
            }
        }
    }
}

/// Groups that are taken together. A lone state takes four: eight running sums keep two
/// multiply-add units of four cycles latency busy.
fn width(states: usize) -> usize {
    if states == 1 { 4 } else { 2 }
}

/// See [`super::Kernel::project`].
///
/// # Safety
/// The processor has AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn project(weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
    let (bias, _) = bias.as_chunks::<4>();
    let (out, _) = out.as_chunks_mut::<4>();
    let groups = weights.groups();
    let count = out.len() / groups.max(1);
    let width = width(count);
    for group in (0..groups).step_by(width) {
        let left = width.min(groups - group);
        if left == 4 {
            project_block::<2, 1>(weights, bias, x, out, group, 0);
            continue;
        }
        if left >= 2 {
            for_all_states!(count, project_block(weights, bias, x, out, group));
        }
        if left % 2 == 1 {
            lstm::project_groups::<Avx2>(weights, bias, x, out, group + left - 1);
        }
    }
}

/// See [`super::Kernel::advance`].
///
/// # Safety
/// The processor has AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn advance(step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
    let groups = h.len() / step.ring.max(1);
    let width = width(step.count);
    let blocks = groups.div_ceil(width);
    for index in 0..blocks {
        let group = width
            * if step.backward {
                blocks - 1 - index
            } else {
                index
            };
        let left = width.min(groups - group);
        if left == 4 {
            units::<2, 1>(step, group, h, c, 0);
            continue;
        }
        if left >= 2 {
            for_all_states!(step.count, units(step, group, h, c));
        }
        if left % 2 == 1 {
            lstm::advance_groups::<Avx2>(step, group + left - 1, h, c);
        }
    }
}

/// See [`super::Kernel::multiply_adds`].
///
/// # Safety
/// The processor has AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn multiply_adds(rounds: usize) -> f32 {
    let mut out = [Block::ZERO; 2];
    roofline::multiply_add::<Sixteen>(rounds).store(&mut out);
    out[0].0[0]
}

/// See [`super::Kernel::read`].
///
/// # Safety
/// The processor has AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn read(panel: &Panel, passes: usize) -> f32 {
    let load = |columns: &Columns, at: usize| Sixteen::load(&columns.0.as_chunks().0[at]);
    let mut out = [Block::ZERO; 2];
    roofline::read::<Sixteen, 16>(panel, passes, load).store(&mut out);
    out[0].0[0]
}
