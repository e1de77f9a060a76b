//! Some buckets as bytes, each sensor's values in 16 bits between its extremes in the chunk, so that
//! half an hour of 51 sensors is 7 KB. Imports `frame` only.
//!
//! ```text
//! length u32 of what follows but for the check
//! count u16
//! count x (start i64 (ns), frames u32, scored u32, score f32, mean_score f32, bar f32)
//! F x (lowest f32, highest f32, count x (low u16, high u16))     65535: nothing was read
//! check u32: FNV-1a of all before it
//! ```
//!
//! All numbers are little-endian.

use super::gather::Bucket;
use crate::frame::Timestamp;

const MISSING: u16 = u16::MAX;
const STEPS: f64 = 65_534.0;
const BUCKET_BYTES: usize = 8 + 4 + 4 + 4 + 4 + 4;

/// Of a chunk of `buckets` buckets, all told.
pub fn chunk_bytes(sensors: usize, buckets: usize) -> usize {
    4 + payload_bytes(sensors, buckets) + 4
}

fn payload_bytes(sensors: usize, buckets: usize) -> usize {
    2 + buckets * BUCKET_BYTES + sensors * (8 + 4 * buckets)
}

/// Appends the chunk of `buckets`, all of `sensors` sensors, to `bytes`.
pub fn write(bytes: &mut Vec<u8>, sensors: usize, buckets: &[Bucket]) {
    let start = bytes.len();
    let count = buckets.len().min(usize::from(u16::MAX));
    let buckets = &buckets[..count];
    bytes.extend((payload_bytes(sensors, count) as u32).to_le_bytes());
    bytes.extend((count as u16).to_le_bytes());
    for bucket in buckets {
        bytes.extend(bucket.start.nanos().to_le_bytes());
        bytes.extend(bucket.frames.to_le_bytes());
        bytes.extend(bucket.scored.to_le_bytes());
        for value in [bucket.score, bucket.mean_score, bucket.bar] {
            bytes.extend(value.to_le_bytes());
        }
    }
    for sensor in 0..sensors {
        let lows = buckets.iter().map(|bucket| bucket.low[sensor]);
        let highs = buckets.iter().map(|bucket| bucket.high[sensor]);
        let lowest = lows.fold(f32::NAN, f32::min);
        let highest = highs.fold(f32::NAN, f32::max);
        bytes.extend(lowest.to_le_bytes());
        bytes.extend(highest.to_le_bytes());
        for bucket in buckets {
            for value in [bucket.low[sensor], bucket.high[sensor]] {
                bytes.extend(step(value, lowest, highest).to_le_bytes());
            }
        }
    }
    let check = check(&bytes[start..]);
    bytes.extend(check.to_le_bytes());
}

fn step(value: f32, lowest: f32, highest: f32) -> u16 {
    let span = f64::from(highest) - f64::from(lowest);
    let share = (f64::from(value) - f64::from(lowest)) / span;
    match (value.is_nan(), span > 0.0) {
        (true, _) => MISSING,
        (false, true) => (share * STEPS).round() as u16,
        (false, false) => 0,
    }
}

fn value(step: u16, lowest: f32, highest: f32) -> f32 {
    if step == MISSING {
        return f32::NAN;
    }
    let span = f64::from(highest) - f64::from(lowest);
    (f64::from(lowest) + span * f64::from(step) / STEPS) as f32
}

/// The length that the chunk at the start of `bytes` says it has, check and all; none where it is
/// no chunk of `sensors` sensors.
pub fn length(bytes: [u8; 4], sensors: usize) -> Option<usize> {
    let payload = u32::from_le_bytes(bytes) as usize;
    let least = payload_bytes(sensors, 1);
    let most = payload_bytes(sensors, super::CHUNK_BUCKETS);
    (least..=most).contains(&payload).then_some(4 + payload + 4)
}

/// Reads a whole chunk; none where it is damaged.
pub fn read(bytes: &[u8], sensors: usize) -> Option<Vec<Bucket>> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    if check(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut from = Bytes(content.get(4..)?);
    let count = usize::from(u16::from_le_bytes(from.next()?));
    if content.len() != 4 + payload_bytes(sensors, count) {
        return None;
    }
    let mut buckets = Vec::with_capacity(count);
    for _ in 0..count {
        buckets.push(Bucket {
            start: Timestamp(i64::from_le_bytes(from.next()?)),
            frames: u32::from_le_bytes(from.next()?),
            scored: u32::from_le_bytes(from.next()?),
            score: f32::from_le_bytes(from.next()?),
            mean_score: f32::from_le_bytes(from.next()?),
            bar: f32::from_le_bytes(from.next()?),
            low: Vec::with_capacity(sensors),
            high: Vec::with_capacity(sensors),
        });
    }
    for _ in 0..sensors {
        let lowest = f32::from_le_bytes(from.next()?);
        let highest = f32::from_le_bytes(from.next()?);
        for bucket in &mut buckets {
            let low = u16::from_le_bytes(from.next()?);
            let high = u16::from_le_bytes(from.next()?);
            bucket.low.push(value(low, lowest, highest));
            bucket.high.push(value(high, lowest, highest));
        }
    }
    Some(buckets)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
}

/// FNV-1a (Fowler, Noll and Vo).
pub fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn bucket(minute: i64, values: &[(f32, f32)]) -> Bucket {
        Bucket {
            start: Timestamp::from_seconds(60 * minute),
            frames: 60,
            scored: 59,
            score: 0.5,
            mean_score: 0.25,
            bar: 1.0,
            low: values.iter().map(|one| one.0).collect(),
            high: values.iter().map(|one| one.1).collect(),
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back_to_a_fraction_of_its_range(
            rows in prop::collection::vec(prop::array::uniform3((-1e6f32..1e6, 0f32..1e3)), 1..30),
        ) {
            let buckets: Vec<Bucket> = rows
                .iter()
                .enumerate()
                .map(|(i, row)| bucket(i as i64, &row.map(|(low, more)| (low, low + more))))
                .collect();
            let mut bytes = Vec::new();
            write(&mut bytes, 3, &buckets);
            prop_assert_eq!(bytes.len(), chunk_bytes(3, rows.len()));
            prop_assert_eq!(length(bytes[..4].try_into().unwrap(), 3), Some(bytes.len()));
            let read = read(&bytes, 3).unwrap();
            prop_assert_eq!(read.len(), buckets.len());
            for (one, other) in read.iter().zip(&buckets) {
                prop_assert_eq!((one.start, one.score), (other.start, other.score));
                for i in 0..3 {
                    // A step of 2e6, and what f32 cannot hold of it.
                    prop_assert!((one.low[i] - other.low[i]).abs() < 16.0);
                    prop_assert!((one.high[i] - other.high[i]).abs() < 16.0);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, 2);
        }
    }

    #[test]
    fn what_is_missing_and_what_stands_still_is_kept_exactly() {
        let buckets = [bucket(0, &[(f32::NAN, f32::NAN), (7.5, 7.5)])];
        let mut bytes = Vec::new();
        write(&mut bytes, 2, &buckets);
        let back = read(&bytes, 2).unwrap();
        assert!(back[0].low[0].is_nan());
        assert_eq!((back[0].low[1], back[0].high[1]), (7.5, 7.5));
        assert_eq!(read(&bytes, 3), None);
        bytes[20] ^= 1;
        assert_eq!(read(&bytes, 2), None);
    }
}
