//! What inference, the outputs and the service pass on to the server. Passing on never waits: the
//! lock is held for a push only, and points that nobody takes in time are dropped and counted.
//! Imports `frame`, `alarm`, `control` and `model`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::alarm::{AlarmEvent, Verdict};
use crate::control::{Latencies, Status};
use crate::frame::Timestamp;
use crate::model::Manifest;

/// About one a second comes; more wait only where the server's thread gets no processor.
const MOST_POINTS: usize = 16;
/// Alarms are few; this is the memory that a server which hangs can cost.
const MOST_ALARMS: usize = 1_000;

/// How things were at one instant of the plant.
#[derive(Debug, Clone)]
pub struct Point {
    /// Of the model that judged; says which sensor is which.
    pub manifest: Arc<Manifest>,
    pub time: Timestamp,
    /// The highest since the point before, in multiples of the model's own threshold.
    pub score: f32,
    /// What raises an alarm now, in the same measure.
    pub bar: f32,
    /// `[F]`, in the sensors' units; NaN where nothing fresh is known.
    pub values: Vec<f32>,
    /// `[F]`
    pub expected: Vec<f32>,
    /// `[F]`: what part of an alarm the sensor makes up; 1 raises one alone.
    pub strength: Vec<f32>,
}

/// How the service was a moment ago.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub status: Status,
    pub latencies: Latencies,
    pub taken: Instant,
}

/// The way to the server; whether there is one or not.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<Inbox>);

#[derive(Debug, Default)]
struct Inbox {
    wanted: AtomicBool,
    news: Mutex<News>,
    came: Notify,
    dropped: AtomicU64,
}

/// What has come since the last look.
#[derive(Debug, Default)]
pub(super) struct News {
    pub points: VecDeque<Point>,
    pub alarms: VecDeque<Arc<AlarmEvent>>,
    pub verdicts: Vec<(String, Verdict)>,
    /// The newest only.
    pub snapshot: Option<Box<Snapshot>>,
}

impl Feed {
    /// Whether a server takes anything.
    pub fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    pub fn point(&self, point: Point) {
        self.pass(|news| {
            if news.points.len() >= MOST_POINTS {
                news.points.pop_front();
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
            }
            news.points.push_back(point);
        });
    }

    pub fn alarm(&self, event: &AlarmEvent) {
        self.pass(|news| {
            if news.alarms.len() >= MOST_ALARMS {
                news.alarms.pop_front();
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
            }
            news.alarms.push_back(Arc::new(event.clone()));
        });
    }

    /// A person said what an alarm was.
    pub fn verdict(&self, id: &str, verdict: Verdict) {
        self.pass(|news| {
            if news.verdicts.len() < MOST_ALARMS {
                news.verdicts.push((id.to_owned(), verdict));
            }
        });
    }

    pub fn snapshot(&self, snapshot: Snapshot) {
        self.pass(|news| news.snapshot = Some(Box::new(snapshot)));
    }

    /// What was dropped for want of anybody who took it.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// A server begins or ends to take things.
    pub(super) fn set_wanted(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Relaxed);
        *self.lock() = News::default();
    }

    /// What has come, once something has.
    pub(super) async fn next(&self) -> News {
        self.0.came.notified().await;
        std::mem::take(&mut *self.lock())
    }

    fn pass(&self, put: impl FnOnce(&mut News)) {
        if self.is_wanted() {
            put(&mut self.lock());
            self.0.came.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.0.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::manifest::example;

    pub fn point(manifest: &Arc<Manifest>, second: i64) -> Point {
        Point {
            manifest: Arc::clone(manifest),
            time: Timestamp::from_seconds(second),
            score: 0.25,
            bar: 1.0,
            values: vec![second as f32, f32::NAN],
            expected: vec![1.5, 2.5],
            strength: vec![0.5, 0.0],
        }
    }

    #[tokio::test]
    async fn what_nobody_takes_is_dropped_and_counted_and_the_newest_stay() {
        let feed = Feed::default();
        let manifest = Arc::new(example());
        feed.point(point(&manifest, 1));
        assert_eq!(feed.lock().points.len(), 0, "nobody wants it");
        feed.set_wanted(true);
        for second in 0..40 {
            feed.point(point(&manifest, second));
        }
        let news = feed.next().await;
        assert_eq!(news.points.len(), MOST_POINTS);
        assert_eq!(
            news.points.back().unwrap().time,
            Timestamp::from_seconds(39)
        );
        assert_eq!(feed.dropped(), 40 - MOST_POINTS as u64);
    }
}
