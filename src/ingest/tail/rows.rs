//! The bytes of a growing CSV file to queued rows. Imports its siblings of stage ingest.

use std::path::PathBuf;
use std::sync::Arc;

use log::{error, info};
use tokio::sync::watch;

use super::super::csv::{BadValues, ColumnMap, CsvError, CsvLines, CsvOptions};
use super::super::intake::Intake;
use super::super::value::Reading;
use super::super::{SourceContext, SourceState, SourceStatus};
use super::{LOG_TARGET, TailConfig};

/// Reads one file after the other.
pub(super) struct TailRows {
    path: PathBuf,
    status: Arc<SourceStatus>,
    intake: Intake,
    lines: CsvLines,
    /// What was read of the file before its header was known.
    head: Vec<u8>,
    /// The header lines of the newest file that had some.
    header: Option<Vec<u8>>,
    /// The present file has no header, and the one before was put in its place.
    borrowed: bool,
    /// Of the present file, once its header is known.
    columns: Option<ColumnMap>,
    /// `[columns]`
    values: Vec<f64>,
    /// Bad values and rows of the parser that were counted, and its complaints that were seen.
    counted: u64,
    examples: usize,
}

impl TailRows {
    pub(super) fn new(config: &TailConfig, ctx: &SourceContext) -> Self {
        let options = CsvOptions {
            zone: config.zone.clone(),
            bad: BadValues::Missing,
        };
        TailRows {
            path: config.path.clone(),
            status: Arc::clone(&ctx.status),
            intake: Intake::new(ctx, LOG_TARGET),
            lines: CsvLines::new(&config.path, options),
            head: Vec::new(),
            header: None,
            borrowed: false,
            columns: None,
            values: Vec::new(),
            counted: 0,
            examples: 0,
        }
    }

    /// Another file begins.
    pub(super) fn restart(&mut self) {
        self.lines.restart();
        self.head.clear();
        self.borrowed = false;
        self.columns = None;
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.columns.is_none() {
            self.head.extend_from_slice(bytes);
        }
        self.lines.feed(bytes);
    }

    /// No more of this file comes: its last line counts without a line end.
    pub(super) fn finish(&mut self) {
        self.lines.finish();
    }

    /// Once the header is known: forgets what was fed behind it and returns its length in bytes.
    pub(super) fn pass_over_rows(&mut self) -> Option<u64> {
        if !self.know_header() {
            return None;
        }
        let header = self.header.clone()?;
        self.lines.restart();
        self.lines.feed(&header);
        Some(header.len() as u64)
    }

    /// Queues every complete row that was fed.
    pub(super) async fn queue(&mut self, stop: &mut watch::Receiver<bool>) {
        while self.know_header() && self.take_row() {
            self.intake.push_patiently(stop).await;
        }
    }

    /// Puts the next complete row into the intake; false where there is none.
    fn take_row(&mut self) -> bool {
        let time = match self.lines.next_row(&mut self.values) {
            Ok(Some(time)) => time,
            Ok(None) => {
                self.count_bad();
                return false;
            }
            Err(error) => {
                self.intake.complain(&error);
                return true;
            }
        };
        self.count_bad();
        let line = self.lines.line();
        let origin = format_args!("{}:{line}", self.path.display());
        for (column, &value) in self.values.iter().enumerate() {
            let sensor = self.columns.as_ref().and_then(|c| c.sensor(column));
            let Some(sensor) = sensor else { continue };
            let reading = if value.is_nan() {
                Reading::Missing
            } else {
                Reading::Value(value)
            };
            self.intake.add(sensor, time, reading, "", &origin);
        }
        true
    }

    /// Whether the header is known; reads it if it is complete.
    fn know_header(&mut self) -> bool {
        if self.columns.is_some() {
            return true;
        }
        let known = match (self.lines.read_header(), &self.header) {
            // After a rotation that only cut the file, the writer goes on without a header.
            (Err(CsvError::NoHeader { .. }), Some(header)) if !self.borrowed => {
                self.borrowed = true;
                self.lines.restart();
                self.lines.feed(header);
                self.lines.feed(&self.head);
                self.lines.read_header()
            }
            (known, _) => known,
        };
        match known {
            Ok(true) => self.set_columns(),
            Ok(false) => return false,
            Err(error) => {
                error!(target: LOG_TARGET, "{error}; nothing is read until the file is replaced");
                let reason = error.to_string();
                self.status.set_state(SourceState::Waiting { reason });
                self.head.clear();
                return false;
            }
        }
        true
    }

    fn set_columns(&mut self) {
        let names = self.lines.sensors().unwrap_or_default();
        for name in names {
            self.intake.sensors().admit(name);
        }
        let columns = ColumnMap::new(&self.intake.sensors().all(), names);
        let origin = format_args!("{}:1", self.path.display());
        for unknown in columns.unknown() {
            self.intake.ignore(unknown, &origin);
        }
        if !columns.absent().is_empty() {
            info!(
                target: LOG_TARGET,
                "{}: no column for {}",
                self.path.display(),
                columns.absent().join(", ")
            );
        }
        self.columns = Some(columns);
        let head = std::mem::take(&mut self.head);
        if !self.borrowed {
            let lines = usize::try_from(self.lines.line()).unwrap_or(usize::MAX);
            let header = head.split_inclusive(|&byte| byte == b'\n').take(lines);
            self.header = Some(header.flatten().copied().collect());
        }
    }

    /// Counts what the parser left out since the last look, and complains of it.
    fn count_bad(&mut self) {
        let rejected = self.lines.rejected();
        let bad = rejected.values + rejected.rows;
        if bad == self.counted {
            return;
        }
        // The parser keeps the first few complaints only.
        let newest = rejected.examples.get(self.examples..).and_then(<[_]>::last);
        let text = match newest {
            Some(example) => example.to_string(),
            None => format!(
                "{}:{}: what is not readable here is treated as missing",
                self.path.display(),
                self.lines.line()
            ),
        };
        self.examples = rejected.examples.len();
        for _ in self.counted..bad - 1 {
            self.status.count_bad();
        }
        self.intake.complain(&text);
        self.counted = bad;
    }
}
