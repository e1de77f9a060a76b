//! The kernel in plain Rust: the reference of the others, and the fallback.

use super::lanes::{Eight, Lanes};
use super::{Block, LANES, Panel, Step, lstm};

#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

#[inline(always)]
fn zip(a: Plain, b: Plain, op: impl Fn(f32, f32) -> f32) -> Plain {
    let mut out = a;
    for (x, y) in out.0.iter_mut().zip(b.0) {
        *x = op(*x, y);
    }
    out
}

impl Lanes for Plain {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Plain([value; LANES])
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        zip(self, other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        zip(self, other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        zip(self, other, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        zip(self, other, |a, b| a / b)
    }
    // Not f32::mul_add: without FMA in the target it is a slow library call.
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul(factor).add(addend)
    }
    #[inline(always)]
    fn clamp(self, limit: Self) -> Self {
        // Not f32::clamp, which lets NaN through.
        zip(self, limit, |a, b| a.min(b).max(-b))
    }
    #[inline(always)]
    fn scale(self, rounded: Self) -> Self {
        zip(self, rounded, |a, r| {
            f32::from_bits(a.to_bits().wrapping_add(r.to_bits() << 23))
        })
    }
}

impl Eight for Plain {
    // The compiler does not keep two states in vector registers.
    const PAIRS: bool = false;
    const IN_PARTS: bool = true;
    #[inline(always)]
    fn load(block: &Block) -> Self {
        Plain(block.0)
    }
    #[inline(always)]
    fn store(self, block: &mut Block) {
        block.0 = self.0;
    }
}

pub(super) fn project(weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
    lstm::project::<Plain>(weights, bias, x, out);
}

pub(super) fn advance(step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
    lstm::advance::<Plain>(step, h, c);
}
