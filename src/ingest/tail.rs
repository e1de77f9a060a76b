//! A CSV file that grows: rows are read as they are written, like `tail -F`.
//!
//! The file may be absent at first, be cut to nothing, or be replaced by another one (log
//! rotation): it is then read from its start, under its own header line, or, where it has none,
//! under the one before. What replaces the file before the old one was read to its end loses
//! nothing. A file that is cut and grows beyond its old length within a quarter of a second looks
//! as if it had only grown.
//!
//! Waits while the queue is full. Imports `frame` and its siblings of stage ingest.

mod file;
mod rows;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use log::{info, warn};
use tokio::sync::watch;
use tokio::time;

use super::{IngestError, Source, SourceContext, SourceFuture, SourceState, stopped};
use crate::message::Message;
use file::{Fate, TailedFile};
use rows::TailRows;

const LOG_TARGET: &str = "in-csv";
/// How often a file is looked at whose end was reached.
const POLL: Duration = Duration::from_millis(250);

/// What to follow.
#[derive(Debug, Clone, PartialEq)]
pub struct TailConfig {
    pub path: PathBuf,
    pub from: TailFrom,
    /// Of times that are written without one.
    pub zone: TimeZone,
}

/// Where to begin in a file that is there when the source starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailFrom {
    /// With its first row.
    Start,
    /// With the first row that is written from now on.
    End,
}

/// Follows a CSV file until it is told to stop.
pub struct TailSource {
    name: String,
    config: TailConfig,
}

impl TailSource {
    pub fn new(config: TailConfig) -> Self {
        TailSource {
            name: format!("csv {}", config.path.display()),
            config,
        }
    }
}

impl Source for TailSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture {
        Box::pin(async move {
            let status = Arc::clone(&ctx.status);
            let mut stop = ctx.stop.clone();
            let mut rows = TailRows::new(&self.config, &ctx);
            let mut from = self.config.from;
            loop {
                let opened = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => break,
                    opened = TailedFile::open(&self.config.path) => opened,
                };
                let reason = match opened {
                    Ok(file) => match follow(file, from, &mut rows, &ctx, &mut stop).await {
                        Ok(true) => break,
                        Ok(false) => {
                            from = TailFrom::Start;
                            continue;
                        }
                        Err(error) => {
                            format!("{} cannot be read: {error}", self.config.path.display())
                        }
                    },
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        // All of a file that appears later is new.
                        from = TailFrom::Start;
                        format!("{} is not there yet", self.config.path.display())
                    }
                    Err(error) => {
                        format!("{} cannot be opened: {error}", self.config.path.display())
                    }
                };
                let state = SourceState::Waiting { reason };
                if ctx.status.state() != state {
                    warn!(
                        target: LOG_TARGET,
                        MESSAGE_ID = Message::SourceFailed.id();
                        "{state}; looking again every {} ms", POLL.as_millis()
                    );
                    ctx.status.set_state(state);
                }
                pause(&mut stop).await;
            }
            status.set_state(SourceState::Ended);
            Ok::<(), IngestError>(())
        })
    }
}

/// Reads `file` until it is replaced or cut (false) or a stop (true).
async fn follow(
    mut file: TailedFile,
    from: TailFrom,
    rows: &mut TailRows,
    ctx: &SourceContext,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<bool> {
    rows.restart();
    if from == TailFrom::End {
        go_to_end(&mut file, rows).await?;
    }
    ctx.status.set_state(SourceState::Connected);
    info!(
        target: LOG_TARGET,
        MESSAGE_ID = Message::SourceRestored.id();
        "reading {}", file.path().display()
    );
    let mut replaced = false;
    loop {
        let bytes = tokio::select! {
            biased;
            () = stopped(stop) => return Ok(true),
            bytes = file.read() => bytes?,
        };
        let ended = bytes.is_empty();
        rows.feed(bytes);
        if ended && replaced {
            rows.finish();
        }
        rows.queue(stop).await;
        if !ended {
            continue;
        }
        if replaced {
            return Ok(false);
        }
        match file.fate().await {
            Fate::Same => {}
            Fate::Cut => return Ok(false),
            // Its writer may not have noticed yet: one more look after the pause.
            Fate::Replaced => replaced = true,
        }
        if pause(stop).await {
            return Ok(true);
        }
    }
}

/// Reads the header and goes to the start of the line that is written next. A file without a
/// whole header line has nothing to pass over.
async fn go_to_end(file: &mut TailedFile, rows: &mut TailRows) -> io::Result<()> {
    loop {
        let bytes = file.read().await?;
        if bytes.is_empty() {
            return Ok(());
        }
        rows.feed(bytes);
        if let Some(header_bytes) = rows.pass_over_rows() {
            return file.go_to_last_line(header_bytes).await;
        }
    }
}

/// Waits for the next look; true after a stop.
async fn pause(stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        () = stopped(stop) => true,
        () = time::sleep(POLL) => false,
    }
}
