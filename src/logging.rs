//! The log: the journal when systemd runs us, plain stderr otherwise. Imports nothing of the crate.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Starts the log. A second call changes nothing.
pub fn start(level: LevelFilter) {
    // The first logger stays, and with it its level: see `set_level`.
    let started = match connected_to_journal().then(JournalLog::new) {
        Some(Ok(journal)) => journal
            .with_syslog_identifier("anomalyd".to_owned())
            .install(),
        // No journal after all: stderr is always there.
        Some(Err(_)) | None => log::set_logger(&STDERR),
    };
    if started.is_ok() {
        log::set_max_level(level);
    }
}

/// Takes another level from now on (a reload).
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

static STDERR: StderrLog = StderrLog;

struct StderrLog;

impl Log for StderrLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_ascii_lowercase();
        let line = format!("{level:<5} {}: {}\n", record.target(), record.args());
        // In one piece, so that lines of several processes do not mix. Where stderr is gone there
        // is nobody left to tell.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
