//! How fast samples come and how soon they are judged, over the last one to two minutes.
//!
//! Buckets of fixed memory: a quarter of an octave each, so a figure is at most 19 % too high.

use std::time::{Duration, Instant};

/// How long counts are gathered before they are put aside.
const SPAN: Duration = Duration::from_secs(60);
/// Buckets an octave; 64 octaves hold any `u64`.
const FINENESS: usize = 4;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceView {
    pub samples_per_second: f64,
    /// 99 of 100 frames were scored within this after their last sample was taken; none where
    /// nothing was scored.
    pub latency_p99: Option<Duration>,
}

#[derive(Debug)]
pub struct Pace {
    now: Counts,
    before: Option<(Duration, Counts)>,
    since: Instant,
    /// When the sample that may complete a frame was taken.
    came: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Counts {
    samples: u64,
    frames: u64,
    latencies: [u32; 64 * FINENESS],
}

impl Counts {
    const NONE: Counts = Counts {
        samples: 0,
        frames: 0,
        latencies: [0; 64 * FINENESS],
    };
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Pace {
            now: Counts::NONE,
            before: None,
            since: now,
            came: None,
        }
    }

    /// A sample was taken, the last of its reading where `end_of_row`.
    pub fn sample_came(&mut self, end_of_row: bool) {
        self.now.samples += 1;
        if end_of_row {
            self.came = Some(Instant::now());
        }
    }

    /// A frame got its score. One that a timer closed has waited on purpose and does not count.
    pub fn frame_scored(&mut self) {
        if let Some(came) = self.came.take() {
            self.note(came.elapsed());
        }
    }

    fn note(&mut self, latency: Duration) {
        self.now.frames += 1;
        self.now.latencies[bucket(latency)] += 1;
    }

    pub fn look(&mut self, now: Instant) -> PaceView {
        let span = now.saturating_duration_since(self.since);
        let (earlier, before) = self
            .before
            .as_ref()
            .unwrap_or(&(Duration::ZERO, Counts::NONE));
        let samples = self.now.samples + before.samples;
        let seconds = (span + *earlier).as_secs_f64();
        let frames = self.now.frames + before.frames;
        let mut rest = frames.div_ceil(100);
        let latency_p99 = (0..64 * FINENESS).rev().find_map(|place| {
            let count = self.now.latencies[place] + before.latencies[place];
            let reached = rest <= u64::from(count);
            rest = rest.saturating_sub(u64::from(count));
            (reached && frames > 0).then(|| upper(place))
        });
        let view = PaceView {
            samples_per_second: if seconds > 0.0 {
                samples as f64 / seconds
            } else {
                0.0
            },
            latency_p99,
        };
        if span >= SPAN {
            let counts = std::mem::replace(&mut self.now, Counts::NONE);
            self.before = Some((span, counts));
            self.since = now;
        }
        view
    }
}

fn bucket(latency: Duration) -> usize {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1);
    let octave = nanos.ilog2() as usize;
    let within = (nanos as f64 / (1_u64 << octave) as f64).log2();
    octave * FINENESS + ((within * FINENESS as f64) as usize).min(FINENESS - 1)
}

/// The most that a latency in the bucket can be.
fn upper(place: usize) -> Duration {
    Duration::from_secs_f64(((place + 1) as f64 / FINENESS as f64).exp2() / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_one_in_a_hundred_sets_the_figure() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.look(start).latency_p99, None);
        for _ in 0..198 {
            pace.note(Duration::from_micros(20));
        }
        pace.note(Duration::from_millis(9));
        let p99 = |pace: &mut Pace| pace.look(start).latency_p99.unwrap().as_secs_f64();
        // 199 frames: the two slowest are beyond.
        assert!(p99(&mut pace) < 30e-6, "{}", p99(&mut pace));
        pace.note(Duration::from_millis(9));
        pace.note(Duration::from_millis(9));
        assert!(
            (9e-3..11e-3).contains(&p99(&mut pace)),
            "{}",
            p99(&mut pace)
        );
    }

    #[test]
    fn old_samples_are_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..600 {
            pace.sample_came(false);
        }
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.look(at(60)).samples_per_second, 10.0);
        assert_eq!(pace.look(at(120)).samples_per_second, 5.0);
        assert_eq!(pace.look(at(180)).samples_per_second, 0.0);
    }

    #[test]
    fn every_latency_has_its_bucket() {
        for nanos in [0, 1, 2, 3, 1_000, u64::MAX] {
            let latency = Duration::from_nanos(nanos);
            let most = upper(bucket(latency));
            assert!(most >= latency.mul_f64(0.999), "{nanos}");
            assert!(
                most <= latency.max(Duration::from_nanos(2)).mul_f64(1.2),
                "{nanos}"
            );
        }
    }
}
