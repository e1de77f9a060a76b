//! Newline-delimited JSON, from stdin or from the clients of a Unix socket.
//!
//! One object a line: `{"time": "2026-11-25T14:03:07Z", "LIT101": 812, "tank": {"level": 3.2}}`.
//! Nested objects and arrays are flattened (`tank.level`, `pumps[0]`). A single reading may also be
//! written `{"sensor": "LIT101", "value": 3.2}`; further keys beside those two are ignored.
//!
//! The time is the first of `time`, `timestamp`, `ts`, `t` that is there and is not itself a
//! sensor: RFC 3339, a date and time in the configured zone, or seconds or milliseconds since
//! 1970. `ts` and `t` are no time below 10^8 (1973), because clocks that were never set count from
//! the start of the device. A line without a time, or with one that cannot be read, is dated by
//! its arrival.
//!
//! The inference thread reads the clients of a socket itself; stdin is read here.
//! Imports `frame` and its siblings of stage ingest.

mod client;
pub mod rows;
mod socket;
mod stdin;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::lines::{LINE_BYTES, Line, LineBuffer};
use super::{IngestError, Source, SourceContext, SourceFuture, SourceState, stopped};
use crate::frame::Timestamp;
use rows::NdjsonRows;

const LOG_TARGET: &str = "in-ndjson";
/// Read at once; about 60 lines of a plant of 51 sensors.
const CHUNK_BYTES: usize = 1 << 16;

/// Reads NDJSON until its input ends; a socket never does.
///
/// Waits while the queue is full, so that a recording piped in loses nothing.
pub struct NdjsonSource {
    name: String,
    input: Input,
    zone: TimeZone,
}

enum Input {
    Stdin,
    Socket(PathBuf),
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

impl NdjsonSource {
    /// Reads standard input. `zone` is that of times written without one.
    ///
    /// Where stdin is a terminal, the read that tokio has under way ends only with a key press:
    /// end the runtime with `shutdown_background`, not by dropping it. Pipes, sockets and files do
    /// not hold it up.
    pub fn stdin(zone: TimeZone) -> Self {
        NdjsonSource {
            name: "stdin".to_owned(),
            input: Input::Stdin,
            zone,
        }
    }

    /// Listens on a Unix socket (mode 0660) for any number of clients that write.
    pub fn socket(path: PathBuf, zone: TimeZone) -> Self {
        NdjsonSource {
            name: path.display().to_string(),
            input: Input::Socket(path),
            zone,
        }
    }

    /// Reads any byte stream.
    pub fn reader(
        name: impl Into<String>,
        reader: impl AsyncRead + Send + Unpin + 'static,
        zone: TimeZone,
    ) -> Self {
        NdjsonSource {
            name: name.into(),
            input: Input::Reader(Box::new(reader)),
            zone,
        }
    }

    async fn read(self, ctx: SourceContext) -> Result<(), IngestError> {
        let rows = NdjsonRows::new(&ctx, self.zone);
        let read_error = |source| IngestError::Read {
            what: self.name.clone(),
            source,
        };
        let reader = match self.input {
            Input::Socket(path) => return socket::serve(path, rows, &ctx).await,
            Input::Stdin => stdin::open().map_err(read_error)?,
            Input::Reader(reader) => reader,
        };
        ctx.status.set_state(SourceState::Connected);
        read(reader, rows, &ctx, &self.name)
            .await
            .map_err(read_error)
    }
}

impl Source for NdjsonSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture {
        Box::pin(async move {
            let status = Arc::clone(&ctx.status);
            let result = self.read(ctx).await;
            status.set_state(SourceState::Ended);
            result
        })
    }
}

/// Queues every line of `reader` until its end or a stop.
async fn read(
    mut reader: impl AsyncRead + Unpin,
    mut rows: NdjsonRows,
    ctx: &SourceContext,
    place: &str,
) -> io::Result<()> {
    let mut stop = ctx.stop.clone();
    let mut lines = LineBuffer::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = tokio::select! {
            biased;
            () = stopped(&mut stop) => return Ok(()),
            read = reader.read(&mut chunk) => read?,
        };
        lines.feed(&chunk[..read]);
        let now = ctx.clock.now();
        while read_row(&mut rows, &mut lines, read == 0, now, place) {
            rows.intake.push_patiently(&mut stop).await;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// Makes a row of the next line, which may be none where the line is bad; `at_end` also of a last one
/// without an end. False when there is no line.
fn read_row(
    rows: &mut NdjsonRows,
    lines: &mut LineBuffer,
    at_end: bool,
    now: Timestamp,
    place: &str,
) -> bool {
    let number = lines.number() + 1;
    let next = match lines.next_line() {
        None if at_end => lines.last_line(),
        next => next,
    };
    let origin = Origin { place, number };
    match next {
        None => return false,
        Some(Line::Whole(line)) => rows.read_line(line, now, &origin),
        Some(Line::TooLong) => rows.intake.complain(&format_args!(
            "{origin}: a line of more than {LINE_BYTES} bytes was dropped"
        )),
    }
    true
}

/// `stdin:17`
struct Origin<'a> {
    place: &'a str,
    number: u64,
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place, self.number)
    }
}
