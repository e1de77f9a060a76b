//! How often durations were how long: buckets of fixed memory whose width grows with the duration,
//! so that a figure is never too low and at most 1/32 too high. Imports nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets an octave: their number is the precision.
const FINENESS: u64 = 32;
const FINENESS_BITS: u32 = FINENESS.trailing_zeros();
/// Enough for every `u64` of nanoseconds.
const BUCKETS: usize = (FINENESS * (64 - FINENESS_BITS as u64 + 1)) as usize;

/// Counts of durations. As JSON: `{"sum_ns": …, "counts": [[upper bound in ns, count], …]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Filled", into = "Filled")]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum_ns: u64,
}

/// The buckets with anything in them.
#[derive(Serialize, Deserialize)]
struct Filled {
    sum_ns: u64,
    counts: Vec<(u64, u64)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: vec![0; BUCKETS],
            total: 0,
            sum_ns: 0,
        }
    }
}

impl Histogram {
    pub fn note(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.sum_ns = self.sum_ns.saturating_add(nanos);
    }

    /// One whose memory the kernel has given already. A default one gets it page by page, as durations come
    /// that were not seen before, and a service that holds it looks as if it leaked.
    pub fn touched() -> Self {
        let mut histogram = Histogram::default();
        // Without the box the compiler knows that zeros are there, and writes nothing.
        std::hint::black_box(&mut histogram.counts).fill(0);
        histogram
    }

    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.sum_ns = 0;
    }

    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// What was noted since `earlier`, an earlier state of this one.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let both = self.counts.iter().zip(&earlier.counts);
        let counts: Vec<u64> = both
            .map(|(now, before)| now.saturating_sub(*before))
            .collect();
        Histogram {
            total: counts.iter().sum(),
            counts,
            sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns),
        }
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    pub fn mean(&self) -> Option<Duration> {
        (self.total > 0).then(|| Duration::from_nanos(self.sum_ns / self.total))
    }

    /// The duration that the share `share` (0 to 1) of all did not exceed; none of nothing.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        // Counts are far below 2^53.
        let wanted = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        let place = self.counts.iter().position(reached)?;
        Some(Duration::from_nanos(upper(place)))
    }

    pub fn longest(&self) -> Option<Duration> {
        self.quantile(1.0)
    }

    /// Upper bound and count of every bucket that is not empty, shortest first.
    pub fn filled(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let filled = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        filled.map(|(place, count)| (Duration::from_nanos(upper(place)), *count))
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < FINENESS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - FINENESS_BITS;
    (u64::from(shift) * FINENESS + (nanos >> shift)) as usize
}

/// The longest duration of a bucket, in nanoseconds.
fn upper(place: usize) -> u64 {
    let place = place as u64;
    if place < 2 * FINENESS {
        return place;
    }
    let shift = place / FINENESS - 1;
    let within = place % FINENESS + FINENESS;
    // The last bucket ends with the last u64.
    (((u128::from(within) + 1) << shift) - 1) as u64
}

impl From<Histogram> for Filled {
    fn from(histogram: Histogram) -> Self {
        let filled = histogram.filled();
        Filled {
            counts: filled
                .map(|(upper, count)| (u64::try_from(upper.as_nanos()).unwrap_or(u64::MAX), count))
                .collect(),
            sum_ns: histogram.sum_ns,
        }
    }
}

impl From<Filled> for Histogram {
    fn from(filled: Filled) -> Self {
        let mut histogram = Histogram::default();
        for (upper, count) in filled.counts {
            let place = &mut histogram.counts[bucket(upper)];
            *place = place.saturating_add(count);
            histogram.total = histogram.total.saturating_add(count);
        }
        histogram.sum_ns = filled.sum_ns;
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_mean_of_known_durations() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.mean()), (None, None));
        for micros in 1..=1000 {
            histogram.note(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1e6;
            assert!(
                (micros..=micros * 33.0 / 32.0).contains(&found),
                "{share}: {found}"
            );
        }
        assert_eq!(histogram.mean(), Some(Duration::from_nanos(500_500)));
        assert_eq!(histogram.count(), 1000);
    }

    #[test]
    fn what_came_later_is_told_apart() {
        let mut histogram = Histogram::default();
        histogram.note(Duration::from_millis(70));
        let before = histogram.clone();
        histogram.note(Duration::from_millis(5));
        let later = histogram.since(&before);
        assert_eq!(later.count(), 1);
        assert_eq!(later.mean(), Some(Duration::from_millis(5)));
        assert!(later.longest().unwrap() < Duration::from_millis(6));
        let mut both = later.clone();
        both.add(&before);
        assert_eq!(both, histogram);
        both.clear();
        assert_eq!(both, Histogram::default());
    }

    proptest::proptest! {
        #[test]
        fn a_bound_is_never_too_low_and_json_loses_nothing(nanos: u64) {
            let bound = upper(bucket(nanos));
            proptest::prop_assert!(bound >= nanos && bound - nanos <= nanos / 32);
            let mut histogram = Histogram::default();
            histogram.note(Duration::from_nanos(nanos));
            let json = serde_json::to_string(&histogram).unwrap();
            let read: Histogram = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(read, histogram);
        }
    }
}
