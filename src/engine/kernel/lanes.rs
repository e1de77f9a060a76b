//! Lanes of f32 and what the cell needs of them: powers of two.

use super::Block;

/// A vector of values.
///
/// The methods of an implementation for an instruction set may be called only from functions that
/// are compiled for it; the modules keep the types to themselves to make sure of that.
pub(super) trait Lanes: Copy {
    fn splat(value: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once or twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Limits each lane to ±`limit`; what becomes of NaN is a number within the limits.
    fn clamp(self, limit: Self) -> Self;
    /// `self` × 2^n with n the integer that was added to [`ROUNDER`] to give `rounded`.
    fn scale(self, rounded: Self) -> Self;
}

/// A vector of [`super::LANES`] values.
pub(super) trait Eight: Lanes {
    /// Whether the registers suffice to take two states side by side, which share their loads of
    /// the weights.
    const PAIRS: bool;
    /// Whether eight columns are summed up by themselves before they are added, because a
    /// multiply-add rounds twice: long sums would be too far off otherwise.
    const IN_PARTS: bool;
    fn load(block: &Block) -> Self;
    fn store(self, block: &mut Block);
}

/// Adding 1.5 × 2^23 to a small float rounds it to an integer, which is then found in the low bits.
pub(super) const ROUNDER: f32 = 12_582_912.0;

/// Exponents are limited to ±42, so that a product of three powers and a cell state stays finite.
/// 2^-42 is 2e-13: far below the last digit of any gate.
pub(super) const EXPONENT_LIMIT: f32 = 42.0;

/// Minimax polynomial of (2^f − 1)/f in |f| ≤ 1/2, lowest power first: with the fixed constant
/// term 1 (so that gates of 0 are exact) 2^f has a relative error of 1.1e-7 at most. Sigmoid feels
/// at most a quarter and tanh a half of that.
const POWER: [f32; 5] = [
    0.693_146_977_599_194_3_f64 as f32,
    0.240_222_420_853_777_54_f64 as f32,
    0.055_507_337_431_899_52_f64 as f32,
    0.009_671_512_639_582_283_f64 as f32,
    0.001_326_472_721_761_242_8_f64 as f32,
];

/// 2^x, x limited to ±[`EXPONENT_LIMIT`].
#[inline(always)]
pub(super) fn power_of_two<V: Lanes>(x: V) -> V {
    let x = x.clamp(V::splat(EXPONENT_LIMIT));
    let rounded = x.add(V::splat(ROUNDER));
    let f = x.sub(rounded.sub(V::splat(ROUNDER)));
    // In pairs, which the processor works on side by side.
    let low = V::splat(POWER[0]).mul_add(f, V::splat(1.0));
    let middle = V::splat(POWER[2]).mul_add(f, V::splat(POWER[1]));
    let high = V::splat(POWER[4]).mul_add(f, V::splat(POWER[3]));
    let square = f.mul(f);
    let upper = high.mul_add(square, middle);
    upper.mul_add(square, low).scale(rounded)
}

/// The LSTM cells of a vector of units in four stages, so that several cells can be taken side by side.
///
/// The gate sums i, f, g, o are scaled by [`super::GATE_SCALES`]. With I = e^-i and so on,
/// σ(f)c + σ(i)tanh(g) = c/(1+F) + (1−G)/((1+I)(1+G)) and σ(o)tanh(c) = (1−C)/((1+O)(1+C)): over
/// common denominators, two divisions do for five activations.
#[derive(Clone, Copy)]
pub(super) struct Cell<V> {
    /// i, f, g, o at first; then what the stages leave for each other.
    parts: [V; 4],
    c: V,
}

impl<V: Lanes> Cell<V> {
    #[inline(always)]
    pub(super) fn new(gates: [V; 4], c: V) -> Self {
        Cell { parts: gates, c }
    }

    /// (1+I)(1+G) and 1−G
    #[inline(always)]
    pub(super) fn first(&mut self) {
        let one = V::splat(1.0);
        let [i, _, g, _] = &mut self.parts;
        let power = power_of_two(*g);
        *i = one.add(power_of_two(*i)).mul(one.add(power));
        *g = one.sub(power);
    }

    /// The new cell state.
    #[inline(always)]
    pub(super) fn second(&mut self) -> V {
        let [input, f, g, _] = self.parts;
        let forget = V::splat(1.0).add(power_of_two(f));
        let numerator = self.c.mul_add(input, g.mul(forget));
        self.c = numerator.div(input.mul(forget));
        self.c
    }

    /// C and 1+O
    #[inline(always)]
    pub(super) fn third(&mut self) {
        let [_, _, _, o] = &mut self.parts;
        *o = V::splat(1.0).add(power_of_two(*o));
        self.c = power_of_two(self.c.mul(V::splat(-2.0 * std::f32::consts::LOG2_E)));
    }

    /// The new h.
    #[inline(always)]
    pub(super) fn fourth(&self) -> V {
        let one = V::splat(1.0);
        let [_, _, _, output] = self.parts;
        one.sub(self.c).div(output.mul(one.add(self.c)))
    }
}
