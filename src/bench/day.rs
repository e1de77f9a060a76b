//! What the service writes in a day of the plant, which passes in some seconds here. Carrying a shorter
//! phase on to a day will not do: the history is written by the half hour, and what is written once, such
//! as the beginning of the day's file, would count 48 times. Imports `clock`,
//! `health` and its siblings.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::cap::{Cage, Limits};
use super::interrupt::Interrupt;
use super::load::Rows;
use super::meter::written_by;
use super::outcome::Day;
use super::service::{Service, ServiceError, Setup};
use crate::clock::{Clock, SystemClock};
use crate::health::volatile;
use crate::simulate::record::LineFormat;

/// Between rows; what is kept of a faster plant is the same.
const PERIOD: Duration = Duration::from_secs(10);
const ROWS_A_HALF_HOUR: u64 = 180;
const HALF_HOURS: u64 = 48;
/// A half hour that is not judged within this will not be.
const JUDGED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// For the thread that writes, once all is judged.
const WRITTEN_WITHIN: Duration = Duration::from_millis(300);

#[derive(Debug, thiserror::Error)]
pub enum DayError {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("its socket for rows: {0}")]
    Rows(std::io::Error),
    #[error("{folder}: cannot be written back: {source}")]
    WriteBack {
        folder: String,
        source: std::io::Error,
    },
    #[error("{0} is in memory; set TMPDIR to a folder on a disk")]
    Memory(String),
    #[error("of {sent} rows {judged} were judged within {} s", JUDGED_WITHIN.as_secs())]
    Slow { sent: u64, judged: u64 },
    #[error("no reading of the kernel")]
    NoReading,
}

/// Sends a day of rows, up to now, and counts what is written. After each half hour everything is written
/// back to the disk, as the kernel does within half a minute: a page that is filled later counts again.
///
/// # Errors
/// The service does not take the rows, or what it writes is not counted; or the user interrupts.
pub fn day(
    setup: &Setup,
    mut rows: Rows,
    window: u64,
    interrupt: &Interrupt,
    show: &dyn Fn(f64),
) -> Result<Day, DayError> {
    let folder = || setup.folder.display().to_string();
    if volatile::read(Path::new("/"), &setup.folder) == Some(true) {
        return Err(DayError::Memory(folder()));
    }
    let write_back = || {
        let disk = File::open(&setup.folder)?;
        Ok(nix::unistd::syncfs(disk)?)
    };
    let cage = Cage::make(Limits::NONE, "");
    let mut service = Service::start(setup, &cage, PERIOD, interrupt)?;
    let written = |service: &Service| written_by(service.id()).ok_or(DayError::NoReading);
    let before = written(&service)?;
    let connect = || {
        let stream = UnixStream::connect(service.rows_socket())?;
        stream.set_write_timeout(Some(JUDGED_WITHIN))?;
        Ok(stream)
    };
    let mut stream = connect().map_err(DayError::Rows)?;
    let all = PERIOD * (HALF_HOURS * ROWS_A_HALF_HOUR) as u32;
    let mut time = SystemClock.now().add_nanos(-(all.as_nanos() as i64));
    let mut text = Vec::new();
    for half_hour in 1..=HALF_HOURS {
        show(half_hour as f64 / HALF_HOURS as f64);
        text.clear();
        for _ in 0..ROWS_A_HALF_HOUR {
            rows.push(&mut text, LineFormat::Json, time);
            time = time.plus(PERIOD);
        }
        stream.write_all(&text).map_err(DayError::Rows)?;
        // The first frames of the first window have nothing to be judged by.
        let sent = half_hour * ROWS_A_HALF_HOUR;
        wait_judged(&mut service, sent.saturating_sub(window), interrupt)?;
        write_back().map_err(|source| DayError::WriteBack {
            folder: folder(),
            source,
        })?;
    }
    std::thread::sleep(WRITTEN_WITHIN);
    Ok(Day {
        rows: HALF_HOURS * ROWS_A_HALF_HOUR,
        written_bytes: written(&service)?.saturating_sub(before),
    })
}

/// Until `rows` are judged.
fn wait_judged(service: &mut Service, rows: u64, interrupt: &Interrupt) -> Result<(), DayError> {
    let begin = Instant::now();
    loop {
        service.check()?;
        let status = service.status()?;
        let judged = status.scored + status.unscored;
        if judged >= rows {
            return Ok(());
        }
        if begin.elapsed() > JUDGED_WITHIN {
            return Err(DayError::Slow { sent: rows, judged });
        }
        if interrupt.wait_until(Instant::now() + LOOK_AGAIN) {
            return Err(ServiceError::Interrupted.into());
        }
    }
}
