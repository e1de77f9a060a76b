//! NEON of aarch64: eight lanes are two registers, of which there are 32.

use std::arch::aarch64::*;

use super::lanes::{Eight, Lanes};
use super::{Block, Panel, Step, lstm, roofline};

#[derive(Clone, Copy)]
struct Neon(float32x4_t, float32x4_t);

// SAFETY of every block below: NEON belongs to the aarch64 targets that we build for. The loads
// and stores stay within the eight values of the block that they are given.
impl Lanes for Neon {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: see above.
        let all = unsafe { vdupq_n_f32(value) };
        Neon(all, all)
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Neon(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Neon(vsubq_f32(self.0, other.0), vsubq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Neon(vmulq_f32(self.0, other.0), vmulq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Neon(vdivq_f32(self.0, other.0), vdivq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            Neon(
                vfmaq_f32(addend.0, self.0, factor.0),
                vfmaq_f32(addend.1, self.1, factor.1),
            )
        }
    }
    #[inline(always)]
    fn clamp(self, limit: Self) -> Self {
        // The "nm" forms return the number when the other operand is NaN.
        // SAFETY: see above.
        unsafe {
            Neon(
                vmaxnmq_f32(vminnmq_f32(self.0, limit.0), vnegq_f32(limit.0)),
                vmaxnmq_f32(vminnmq_f32(self.1, limit.1), vnegq_f32(limit.1)),
            )
        }
    }
    #[inline(always)]
    fn scale(self, rounded: Self) -> Self {
        Neon(shift_in(self.0, rounded.0), shift_in(self.1, rounded.1))
    }
}

impl Eight for Neon {
    const PAIRS: bool = true;
    const IN_PARTS: bool = false;
    #[inline(always)]
    fn load(block: &Block) -> Self {
        let (low, high) = block.0.split_at(4);
        // SAFETY: see above; each half is four values long.
        unsafe { Neon(vld1q_f32(low.as_ptr()), vld1q_f32(high.as_ptr())) }
    }
    #[inline(always)]
    fn store(self, block: &mut Block) {
        let (low, high) = block.0.split_at_mut(4);
        // SAFETY: see above; each half is four values long.
        unsafe {
            vst1q_f32(low.as_mut_ptr(), self.0);
            vst1q_f32(high.as_mut_ptr(), self.1);
        }
    }
}

/// Adds the low bits of `rounded` to the exponents of `value`.
#[inline(always)]
fn shift_in(value: float32x4_t, rounded: float32x4_t) -> float32x4_t {
    // SAFETY: as for the trait above.
    unsafe {
        let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(rounded));
        vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(value), exponent))
    }
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn project(weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
    lstm::project::<Neon>(weights, bias, x, out);
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn advance(step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
    lstm::advance::<Neon>(step, h, c);
}

/// See [`super::Kernel::multiply_adds`].
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply_adds(rounds: usize) -> f32 {
    let mut out = Block::ZERO;
    roofline::multiply_add::<Neon>(rounds).store(&mut out);
    out.0[0]
}

/// See [`super::Kernel::read`].
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn read(panel: &Panel, passes: usize) -> f32 {
    let mut out = Block::ZERO;
    roofline::read::<Neon, 32>(panel, passes, |columns, at| Neon::load(&columns.0[at]))
        .store(&mut out);
    out.0[0]
}
