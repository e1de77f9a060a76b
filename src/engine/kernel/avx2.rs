//! AVX2 with FMA: eight lanes are one register.

use std::arch::x86_64::*;

use super::lanes::{Eight, Lanes};
use super::{Block, Panel, Step, lstm, roofline};

#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256);

// SAFETY of every block below: only this module and `avx512` know `Avx2`, and its methods are reached
// only through the two functions at the end of each, whose callers have made sure of AVX2 and FMA.
// The loads and stores go through references to 32 aligned bytes.
impl Lanes for Avx2 {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: see above.
        Avx2(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Avx2(unsafe { _mm256_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Avx2(unsafe { _mm256_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Avx2(unsafe { _mm256_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        Avx2(unsafe { _mm256_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: see above.
        Avx2(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn clamp(self, limit: Self) -> Self {
        // The second operand is the result when one is NaN, so NaN becomes the limit.
        // SAFETY: see above.
        Avx2(unsafe {
            let low = _mm256_sub_ps(_mm256_setzero_ps(), limit.0);
            _mm256_max_ps(_mm256_min_ps(self.0, limit.0), low)
        })
    }
    #[inline(always)]
    fn scale(self, rounded: Self) -> Self {
        // SAFETY: see above.
        Avx2(unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(rounded.0));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self.0), exponent))
        })
    }
}

impl Eight for Avx2 {
    const PAIRS: bool = true;
    const IN_PARTS: bool = false;
    #[inline(always)]
    fn load(block: &Block) -> Self {
        // SAFETY: see above; the block is readable and 32-byte aligned.
        Avx2(unsafe { _mm256_load_ps(block.0.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, block: &mut Block) {
        // SAFETY: see above; the block is writable and 32-byte aligned.
        unsafe { _mm256_store_ps(block.0.as_mut_ptr(), self.0) }
    }
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn project(weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
    lstm::project::<Avx2>(weights, bias, x, out);
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn advance(step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
    lstm::advance::<Avx2>(step, h, c);
}

/// See [`super::Kernel::multiply_adds`].
///
/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply_adds(rounds: usize) -> f32 {
    let mut out = Block::ZERO;
    roofline::multiply_add::<Avx2>(rounds).store(&mut out);
    out.0[0]
}

/// See [`super::Kernel::read`].
///
/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn read(panel: &Panel, passes: usize) -> f32 {
    let mut out = Block::ZERO;
    roofline::read::<Avx2, 32>(panel, passes, |columns, at| Avx2::load(&columns.0[at]))
        .store(&mut out);
    out.0[0]
}
