//! The log: the journal when systemd runs us, plain stderr otherwise. Imports nothing of the crate.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Starts the log. A second call only sets the level (a reload).
pub fn start(level: LevelFilter) {
    // The first logger stays; on a reload installing one again fails, as it should.
    let _ = match connected_to_journal().then(JournalLog::new) {
        Some(Ok(journal)) => journal
            .with_syslog_identifier("anomalyd".to_owned())
            .install(),
        // No journal after all: stderr is always there.
        Some(Err(_)) | None => log::set_logger(&STDERR),
    };
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
        // Where stderr is gone there is nobody left to tell.
        let _ = writeln!(
            std::io::stderr(),
            "{level:<5} {}: {}",
            record.target(),
            record.args()
        );
    }

    fn flush(&self) {}
}
