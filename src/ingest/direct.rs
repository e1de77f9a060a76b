//! Byte streams that whoever empties the queue reads itself, while it waits for samples: one thread wakes
//! for a row instead of two (`docs/decisions/0024-one-wake-up.md`). Imports its sibling `queue`.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::queue::SampleQueue;

/// Streams that are looked at after one wait; those beyond have their turn after the next.
const AT_A_TIME: usize = 16;
/// The event of [`Streams::wake`]; streams count from 0.
const WAKE: u64 = u64::MAX;

/// A byte stream that carries rows.
pub trait Direct: Send + Sync {
    /// What becomes readable: it does not block, and stays open as long as `self`.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Reads once and queues the rows with [`SampleQueue::try_push`], as many as there is room for.
    fn turn(&self, queue: &SampleQueue) -> Went;
}

/// How a turn went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Went {
    /// All is queued that has come.
    Waits,
    /// There are rows left, for which the queue had no room.
    NoRoom,
    /// Nothing more comes.
    Ended,
}

/// The streams of one queue.
pub(super) struct Streams {
    epoll: Epoll,
    wake: EventFd,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// A stream's key is its place.
    streams: Vec<Option<Entry>>,
    /// How many of them have rows left.
    crowded: usize,
}

struct Entry {
    stream: Arc<dyn Direct>,
    /// It has rows left, and is not waited for meanwhile.
    crowded: bool,
}

impl Streams {
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // Each write is an event, so that nobody has to read what was written.
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, WAKE);
        epoll.add(&wake, event)?;
        Ok(Streams {
            epoll,
            wake,
            table: Mutex::default(),
        })
    }

    /// Has `stream` read from now on; gives its key.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn add(&self, stream: Arc<dyn Direct>) -> io::Result<usize> {
        let mut table = self.lock();
        let vacant = table.streams.iter().position(Option::is_none);
        let key = vacant.unwrap_or(table.streams.len());
        self.watch(&*stream, key)?;
        let entry = Some(Entry {
            stream,
            crowded: false,
        });
        match vacant {
            Some(key) => table.streams[key] = entry,
            None => table.streams.push(entry),
        }
        Ok(key)
    }

    /// Has `stream` not read any more, if it still is the one of `key`.
    pub fn remove(&self, key: usize, stream: &Arc<dyn Direct>) {
        let mut table = self.lock();
        let entry = table.streams.get(key).and_then(Option::as_ref);
        if entry.is_some_and(|entry| Arc::ptr_eq(&entry.stream, stream)) {
            self.forget(&mut table, key);
        }
    }

    /// Ends a wait.
    pub fn wake(&self) {
        // It can only fail where 2^64 wake-ups were not enough.
        let _ = self.wake.write(1);
    }

    /// Lets the streams that had rows left go on with those.
    pub fn go_on(&self, queue: &SampleQueue) {
        let mut table = self.lock();
        if table.crowded == 0 {
            return;
        }
        for key in 0..table.streams.len() {
            if table.streams[key].as_ref().is_some_and(|one| one.crowded) {
                self.turn(&mut table, key, queue);
            }
        }
    }

    /// Waits up to `timeout` for a stream to become readable, or to be woken, and lets those that are
    /// have their turn.
    pub fn look(&self, queue: &SampleQueue, timeout: Duration) {
        let mut events = [EpollEvent::empty(); AT_A_TIME];
        let count = match self.epoll.wait(&mut events, milliseconds(timeout)) {
            Ok(count) => count,
            // A signal; nothing else can go wrong with descriptors of our own.
            Err(error) => {
                debug_assert_eq!(error, Errno::EINTR);
                0
            }
        };
        for event in &events[..count] {
            if let Ok(key) = usize::try_from(event.data())
                && event.data() != WAKE
            {
                self.turn(&mut self.lock(), key, queue);
            }
        }
    }

    fn turn(&self, table: &mut Table, key: usize, queue: &SampleQueue) {
        let Some(Some(entry)) = table.streams.get_mut(key) else {
            return;
        };
        let crowded = match entry.stream.turn(queue) {
            Went::Ended => return self.forget(table, key),
            Went::NoRoom => true,
            Went::Waits => false,
        };
        if crowded == entry.crowded {
            return;
        }
        entry.crowded = crowded;
        if crowded {
            table.crowded += 1;
            // What is readable and is not read would end each wait at once.
            let _ = self.epoll.delete(entry.stream.fd());
            return;
        }
        table.crowded -= 1;
        let stream = Arc::clone(&entry.stream);
        if let Err(error) = self.watch(&*stream, key) {
            log::error!(target: "in-direct", "a stream cannot be waited for any more: {error}");
            self.forget(table, key);
        }
    }

    fn watch(&self, stream: &dyn Direct, key: usize) -> nix::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, key as u64);
        self.epoll.add(stream.fd(), event)
    }

    fn forget(&self, table: &mut Table, key: usize) {
        let Some(entry) = table.streams[key].take() else {
            return;
        };
        if entry.crowded {
            table.crowded -= 1;
        } else {
            let _ = self.epoll.delete(entry.stream.fd());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Whoever panics in its turn has ended inference; what is left of the table can be used.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up: a wait that ends early is one for nothing.
fn milliseconds(timeout: Duration) -> EpollTimeout {
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
    // A day is as good as for ever, and is representable.
    let milliseconds = i32::try_from(milliseconds.min(86_400_000)).unwrap_or(i32::MAX);
    EpollTimeout::try_from(milliseconds).unwrap_or(EpollTimeout::ZERO)
}

#[cfg(test)]
mod tests;
