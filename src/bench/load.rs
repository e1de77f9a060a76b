//! The load: rows of the simulated plant, written to the service's socket when they are due,
//! whether or not the ones before were judged in time. Imports `simulate`, `model`, `frame` and
//! `histogram`.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::frame::Timestamp;
use crate::histogram::Histogram;
use crate::model::Manifest;
use crate::simulate::record::{LineFormat, push_frame};
use crate::simulate::{Plant, SENSORS, column_of};

/// The day of the plant that is measured with; the demo model was not trained on it.
const SEED: u64 = 11;
/// A sleeping thread wakes late by some tens of microseconds: the last part is waited out awake.
const AWAKE: Duration = Duration::from_micros(200);

/// Rows of values for a model's sensors.
pub enum Rows {
    /// The model's sensors are the plant's.
    Plant(Box<Plant>),
    /// A model of another plant: each sensor swings about its mean.
    Waves(Vec<Wave>, u64),
}

pub struct Wave {
    name: String,
    mean: f64,
    deviation: f64,
}

impl Rows {
    pub fn of(manifest: &Manifest) -> Rows {
        let known = |name: &str| column_of(name).is_some();
        if manifest.sensors.iter().all(|sensor| known(&sensor.name)) {
            // In the model's own time, however fast the rows are served.
            let period = Duration::from_nanos(manifest.period_nanos().unsigned_abs());
            return Rows::Plant(Box::new(Plant::new(SEED, period)));
        }
        let waves = manifest.sensors.iter().map(|sensor| Wave {
            name: sensor.name.clone(),
            mean: sensor.mean,
            deviation: sensor.deviation,
        });
        Rows::Waves(waves.collect(), 0)
    }

    /// Names of the columns.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Rows::Plant(_) => SENSORS.iter().map(|sensor| sensor.name).collect(),
            Rows::Waves(waves, _) => waves.iter().map(|wave| wave.name.as_str()).collect(),
        }
    }

    /// Appends the next row, dated `time`, to `line`.
    pub fn push(&mut self, line: &mut Vec<u8>, format: LineFormat, time: Timestamp) {
        match self {
            Rows::Plant(plant) => push_frame(line, format, time, plant.step()),
            Rows::Waves(waves, row) => {
                *row += 1;
                // A Vec never refuses to be written to.
                let _ = wave_row(line, format, time, waves, *row);
            }
        }
    }
}

fn wave_row(
    line: &mut Vec<u8>,
    format: LineFormat,
    time: Timestamp,
    waves: &[Wave],
    row: u64,
) -> std::io::Result<()> {
    match format {
        LineFormat::Csv => write!(line, "{time}")?,
        LineFormat::Json => write!(line, "{{\"time\":\"{time}\"")?,
    }
    for (column, wave) in waves.iter().enumerate() {
        // Slow, and no two alike.
        let phase = row as f64 / (50.0 + column as f64) + column as f64;
        let value = wave.mean + wave.deviation * phase.sin();
        match format {
            LineFormat::Csv => write!(line, ",{value:.4}")?,
            LineFormat::Json => {
                line.push(b',');
                serde_json::to_writer(&mut *line, &wave.name)?;
                write!(line, ":{value:.4}")?;
            }
        }
    }
    line.extend_from_slice(match format {
        LineFormat::Csv => b"\n",
        LineFormat::Json => b"}\n",
    });
    Ok(())
}

/// A running load.
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<(Histogram, std::io::Result<()>)>,
}

impl Load {
    /// Connects to the service at `socket` and begins: a row each `period`, each dated with the
    /// instant at which it is due.
    ///
    /// # Errors
    /// The socket cannot be reached.
    pub fn start(socket: &Path, mut rows: Rows, period: Duration) -> std::io::Result<Load> {
        let mut stream = UnixStream::connect(socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                let mut late = Histogram::default();
                let written = write(
                    &mut stream,
                    &mut rows,
                    period,
                    &stopped,
                    &counted,
                    &mut late,
                );
                (late, written)
            })?;
        Ok(Load { stop, sent, thread })
    }

    /// Rows written so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; gives how late rows were written. The service may have gone before.
    pub fn stop(self) -> (Histogram, std::io::Result<()>) {
        self.stop.store(true, Ordering::Relaxed);
        let gone = || std::io::Error::other("the load's thread broke");
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| (Histogram::default(), Err(gone())))
    }
}

fn write(
    stream: &mut UnixStream,
    rows: &mut Rows,
    period: Duration,
    stop: &AtomicBool,
    sent: &AtomicU64,
    late: &mut Histogram,
) -> std::io::Result<()> {
    let begin = Instant::now() + Duration::from_millis(10);
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let unix = unix.unwrap_or_default() + begin.saturating_duration_since(Instant::now());
    let wall = Timestamp::EPOCH.plus(unix);
    let mut line = Vec::with_capacity(4096);
    for row in 0_u32.. {
        // Reckoned from the beginning: a late row is followed by those that became due meanwhile.
        let after = period * row;
        line.clear();
        rows.push(&mut line, LineFormat::Json, wall.plus(after));
        let due = begin + after;
        // In steps, so that a slow load ends soon when it is told to.
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let left = due.saturating_duration_since(Instant::now());
            if left <= AWAKE {
                break;
            }
            std::thread::sleep((left - AWAKE).min(Duration::from_millis(100)));
        }
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        late.note(due.elapsed());
        stream.write_all(&line)?;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    #[test]
    fn rows_come_dated_a_period_apart_whoever_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let plant = Plant::new(1, Duration::from_secs(10));
        let period = Duration::from_millis(5);
        let load = Load::start(&path, Rows::Plant(Box::new(plant)), period).unwrap();
        let reader = BufReader::new(listener.accept().unwrap().0);
        let lines: Vec<String> = reader.lines().take(20).map(Result::unwrap).collect();
        let (late, written) = load.stop();
        written.unwrap();
        assert!(late.count() >= 20);
        let times: Vec<Timestamp> = lines
            .iter()
            .map(|line| {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(row.as_object().unwrap().len(), SENSORS.len() + 1);
                serde_json::from_value(row["time"].clone()).unwrap()
            })
            .collect();
        for pair in times.windows(2) {
            assert_eq!(pair[1].nanos_since(pair[0]), 5_000_000);
        }
    }

    #[test]
    fn another_plants_model_gets_rows_too() {
        let wave = |name: &str| Wave {
            name: name.to_owned(),
            mean: 5.0,
            deviation: 2.0,
        };
        let mut rows = Rows::Waves(vec![wave("a \"b\""), wave("c")], 0);
        let mut line = Vec::new();
        rows.push(&mut line, LineFormat::Json, Timestamp::EPOCH);
        let row: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!((3.0..=7.0).contains(&row["a \"b\""].as_f64().unwrap()));
        line.clear();
        rows.push(&mut line, LineFormat::Csv, Timestamp::EPOCH);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text.trim_end().split(',').count(), 3);
        assert_eq!(rows.names(), ["a \"b\"", "c"]);
    }
}
