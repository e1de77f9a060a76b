//! How long to wait before connecting again. Imports nothing from the crate.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// 1 s, doubled each time up to 48 s, plus up to a quarter by chance, so that the devices of a
/// plant do not all come back at the same moment.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    pub fn new() -> Self {
        Backoff::default()
    }

    /// A connection held: the next failure is a first one again.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait this time.
    pub fn wait(&mut self) -> Duration {
        let base = self.next;
        self.next = (base * 2).min(LONGEST * 4 / 5);
        base + base.mul_f64(chance() / 4.0)
    }
}

/// In [0, 1).
fn chance() -> f64 {
    // The standard library seeds each of these anew from the system's random numbers.
    let random = RandomState::new().hash_one(0_u8);
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over() {
        let mut backoff = Backoff::new();
        for base in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0, 48.0] {
            let wait = backoff.wait().as_secs_f64();
            assert!((base..base * 1.25).contains(&wait), "{wait} for {base}");
            assert!(wait <= LONGEST.as_secs_f64());
        }
        backoff.reset();
        assert!(backoff.wait().as_secs_f64() < 1.25);
    }

    #[test]
    fn waits_differ() {
        let first: Vec<Duration> = (0..10).map(|_| Backoff::new().wait()).collect();
        assert!(first.iter().any(|wait| *wait != first[0]));
    }
}
