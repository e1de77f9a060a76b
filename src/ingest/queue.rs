//! The bounded queue between the asynchronous sources and the one inference thread.
//!
//! Holds samples, not rows, so that nothing is allocated a row: the last sample of a row is
//! marked. Imports `frame` only.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::frame::Sample;

/// A sample on its way from a source to the inference thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ingested {
    pub sample: Sample,
    /// True for the last sample of one message or line. All samples up to here belong to one
    /// reading of the plant, usually with one time.
    pub end_of_row: bool,
}

/// What [`SampleQueue::pop_wait`] came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popped {
    /// The buffer holds at least one whole row.
    Samples,
    /// Nothing came within the timeout.
    TimedOut,
    /// Nothing is left and nothing will come.
    Closed,
}

/// A queue of samples in rows that never holds half a row and never grows.
///
/// Several sources push, one thread pops. All memory is allocated by [`SampleQueue::new`].
pub struct SampleQueue {
    capacity: usize,
    state: Mutex<State>,
    /// Wakes the inference thread.
    filled: Condvar,
    /// Wakes sources that wait for room.
    emptied: Notify,
    dropped: AtomicU64,
}

struct State {
    samples: VecDeque<Ingested>,
    closed: bool,
    woken: bool,
    /// How many samples the inference thread waits for; [`NOBODY`] while it does not wait for any.
    wanted: usize,
    /// A source waits for room: what is there has to do, however few.
    crowded: bool,
}

/// More than any queue holds.
const NOBODY: usize = usize::MAX;

impl State {
    /// Puts a row in. True when whoever waits for samples has as many as it wants now, and had not
    /// before: a wake-up costs more than a sample, so there is none that changes nothing.
    fn append(&mut self, row: &[Sample]) -> bool {
        let before = self.samples.len();
        let Some((last, others)) = row.split_last() else {
            return false;
        };
        self.samples.extend(others.iter().map(|&sample| Ingested {
            sample,
            end_of_row: false,
        }));
        self.samples.push_back(Ingested {
            sample: *last,
            end_of_row: true,
        });
        before < self.wanted && self.samples.len() >= self.wanted
    }
}

impl SampleQueue {
    /// `capacity` in samples; at least one. Choose some seconds of the whole plant: a row of more
    /// samples than this loses its first ones.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        SampleQueue {
            capacity,
            state: Mutex::new(State {
                samples: VecDeque::with_capacity(capacity),
                closed: false,
                woken: false,
                wanted: NOBODY,
                crowded: false,
            }),
            filled: Condvar::new(),
            emptied: Notify::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// An empty buffer for [`SampleQueue::pop_wait`] that never has to grow.
    pub fn buffer(&self) -> Vec<Ingested> {
        Vec::with_capacity(self.capacity)
    }

    /// Puts the samples of one message in. Where there is no room, the oldest rows make it and are
    /// counted as dropped. After [`SampleQueue::close`] the row itself is dropped and counted.
    pub fn push_row(&self, row: &[Sample]) {
        let row = self.fitting(row);
        let mut state = self.lock();
        if state.closed {
            self.count_dropped(row.len());
            return;
        }
        let mut dropped = 0;
        while self.capacity - state.samples.len() < row.len() {
            // Never half a row: on to the end of the oldest one.
            while let Some(oldest) = state.samples.pop_front() {
                dropped += 1;
                if oldest.end_of_row {
                    break;
                }
            }
        }
        self.count_dropped(dropped);
        let enough = state.append(row);
        drop(state);
        if enough {
            // Not before: whoever wakes would wait for the lock next.
            self.filled.notify_one();
        }
    }

    /// As [`SampleQueue::push_row`], but waits for room instead of dropping what is there.
    /// Dropping the returned future before it is done leaves the row out.
    pub async fn push_row_waiting(&self, row: &[Sample]) {
        let row = self.fitting(row);
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Counts as waiting from here on, so that no room made after the look is missed.
            emptied.as_mut().enable();
            {
                let mut state = self.lock();
                if state.closed {
                    self.count_dropped(row.len());
                    return;
                }
                if self.capacity - state.samples.len() >= row.len() {
                    let enough = state.append(row);
                    drop(state);
                    if enough {
                        self.filled.notify_one();
                    }
                    return;
                }
                // Whether the inference thread waits now or begins to later.
                state.crowded = true;
                if state.wanted != NOBODY {
                    self.filled.notify_one();
                }
            }
            emptied.await;
        }
    }

    /// Replaces the contents of `buf` by all that is queued; waits up to `timeout` for the first
    /// sample. What comes after the last `end_of_row` is always nothing: rows come whole.
    pub fn pop_wait(&self, buf: &mut Vec<Ingested>, timeout: Duration) -> Popped {
        self.pop_many(buf, 1, timeout)
    }

    /// As [`SampleQueue::pop_wait`], but waits for `wanted` samples, or half of what the queue can
    /// hold; after `timeout` it takes those that are there.
    pub fn pop_many(&self, buf: &mut Vec<Ingested>, wanted: usize, timeout: Duration) -> Popped {
        buf.clear();
        let mut state = self.lock();
        state.wanted = wanted.min(self.capacity / 2).max(1);
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, timeout, |state| {
                state.samples.len() < state.wanted
                    && !state.crowded
                    && !state.closed
                    && !state.woken
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.woken = false;
        state.wanted = NOBODY;
        state.crowded = false;
        if state.samples.is_empty() {
            return if state.closed {
                Popped::Closed
            } else {
                Popped::TimedOut
            };
        }
        buf.extend(state.samples.drain(..));
        drop(state);
        self.emptied.notify_waiters();
        Popped::Samples
    }

    /// Waits up to `timeout` for the end of all samples or other news, and leaves what is queued.
    pub fn wait_closed(&self, timeout: Duration) -> Popped {
        let (mut state, _) = self
            .filled
            .wait_timeout_while(self.lock(), timeout, |state| !state.closed && !state.woken)
            .unwrap_or_else(PoisonError::into_inner);
        state.woken = false;
        match state.closed {
            true => Popped::Closed,
            false => Popped::TimedOut,
        }
    }

    /// Ends one wait, as if its time were over: there is other news for the inference thread.
    pub fn wake(&self) {
        self.lock().woken = true;
        self.filled.notify_all();
    }

    /// Says that no more samples come. What is queued can still be popped.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_waiters();
    }

    /// Samples now in the queue.
    pub fn len(&self) -> usize {
        self.lock().samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In samples.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Samples lost since the start because the inference thread did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The newest samples of a row that is larger than the whole queue.
    fn fitting<'row>(&self, row: &'row [Sample]) -> &'row [Sample] {
        let excess = row.len().saturating_sub(self.capacity);
        self.count_dropped(excess);
        &row[excess..]
    }

    fn count_dropped(&self, samples: usize) {
        if samples > 0 {
            self.dropped.fetch_add(samples as u64, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::frame::Timestamp;

    fn row(sensors: usize, value: f64) -> Vec<Sample> {
        (0..sensors)
            .map(|sensor| Sample {
                sensor,
                time: Timestamp::from_seconds(1),
                value,
            })
            .collect()
    }

    fn popped(queue: &SampleQueue) -> Vec<Ingested> {
        let mut buf = queue.buffer();
        queue.pop_wait(&mut buf, Duration::ZERO);
        buf
    }

    #[test]
    fn a_full_queue_drops_whole_old_rows_and_counts_their_samples() {
        let queue = SampleQueue::new(7);
        for value in [1.0, 2.0, 3.0] {
            queue.push_row(&row(3, value));
        }
        assert_eq!(queue.dropped(), 3);
        let got = popped(&queue);
        let values: Vec<f64> = got.iter().map(|ingested| ingested.sample.value).collect();
        assert_eq!(values, [2.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
        let ends: Vec<bool> = got.iter().map(|ingested| ingested.end_of_row).collect();
        assert_eq!(ends, [false, false, true, false, false, true]);
    }

    #[test]
    fn a_row_larger_than_the_queue_keeps_its_last_samples() {
        let queue = SampleQueue::new(2);
        queue.push_row(&row(5, 1.0));
        assert_eq!(queue.dropped(), 3);
        let sensors: Vec<usize> = popped(&queue).iter().map(|i| i.sample.sensor).collect();
        assert_eq!(sensors, [3, 4]);
    }

    #[test]
    fn popping_waits_for_a_sample_and_for_no_longer_than_the_timeout() {
        let queue = Arc::new(SampleQueue::new(10));
        let mut buf = queue.buffer();
        let started = Instant::now();
        let timeout = Duration::from_millis(20);
        assert_eq!(queue.pop_wait(&mut buf, timeout), Popped::TimedOut);
        assert!(started.elapsed() >= timeout);

        let pusher = Arc::clone(&queue);
        let thread = std::thread::spawn(move || pusher.push_row(&row(1, 5.0)));
        assert_eq!(
            queue.pop_wait(&mut buf, Duration::from_secs(30)),
            Popped::Samples
        );
        assert_eq!(buf[0].sample.value, 5.0);
        thread.join().unwrap();

        // Before the wait just as well.
        queue.wake();
        let long = Duration::from_secs(30);
        assert_eq!(queue.pop_wait(&mut buf, long), Popped::TimedOut);
    }

    #[test]
    fn a_sample_that_is_not_the_last_one_wanted_wakes_nobody() {
        let queue = SampleQueue::new(100);
        let push = |samples| queue.lock().append(&row(samples, 1.0));
        queue.lock().wanted = 5;
        assert_eq!(
            [2, 2, 1, 1, 7].map(push),
            [false, false, true, false, false]
        );
        queue.lock().wanted = NOBODY;
        assert!(!push(40));
    }

    #[test]
    fn samples_that_are_fewer_than_wanted_come_at_the_end_of_the_wait() {
        let queue = SampleQueue::new(100);
        let mut buf = queue.buffer();
        queue.push_row(&row(3, 1.0));
        let short = Duration::from_millis(1);
        assert_eq!(queue.pop_many(&mut buf, 50, short), Popped::Samples);
        assert_eq!(buf.len(), 3);
        // Other news too.
        queue.push_row(&row(3, 1.0));
        queue.wake();
        let long = Duration::from_secs(60);
        assert_eq!(queue.pop_many(&mut buf, 50, long), Popped::Samples);
    }

    #[tokio::test]
    async fn wanting_more_than_there_is_room_for_does_not_hold_up_a_large_row() {
        let queue = Arc::new(SampleQueue::new(10));
        let popper = Arc::clone(&queue);
        let popping = tokio::task::spawn_blocking(move || {
            let mut buf = popper.buffer();
            let mut got = 0;
            while popper.pop_many(&mut buf, 1000, Duration::from_secs(60)) == Popped::Samples {
                got += buf.len();
            }
            got
        });
        for _ in 0..100 {
            queue.push_row_waiting(&row(4, 1.0)).await;
            queue.push_row_waiting(&row(9, 1.0)).await;
        }
        queue.close();
        assert_eq!(popping.await.unwrap(), 1300);
        assert_eq!(queue.dropped(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_room_already_is_not_held_up_by_a_pop_that_wants_more() {
        let queue = SampleQueue::new(10);
        queue.push_row(&row(4, 1.0));
        let large = row(9, 2.0);
        let mut pushing = std::pin::pin!(queue.push_row_waiting(&large));
        assert!(polled_once(pushing.as_mut()).is_pending());
        let mut buf = queue.buffer();
        let (started, long) = (Instant::now(), Duration::from_secs(60));
        assert_eq!(queue.pop_many(&mut buf, 5, long), Popped::Samples);
        assert!(started.elapsed() < long / 2, "it waited for more");
        assert_eq!(buf.len(), 4);
        pushing.await;
        assert_eq!(queue.pop_many(&mut buf, 5, long), Popped::Samples);
        assert_eq!(buf.len(), 9);
        // Nobody waits for room any more: as many as are wanted are waited for.
        queue.push_row(&row(4, 3.0));
        let short = Duration::from_millis(20);
        let started = Instant::now();
        assert_eq!(queue.pop_many(&mut buf, 5, short), Popped::Samples);
        assert!(started.elapsed() >= short);
    }

    /// Polls once.
    fn polled_once(future: std::pin::Pin<&mut impl Future>) -> std::task::Poll<()> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.poll(&mut context).map(|_| ())
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_then_says_closed() {
        let queue = SampleQueue::new(10);
        queue.push_row(&row(1, 5.0));
        queue.close();
        queue.push_row(&row(1, 6.0));
        assert_eq!(queue.dropped(), 1);
        let mut buf = queue.buffer();
        let long = Duration::from_secs(30);
        assert_eq!(queue.pop_wait(&mut buf, long), Popped::Samples);
        assert_eq!(buf.len(), 1);
        assert_eq!(queue.pop_wait(&mut buf, long), Popped::Closed);
        assert!(buf.is_empty());
    }

    #[tokio::test]
    async fn a_waiting_push_loses_nothing() {
        let queue = Arc::new(SampleQueue::new(4));
        let pusher = Arc::clone(&queue);
        let pushing = tokio::spawn(async move {
            for value in 0..1000 {
                pusher.push_row_waiting(&row(2, f64::from(value))).await;
            }
            pusher.close();
        });
        let got = tokio::task::spawn_blocking(move || {
            let mut buf = queue.buffer();
            let mut got = Vec::new();
            while queue.pop_wait(&mut buf, Duration::from_secs(30)) == Popped::Samples {
                got.extend(buf.iter().map(|ingested| ingested.sample.value));
            }
            assert_eq!(queue.dropped(), 0);
            got
        });
        pushing.await.unwrap();
        let expected: Vec<f64> = (0..1000).flat_map(|v| [f64::from(v); 2]).collect();
        assert_eq!(got.await.unwrap(), expected);
    }

    proptest! {
        #[test]
        fn rows_stay_whole_and_every_sample_is_accounted_for(
            capacity in 1_usize..20,
            rows in proptest::collection::vec(0_usize..8, 0..40),
        ) {
            let queue = SampleQueue::new(capacity);
            for (number, &sensors) in rows.iter().enumerate() {
                queue.push_row(&row(sensors, number as f64));
                prop_assert!(queue.len() <= capacity);
            }
            let got = popped(&queue);
            let pushed: usize = rows.iter().sum();
            prop_assert_eq!(got.len() as u64 + queue.dropped(), pushed as u64);
            for row in got.split_inclusive(|ingested| ingested.end_of_row) {
                prop_assert!(row.last().unwrap().end_of_row);
                let number = row[0].sample.value;
                prop_assert!(row.iter().all(|ingested| ingested.sample.value == number));
                prop_assert_eq!(row.len(), rows[number as usize].min(capacity));
            }
        }
    }

    #[test]
    fn waiting_for_the_end_leaves_what_is_queued() {
        let queue = SampleQueue::new(4);
        assert_eq!(queue.wait_closed(Duration::ZERO), Popped::TimedOut);
        queue.wake();
        assert_eq!(queue.wait_closed(Duration::from_secs(60)), Popped::TimedOut);
        queue.close();
        assert_eq!(queue.wait_closed(Duration::from_secs(60)), Popped::Closed);
    }
}
