//! Buckets that wait until there are enough for a chunk, in memory that is there from the beginning:
//! a service that takes half an hour to fill it would look as if it leaked. Imports `frame` and its siblings only.

use super::CHUNK_BUCKETS;
use super::gather::{Bucket, Plan};
use crate::frame::Timestamp;

/// Buckets that wait while the disk cannot be written.
pub const MOST_WAITING: usize = 4 * CHUNK_BUCKETS;

/// The oldest comes first.
#[derive(Debug, Default)]
pub struct Waiting {
    buckets: Vec<Bucket>,
    /// Memory for one chunk, but for what `buckets` has of it.
    spare: Vec<Bucket>,
}

impl Waiting {
    /// For buckets of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let sensors = plan.sensors.len();
        // Their values are written, NaN, and not only allocated: the kernel gives the memory now.
        let spare = (0..CHUNK_BUCKETS).map(|_| Bucket::empty(Timestamp::EPOCH, sensors));
        Waiting {
            buckets: Vec::with_capacity(CHUNK_BUCKETS),
            spare: spare.collect(),
        }
    }

    /// Where too many wait, the oldest is given up.
    pub fn push(&mut self, bucket: Bucket) {
        if self.buckets.len() >= MOST_WAITING {
            self.drop_oldest(1);
        }
        let kept = match self.spare.pop() {
            Some(mut spare) => {
                spare.low.clone_from(&bucket.low);
                spare.high.clone_from(&bucket.high);
                Bucket {
                    low: spare.low,
                    high: spare.high,
                    ..bucket
                }
            }
            None => bucket,
        };
        self.buckets.push(kept);
    }

    pub fn drop_oldest(&mut self, count: usize) {
        for bucket in self.buckets.drain(..count) {
            if self.spare.len() < CHUNK_BUCKETS {
                self.spare.push(bucket);
            }
        }
    }

    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::tests::bucket;
    use super::*;

    #[test]
    fn a_chunk_after_the_other_lies_in_the_memory_of_the_first() {
        let plan = Plan::new(vec!["A".to_owned(), "B".to_owned()]);
        let mut waiting = Waiting::of(&plan);
        let places = |buckets: &[Bucket]| {
            let mut places: Vec<_> = buckets.iter().map(|one| one.low.as_ptr()).collect();
            places.sort();
            places
        };
        let first = places(&waiting.spare);
        for chunk in 0..3 {
            for minute in 0..CHUNK_BUCKETS as i64 {
                waiting.push(bucket(minute, &[(minute as f32, 9.0), (-1.0, 1.0)]));
            }
            assert_eq!(places(waiting.buckets()), first, "{chunk}");
            assert_eq!(waiting.buckets()[7].low, [7.0, -1.0]);
            assert_eq!(waiting.buckets()[7].high, [9.0, 1.0]);
            waiting.drop_oldest(CHUNK_BUCKETS);
            assert!(waiting.buckets().is_empty());
        }
    }

    #[test]
    fn what_waited_for_a_disk_is_not_kept_as_memory() {
        let mut waiting = Waiting::of(&Plan::new(vec!["A".to_owned()]));
        for minute in 0..1_000 {
            waiting.push(bucket(minute, &[(0.0, 1.0)]));
        }
        assert_eq!(waiting.buckets().len(), MOST_WAITING);
        assert_eq!(
            waiting.buckets()[0].start,
            Timestamp::from_seconds(880 * 60)
        );
        waiting.drop_oldest(MOST_WAITING);
        assert_eq!(waiting.spare.len(), CHUNK_BUCKETS);
    }
}
