//! A limit with hysteresis in value and in time. Imports nothing.

use std::time::{Duration, Instant};

use serde::Serialize;

/// When a limit is crossed, and when it is not any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hysteresis {
    /// Raised once the value has been this or more for `raise_after`.
    pub raise_at: f64,
    /// Cleared once the value has been below this for `clear_after`.
    pub clear_below: f64,
    pub raise_after: Duration,
    pub clear_after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Raised,
    Cleared,
}

/// Whether the limit is crossed. Two raises are `raise_after + clear_after` apart at least.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latch {
    raised: bool,
    /// Since when the value has asked for the other state.
    asked: Option<Instant>,
}

impl Latch {
    /// Takes a value. One that is missing, or is no number, leaves all as it is but starts the
    /// times anew: only values that were seen count as held.
    pub fn step(
        &mut self,
        now: Instant,
        value: Option<f64>,
        bounds: &Hysteresis,
    ) -> Option<Change> {
        let value = value.filter(|value| !value.is_nan());
        let (asks, patience) = if self.raised {
            let low = value.is_some_and(|value| value < bounds.clear_below);
            (low, bounds.clear_after)
        } else {
            let high = value.is_some_and(|value| value >= bounds.raise_at);
            (high, bounds.raise_after)
        };
        if !asks {
            self.asked = None;
            return None;
        }
        let asked = *self.asked.get_or_insert(now);
        if now.saturating_duration_since(asked) < patience {
            return None;
        }
        self.asked = None;
        self.raised = !self.raised;
        Some(if self.raised {
            Change::Raised
        } else {
            Change::Cleared
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Hysteresis = Hysteresis {
        raise_at: 90.0,
        clear_below: 81.0,
        raise_after: Duration::from_secs(30),
        clear_after: Duration::from_secs(120),
    };

    fn run(values: impl IntoIterator<Item = Option<f64>>) -> Vec<(u64, Change)> {
        let (mut latch, start) = (Latch::default(), Instant::now());
        let mut changes = Vec::new();
        for (second, value) in (0..).zip(values) {
            let now = start + Duration::from_secs(second);
            changes.extend(
                latch
                    .step(now, value, &BOUNDS)
                    .map(|change| (second, change)),
            );
        }
        changes
    }

    #[test]
    fn it_raises_after_the_stated_time_and_clears_below_the_lower_bound() {
        let high = std::iter::repeat_n(Some(95.0), 40);
        let between = std::iter::repeat_n(Some(85.0), 400);
        let low = std::iter::repeat_n(Some(80.0), 200);
        let changes = run(high.chain(between).chain(low));
        assert_eq!(
            changes,
            [(30, Change::Raised), (440 + 120, Change::Cleared)]
        );
    }

    #[test]
    fn a_short_peak_and_a_missing_value_raise_nothing() {
        let peaks = (0..200).map(|second| Some(if second % 20 == 0 { 50.0 } else { 99.0 }));
        assert!(run(peaks).is_empty());
        let holes = (0..200).map(|second| (second % 20 != 0).then_some(99.0));
        assert!(run(holes).is_empty());
        assert!(run([Some(f64::NAN); 200]).is_empty());
    }

    proptest! {
        #[test]
        fn it_never_flaps_whatever_comes(
            values in prop::collection::vec(prop::option::of(prop_oneof![Just(95.0), Just(85.0), Just(20.0), any::<f64>()]), 0..400),
            runs in 1..100usize,
        ) {
            let stretched = values.iter().flat_map(|value| std::iter::repeat_n(*value, runs));
            let changes = run(stretched);
            for pair in changes.windows(2) {
                prop_assert_ne!(pair[0].1, pair[1].1, "each raise is cleared before the next");
            }
            let raises: Vec<u64> = changes.iter().filter(|c| c.1 == Change::Raised).map(|c| c.0).collect();
            for pair in raises.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 150);
            }
        }
    }
}
