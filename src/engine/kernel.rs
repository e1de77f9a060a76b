//! The arithmetic of the native engine: products with packed weights, and fused LSTM cells.
//!
//! One algorithm (`lstm`) is written over a vector of eight lanes (`lanes`) and compiled once for
//! each instruction set: `portable` (plain Rust), `avx2` (x86-64 with AVX2 and FMA) and `neon`
//! (aarch64). `avx512` has products of its own, for sixteen lanes and twice the registers, around
//! the same cell. [`Kernel`] picks one at run time. This is the only place in the crate with `unsafe`
//! arithmetic; the interface below is safe. Imports nothing from the crate.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;
mod lstm;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panel;
mod portable;
mod roofline;
#[cfg(test)]
mod tests;

pub use panel::{Panel, gate_bias};

/// Number of values in a [`Block`].
pub const LANES: usize = 8;

/// Gate scales that turn the exponentials of the cell into powers of two: the rows of the gates
/// i, f, g, o of every weight and bias that feeds [`Kernel::advance`] are multiplied by these.
///
/// With z the scaled sum, 2^z is e^-x for the three sigmoid gates and e^-2x for the tanh gate g.
pub const GATE_SCALES: [f64; 4] = [
    -std::f64::consts::LOG2_E,
    -std::f64::consts::LOG2_E,
    -2.0 * std::f64::consts::LOG2_E,
    -std::f64::consts::LOG2_E,
];

/// Eight consecutive values, aligned so that one vector load never crosses a cache line.
///
/// A vector of n values is ⌈n/8⌉ blocks, the rest zero.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(32))]
pub struct Block(pub [f32; LANES]);

impl Block {
    pub const ZERO: Block = Block([0.0; LANES]);

    /// Number of blocks that hold `values` values.
    pub const fn count(values: usize) -> usize {
        values.div_ceil(LANES)
    }

    /// Copies `values` into `blocks` and pads with zeros.
    ///
    /// # Panics
    /// `blocks` is not [`Block::count`] blocks long.
    pub fn fill(blocks: &mut [Block], values: &[f32]) {
        assert_eq!(blocks.len(), Block::count(values.len()));
        for (block, chunk) in blocks.iter_mut().zip(values.chunks(LANES)) {
            *block = Block::ZERO;
            block.0[..chunk.len()].copy_from_slice(chunk);
        }
    }

    /// Copies the first `values.len()` values of `blocks` into `values`.
    ///
    /// # Panics
    /// `blocks` is too short.
    pub fn spill(blocks: &[Block], values: &mut [f32]) {
        assert!(blocks.len() >= Block::count(values.len()));
        for (block, chunk) in blocks.iter().zip(values.chunks_mut(LANES)) {
            chunk.copy_from_slice(&block.0[..chunk.len()]);
        }
    }
}

/// A matrix and the vectors it multiplies, one for each state.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// `[4H,K]`, scaled by [`GATE_SCALES`]
    pub weights: &'a Panel,
    /// `[states,⌈K/8⌉]`
    pub inputs: &'a [Block],
}

/// One LSTM step of one layer for several states.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The gate sums before the products, as [`Kernel::project`] writes them: `[⌈H/8⌉,4]` blocks
    /// for all states, or `[ring,⌈H/8⌉,4]`, those of each state.
    pub projection: &'a [Block],
    /// Added to the projection. Empty for a first step of a first layer, where h is zero.
    pub products: &'a [Product<'a>],
    /// Which of the stored states to advance, in a ring: `first`, `first + 1`, … (mod `ring`).
    pub first: usize,
    pub count: usize,
    /// Number of stored states.
    pub ring: usize,
    /// Go through the weights from the end to the start. Alternating the direction between the
    /// steps of a sequence finds the part used last still in the first-level cache.
    pub backward: bool,
}

impl Step<'_> {
    /// ⌈H/8⌉ × 4 blocks: the sums that the state in `slot` begins with; `groups` is ⌈H/8⌉.
    #[inline(always)]
    fn projection_of(&self, slot: usize, groups: usize) -> &[[Block; 4]] {
        let (all, _) = self.projection.as_chunks::<4>();
        match all.len() == groups {
            true => all,
            false => &all[slot * groups..][..groups],
        }
    }
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    /// Made by [`Kernel::avx2`] only, after the processor was asked.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Made by [`Kernel::avx512`] only, after the processor was asked.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Every aarch64 target of ours has NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The fastest kernel this machine has.
    pub fn best() -> Kernel {
        Kernel::available()
            .last()
            .copied()
            .unwrap_or(Kernel::portable())
    }

    /// Plain Rust, present everywhere.
    pub fn portable() -> Kernel {
        Kernel(Kind::Portable)
    }

    /// AVX2 with FMA, where the processor has both.
    #[cfg(target_arch = "x86_64")]
    pub fn avx2() -> Option<Kernel> {
        (std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"))
            .then_some(Kernel(Kind::Avx2))
    }

    /// AVX-512F, where the processor and the system have it.
    #[cfg(target_arch = "x86_64")]
    pub fn avx512() -> Option<Kernel> {
        (Kernel::avx2().is_some() && std::is_x86_feature_detected!("avx512f"))
            .then_some(Kernel(Kind::Avx512))
    }

    #[cfg(target_arch = "aarch64")]
    pub fn neon() -> Kernel {
        Kernel(Kind::Neon)
    }

    /// All kernels of this machine, the fastest last.
    pub fn available() -> Vec<Kernel> {
        [
            Some(Kernel::portable()),
            #[cfg(target_arch = "x86_64")]
            Kernel::avx2(),
            #[cfg(target_arch = "x86_64")]
            Kernel::avx512(),
            #[cfg(target_arch = "aarch64")]
            Some(Kernel::neon()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// `"portable"`, `"avx2"`, `"avx512"` or `"neon"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
        }
    }

    /// `out = W x + bias` for one or more vectors: `x` `[n,⌈K/8⌉]`, `bias` `[4 × groups]` and `out`
    /// `[n,4 × groups]` blocks, in the row order of the panel. The weights are read once for all.
    ///
    /// # Panics
    /// A length does not fit the panel.
    pub fn project(self, weights: &Panel, bias: &[Block], x: &[Block], out: &mut [Block]) {
        let (rows, depth) = (weights.groups() * 4, weights.depth());
        assert_eq!(bias.len(), rows, "bias of the product");
        assert_eq!(x.len() * rows, out.len() * depth, "output of the product");
        assert_eq!(x.len() % depth.max(1), 0, "input of the product");
        match self.0 {
            Kind::Portable => portable::project(weights, bias, x, out),
            // SAFETY: Kind::Avx2 exists only where AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2::project(weights, bias, x, out) },
            // SAFETY: Kind::Avx512 exists only where AVX-512F, AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512::project(weights, bias, x, out) },
            // SAFETY: the aarch64 targets that we build for have NEON.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => unsafe { neon::project(weights, bias, x, out) },
        }
    }

    /// Advances the chosen states by one LSTM step: reads and writes their `c` and writes their
    /// new `h`, both `[ring,⌈H/8⌉]`. The h of before, where wanted, is among the products' inputs.
    ///
    /// # Panics
    /// A length does not fit the step.
    pub fn advance(self, step: &Step<'_>, h: &mut [Block], c: &mut [Block]) {
        let groups = h.len() / step.ring.max(1);
        let one = step.projection.len() == groups * 4;
        let each = step.projection.len() == step.ring * groups * 4;
        assert!(one || each, "projection of the step");
        assert_eq!(h.len(), step.ring * groups, "h of the step");
        assert_eq!(c.len(), step.ring * groups, "c of the step");
        assert!(step.count == 0 || step.first < step.ring, "first state");
        assert!(step.count <= step.ring, "number of states");
        for product in step.products {
            assert_eq!(product.weights.groups(), groups, "weights of the step");
            assert_eq!(
                product.inputs.len(),
                step.ring * product.weights.depth(),
                "inputs of the step"
            );
        }
        match self.0 {
            Kind::Portable => portable::advance(step, h, c),
            // SAFETY: Kind::Avx2 exists only where AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2::advance(step, h, c) },
            // SAFETY: Kind::Avx512 exists only where AVX-512F, AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512::advance(step, h, c) },
            // SAFETY: the aarch64 targets that we build for have NEON.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => unsafe { neon::advance(step, h, c) },
        }
    }

    /// Makes at least `count` multiply-adds that never wait, and returns how many and what came of
    /// them: the machine's peak, for benches. None for the portable kernel, whose code has no say in
    /// which registers it gets.
    pub fn multiply_adds(self, count: usize) -> Option<(usize, f32)> {
        let rounds = |lanes: usize| count.div_ceil(roofline::CHAINS * lanes);
        let made = |lanes: usize| rounds(lanes) * roofline::CHAINS * lanes;
        match self.0 {
            Kind::Portable => None,
            // SAFETY: Kind::Avx2 exists only where AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Some((made(8), unsafe { avx2::multiply_adds(rounds(8)) })),
            // SAFETY: Kind::Avx512 exists only where AVX-512F, AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Some((made(16), unsafe { avx512::multiply_adds(rounds(16)) })),
            // SAFETY: the aarch64 targets that we build for have NEON.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => Some((made(8), unsafe { neon::multiply_adds(rounds(8)) })),
        }
    }

    /// Reads the weights of `panel` `passes` times and returns their sum's first lane: the
    /// machine's bandwidth, for benches. None for the portable kernel.
    pub fn read(self, panel: &Panel, passes: usize) -> Option<f32> {
        match self.0 {
            Kind::Portable => None,
            // SAFETY: Kind::Avx2 exists only where AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Some(unsafe { avx2::read(panel, passes) }),
            // SAFETY: Kind::Avx512 exists only where AVX-512F, AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Some(unsafe { avx512::read(panel, passes) }),
            // SAFETY: the aarch64 targets that we build for have NEON.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => Some(unsafe { neon::read(panel, passes) }),
        }
    }
}
