//! How fast samples come and how soon they are judged: over the last one to two minutes, and since
//! the service started.

use std::time::{Duration, Instant};

use crate::clock::{Clock, SystemClock};
use crate::control::Latencies;
use crate::frame::Timestamp;
use crate::histogram::Histogram;

/// How long counts are gathered before they are put aside.
const SPAN: Duration = Duration::from_secs(60);

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct PaceView {
    pub samples_per_second: f64,
    /// 99 of 100 frames were scored within this after their last sample was taken; none where
    /// nothing was scored.
    pub latency_p99: Option<Duration>,
}

#[derive(Debug)]
pub struct Pace {
    now: Counts,
    /// Of the time before, and how long that was.
    before: Counts,
    before_took: Duration,
    since: Instant,
    /// When the sample that may complete a frame was taken.
    came: Option<Instant>,
    all: Latencies,
}

#[derive(Debug)]
struct Counts {
    samples: u64,
    latencies: Histogram,
}

impl Counts {
    fn none() -> Self {
        Counts {
            samples: 0,
            latencies: Histogram::touched(),
        }
    }
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Pace {
            now: Counts::none(),
            before: Counts::none(),
            before_took: Duration::ZERO,
            since: now,
            came: None,
            all: Latencies {
                taken_to_score: Histogram::touched(),
                age: Histogram::touched(),
            },
        }
    }

    /// A sample was taken, the last of its reading where `end_of_row`.
    pub fn sample_came(&mut self, end_of_row: bool) {
        self.now.samples += 1;
        if end_of_row {
            self.came = Some(Instant::now());
        }
    }

    /// The frame of `time` got its score. One that a timer closed has waited on purpose and does
    /// not count.
    pub fn frame_scored(&mut self, time: Timestamp) {
        let Some(came) = self.came.take() else {
            return;
        };
        self.note(came.elapsed());
        let age = SystemClock.now().nanos_since(time);
        // A plant whose clock is ahead of ours says nothing of us.
        if let Ok(age) = u64::try_from(age) {
            self.all.age.note(Duration::from_nanos(age));
        }
    }

    fn note(&mut self, latency: Duration) {
        self.now.latencies.note(latency);
        self.all.taken_to_score.note(latency);
    }

    /// All since the service started.
    pub fn latencies(&self) -> &Latencies {
        &self.all
    }

    pub fn look(&mut self, now: Instant) -> PaceView {
        let span = now.saturating_duration_since(self.since);
        let samples = self.now.samples + self.before.samples;
        let seconds = (span + self.before_took).as_secs_f64();
        let mut latencies = self.now.latencies.clone();
        latencies.add(&self.before.latencies);
        let view = PaceView {
            samples_per_second: if seconds > 0.0 {
                samples as f64 / seconds
            } else {
                0.0
            },
            latency_p99: latencies.quantile(0.99),
        };
        if span >= SPAN {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.samples = 0;
            self.now.latencies.clear();
            self.before_took = span;
            self.since = now;
        }
        view
    }
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
    fn the_age_of_a_score_counts_from_its_frames_time() {
        let mut pace = Pace::new(Instant::now());
        pace.frame_scored(Timestamp::EPOCH);
        assert_eq!(pace.latencies().age.count(), 0, "closed by a timer");
        let now = SystemClock.now();
        pace.sample_came(true);
        pace.frame_scored(now.add_nanos(-3_000_000_000));
        pace.sample_came(true);
        pace.frame_scored(now.add_nanos(3_600_000_000_000));
        let all = pace.latencies();
        assert_eq!((all.age.count(), all.taken_to_score.count()), (1, 2));
        assert!(all.age.longest().unwrap() >= Duration::from_secs(3));
    }
}
