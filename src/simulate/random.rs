//! Repeatable randomness for the plant: normal variates and slow random processes. Imports nothing.

use std::f64::consts::TAU;

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Draws from one seed; separate streams of the same seed are independent, so that a draw more in
/// one part of the plant does not change another part.
#[derive(Debug, Clone)]
pub struct Random {
    generator: Pcg64Mcg,
    spare: Option<f64>,
}

impl Random {
    pub fn new(seed: u64, stream: u64) -> Self {
        // `seed_from_u64` spreads neighbouring numbers over the whole state; the odd factor keeps
        // (seed, stream) pairs apart.
        let mixed = seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Random {
            generator: Pcg64Mcg::seed_from_u64(mixed),
            spare: None,
        }
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        // The upper 53 bits fill a double's mantissa exactly.
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of `0..count`; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// Standard normal variate (Box and Muller, "A Note on the Generation of Random Normal
    /// Deviates", 1958); they come in pairs, the second is kept for the next call.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - u lies in (0, 1]: the logarithm stays finite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

/// A quantity that wanders around zero: an Ornstein-Uhlenbeck process.
#[derive(Debug, Clone)]
pub struct Wander {
    /// Its present value, in the unit of `deviation`.
    pub value: f64,
    deviation: f64,
    seconds: f64,
}

impl Wander {
    /// Stationary standard deviation `deviation`, correlation time `seconds`; starts anywhere the
    /// stationary process could be.
    pub fn new(deviation: f64, seconds: f64, random: &mut Random) -> Self {
        Wander {
            value: deviation * random.normal(),
            deviation,
            seconds,
        }
    }

    /// Moves on by `dt` seconds. Implicit in the decay, so it is stable for any `dt`.
    pub fn step(&mut self, dt: f64, random: &mut Random) -> f64 {
        let decay = dt / (self.seconds + dt);
        let spread = (decay * (2.0 - decay)).sqrt();
        self.value += -self.value * decay + self.deviation * spread * random.normal();
        self.value
    }
}

/// First-order lag: `value` moves towards `target` with time constant `seconds` during `dt`.
pub fn lag(value: f64, target: f64, seconds: f64, dt: f64) -> f64 {
    value + (target - value) * (dt / (seconds + dt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_variates_have_mean_zero_and_variance_one() {
        let mut random = Random::new(1, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        let kurtosis = draws.iter().map(|x| x.powi(4)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.015, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.02, "variance {variance}");
        assert!((kurtosis - 3.0).abs() < 0.15, "fourth moment {kurtosis}");
    }

    #[test]
    fn streams_of_a_seed_differ_and_repeat() {
        let draw = |seed, stream| Random::new(seed, stream).unit();
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn a_wander_keeps_its_spread() {
        let mut random = Random::new(3, 0);
        let mut wander = Wander::new(2.0, 10.0, &mut random);
        let squares: f64 = (0..200_000)
            .map(|_| wander.step(1.0, &mut random).powi(2))
            .sum();
        let deviation = (squares / 200_000.0).sqrt();
        assert!((deviation - 2.0).abs() < 0.1, "deviation {deviation}");
    }
}
