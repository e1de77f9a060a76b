//! A client of the socket: the inference thread reads its lines while it waits for samples. Imports its
//! siblings of stage ingest.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::super::intake::{PATIENCE_AT_STOP, push_until};
use super::super::lines::LineBuffer;
use super::super::{Direct, SampleQueue, SourceContext, Went, stopped};
use super::rows::NdjsonRows;
use super::{CHUNK_BYTES, read_row};
use crate::clock::Clock;
use crate::frame::{Sample, Timestamp};

/// What the clients of a socket have in common.
pub(super) struct Shared {
    reading: Mutex<Reading>,
    queue: Arc<SampleQueue>,
    clock: Arc<dyn Clock + Send + Sync>,
}

struct Reading {
    rows: NdjsonRows,
    chunk: Vec<u8>,
}

impl Shared {
    pub fn new(rows: NdjsonRows, ctx: &SourceContext) -> Self {
        Shared {
            reading: Mutex::new(Reading {
                rows,
                chunk: vec![0; CHUNK_BYTES],
            }),
            queue: Arc::clone(&ctx.queue),
            clock: Arc::clone(&ctx.clock),
        }
    }
}

/// Has `socket` read until its end or a stop; then everything that was read is queued.
///
/// # Errors
/// The connection broke, or the process has no file descriptor left.
pub(super) async fn serve(
    socket: tokio::net::UnixStream,
    shared: Arc<Shared>,
    place: String,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let (ended, end) = oneshot::channel();
    let client = Arc::new(Client {
        // Does not block, as tokio wants its sockets.
        socket: socket.into_std()?,
        place,
        own: Mutex::new(Own {
            lines: LineBuffer::default(),
            now: shared.clock.now(),
            row: Vec::new(),
            at_end: false,
            ended: Some(ended),
        }),
        shared: Arc::clone(&shared),
    });
    let lent = shared.queue.read_directly(Arc::clone(&client) as _)?;
    tokio::select! {
        biased;
        // The sender goes without a word only where inference ended by itself.
        end = end => return end.unwrap_or(Ok(())),
        () = stopped(&mut stop) => drop(lent),
    }
    let until = Instant::now() + PATIENCE_AT_STOP;
    while let Some(row) = client.next_row() {
        push_until(&shared.queue, &row, until).await;
    }
    Ok(())
}

struct Client {
    socket: UnixStream,
    place: String,
    own: Mutex<Own>,
    shared: Arc<Shared>,
}

struct Own {
    lines: LineBuffer,
    /// When what is in `lines` came.
    now: Timestamp,
    /// The row that the queue had no room for; empty where there is none.
    row: Vec<Sample>,
    at_end: bool,
    ended: Option<oneshot::Sender<io::Result<()>>>,
}

impl Direct for Client {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn turn(&self, queue: &SampleQueue) -> Went {
        let (mut own, mut reading) = self.lock();
        let Reading { rows, chunk } = &mut *reading;
        if !self.queue_rows(&mut own, rows, queue) {
            return Went::NoRoom;
        }
        match (&self.socket).read(chunk) {
            Ok(0) => own.at_end = true,
            Ok(read) => own.lines.feed(&chunk[..read]),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Went::Waits,
                _ => return own.end(Err(error)),
            },
        }
        own.now = self.shared.clock.now();
        match self.queue_rows(&mut own, rows, queue) {
            false => Went::NoRoom,
            true if own.at_end => own.end(Ok(())),
            true => Went::Waits,
        }
    }
}

impl Client {
    /// Queues what was read. False when there was no room for all of it.
    fn queue_rows(&self, own: &mut Own, rows: &mut NdjsonRows, queue: &SampleQueue) -> bool {
        if !own.row.is_empty() {
            if !queue.try_push(&own.row) {
                return false;
            }
            own.row.clear();
        }
        while read_row(rows, &mut own.lines, own.at_end, own.now, &self.place) {
            if !rows.intake.try_push(&mut own.row) {
                return false;
            }
        }
        true
    }

    /// The next row that was read and is not queued; for when nobody else reads any more.
    fn next_row(&self) -> Option<Vec<Sample>> {
        let (mut own, mut reading) = self.lock();
        let own = &mut *own;
        if !own.row.is_empty() {
            return Some(std::mem::take(&mut own.row));
        }
        let rows = &mut reading.rows;
        while read_row(rows, &mut own.lines, own.at_end, own.now, &self.place) {
            if !rows.intake.is_empty() {
                return Some(rows.intake.take());
            }
        }
        None
    }

    fn lock(&self) -> (MutexGuard<'_, Own>, MutexGuard<'_, Reading>) {
        // A panic in between ends the service; until then a lost row is the least of it.
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = self.shared.reading.lock();
        (own, reading.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Own {
    fn end(&mut self, how: io::Result<()>) -> Went {
        if let Some(ended) = self.ended.take() {
            // Nobody listens any more when the source was left behind.
            let _ = ended.send(how);
        }
        Went::Ended
    }
}
