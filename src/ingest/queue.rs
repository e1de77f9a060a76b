//! The bounded queue between the sources and the one inference thread.
//!
//! Holds samples, not rows, so that nothing is allocated a row: the last sample of a row is
//! marked. Imports `frame` and its sibling `direct`.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::direct::{Direct, Streams};
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
    /// Wakes the inference thread, unless it waits for streams.
    filled: Condvar,
    /// What the inference thread reads itself while it waits, once there was any.
    streams: OnceLock<Streams>,
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
    /// The inference thread waits for streams, too.
    looking: bool,
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
                looking: false,
            }),
            filled: Condvar::new(),
            streams: OnceLock::new(),
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
        if state.append(row) {
            self.notify(state);
        }
    }

    /// As [`SampleQueue::push_row`], but leaves the row out where there is no room, and says so with
    /// false. For [`Direct`] streams: it wakes nobody, as who reads them is who empties the queue.
    pub fn try_push(&self, row: &[Sample]) -> bool {
        let fitting = self.newest_of(row);
        let mut state = self.lock();
        if state.closed {
            drop(state);
            self.count_dropped(row.len());
            return true;
        }
        if self.capacity - state.samples.len() < fitting.len() {
            state.crowded = true;
            return false;
        }
        state.append(fitting);
        drop(state);
        self.count_dropped(row.len() - fitting.len());
        true
    }

    #[cfg(test)]
    pub(super) fn streams(&self) -> Option<&Streams> {
        self.streams.get()
    }

    /// Has the inference thread read `stream` itself from now on, while it waits for samples. It ends with
    /// the stream, or when what is returned is dropped: after that, nothing of it is read.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn read_directly(self: &Arc<Self>, stream: Arc<dyn Direct>) -> io::Result<Lent> {
        let streams = match self.streams.get() {
            Some(streams) => streams,
            None => {
                let new = Streams::new()?;
                let streams = self.streams.get_or_init(|| new);
                // From its wait for samples alone.
                self.notify(self.lock());
                streams
            }
        };
        let key = streams.add(Arc::clone(&stream))?;
        Ok(Lent {
            queue: Arc::clone(self),
            key,
            stream,
        })
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
                    if state.append(row) {
                        self.notify(state);
                    }
                    return;
                }
                // Whether the inference thread waits now or begins to later.
                state.crowded = true;
                if state.wanted != NOBODY {
                    self.notify(state);
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
        let mut state = self.wait(state, timeout, |state| {
            state.samples.len() >= state.wanted || state.crowded || state.closed || state.woken
        });
        state.woken = false;
        state.wanted = NOBODY;
        let crowded = std::mem::take(&mut state.crowded);
        if state.samples.is_empty() {
            return if state.closed {
                Popped::Closed
            } else {
                Popped::TimedOut
            };
        }
        buf.extend(state.samples.drain(..));
        drop(state);
        if crowded {
            self.emptied.notify_waiters();
        }
        Popped::Samples
    }

    /// Waits up to `timeout` for the end of all samples or other news, and leaves what is queued.
    pub fn wait_closed(&self, timeout: Duration) -> Popped {
        let mut state = self.wait(self.lock(), timeout, |state| state.closed || state.woken);
        state.woken = false;
        match state.closed {
            true => Popped::Closed,
            false => Popped::TimedOut,
        }
    }

    /// Waits up to `timeout` until there is `enough`, and reads streams meanwhile, at least once.
    fn wait<'queue>(
        &'queue self,
        mut state: MutexGuard<'queue, State>,
        timeout: Duration,
        enough: impl Fn(&State) -> bool,
    ) -> MutexGuard<'queue, State> {
        let begin = Instant::now();
        let alone = |state: &mut State| !enough(state) && self.streams.get().is_none();
        let waited = self.filled.wait_timeout_while(state, timeout, alone);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        // Perhaps there is a first one since then.
        let Some(streams) = self.streams.get() else {
            return state;
        };
        let mut left = timeout.saturating_sub(begin.elapsed());
        loop {
            drop(state);
            streams.go_on(self);
            state = self.lock();
            if enough(&state) {
                left = Duration::ZERO;
            }
            state.looking = !left.is_zero();
            drop(state);
            streams.look(self, left);
            state = self.lock();
            state.looking = false;
            left = timeout.saturating_sub(begin.elapsed());
            if enough(&state) || left.is_zero() {
                return state;
            }
        }
    }

    /// Wakes the inference thread, which waits for what has come into `state`.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let looking = state.looking;
        // First: whoever wakes would wait for the lock next.
        drop(state);
        match self.streams.get() {
            Some(streams) if looking => streams.wake(),
            _ => self.filled.notify_one(),
        }
    }

    /// Ends one wait, as if its time were over: there is other news for the inference thread.
    pub fn wake(&self) {
        let mut state = self.lock();
        state.woken = true;
        self.notify(state);
    }

    /// Says that no more samples come. What is queued can still be popped.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.notify(state);
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

    /// The newest samples of a row that is larger than the whole queue; the others are dropped.
    fn fitting<'row>(&self, row: &'row [Sample]) -> &'row [Sample] {
        let fitting = self.newest_of(row);
        self.count_dropped(row.len() - fitting.len());
        fitting
    }

    fn newest_of<'row>(&self, row: &'row [Sample]) -> &'row [Sample] {
        &row[row.len().saturating_sub(self.capacity)..]
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

/// A stream that the inference thread reads; not any more once this is dropped.
pub struct Lent {
    queue: Arc<SampleQueue>,
    key: usize,
    stream: Arc<dyn Direct>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(streams) = self.queue.streams.get() {
            streams.remove(self.key, &self.stream);
        }
    }
}

#[cfg(test)]
mod tests;
