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
mod tests;
