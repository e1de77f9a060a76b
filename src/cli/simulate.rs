//! `anomalyd simulate`: a recording of the simulated plant, or a live stream of it.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::failure::Usage;
use super::print::tell;
use crate::clock::{Clock, SystemClock};
use crate::frame::{Timestamp, format_span};
use crate::simulate::faults::{self, Fault, FaultError};
use crate::simulate::record::{self, Draft, LineFormat};
use crate::simulate::{COUNT, FaultEvent, Plant, SENSORS};

/// Length of a run that names none and has an end.
const DEFAULT_DURATION: Duration = Duration::from_secs(24 * 3_600);
/// 2026-01-01T00:00:00Z in seconds since the epoch.
const DEFAULT_START_SECONDS: i64 = 1_767_225_600;
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);
const LONGEST_PERIOD: Duration = Duration::from_secs(3_600);
const FASTEST_RATE: f64 = 1e6;
/// Faults that are listed with their times; more would scroll away.
const MOST_LISTED: usize = 20;

const AFTER_HELP: &str = "\
The plant is a water treatment with 51 sensors (docs/simulator.md). With --out
it writes a CSV recording, its labels and its events, otherwise one JSON object
a frame to standard output. Equal arguments give equal recordings; each seed is
another day of the same plant. Examples:
  anomalyd simulate --seed 7 --duration 6h --random-faults 5 --out plant.csv
  anomalyd simulate --seed 7 --rate 100 | anomalyd run --config anomalyd.toml";

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct SimulateArgs {
    /// Which day of the plant
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Simulated time to cover, such as 6h [default: 24h; endless with --rate or --live]
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,

    /// Simulated time between frames, 1ms to 1h
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub period: Duration,

    /// Time of the first frame, RFC 3339 [default: 2026-01-01T00:00:00Z]
    #[arg(long, value_parser = parse_start, conflicts_with = "live")]
    pub start: Option<Timestamp>,

    /// Faults to simulate, a TOML file of [[fault]] entries (see docs/simulator.md)
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,

    /// Draw this many faults of mixed kinds from the seed
    #[arg(long, value_name = "N", conflicts_with = "faults")]
    pub random_faults: Option<usize>,

    /// Frames a second of wall time [default: as fast as it goes; with --live one a period]
    #[arg(long, value_name = "R", conflicts_with = "out")]
    pub rate: Option<f64>,

    /// Stamp the frames with the time at which they are written
    #[arg(long, conflicts_with = "out")]
    pub live: bool,

    /// CSV file to write, instead of JSON lines on standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Labels to write, time,label [default: beside --out as NAME.labels.csv]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// Events to write, JSON [default: beside --out as NAME.events.json]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Units of the sensors to write, sensor,unit, as `anomalyd train --units` reads them
    #[arg(long, value_name = "FILE")]
    pub units: Option<PathBuf>,
}

fn parse_start(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|error| format!("{error}; write a time such as 2026-01-01T00:00:00Z"))
}

/// Runs the command. A summary goes to standard error.
pub fn run(args: SimulateArgs) -> anyhow::Result<()> {
    // What is not wrong in the faults' file is wrong in the options.
    let job = Job::new(&args).map_err(|error| match error.is::<FaultError>() {
        true => error,
        false => Usage(error.to_string()).into(),
    })?;
    if let Some(path) = &args.units {
        let taken = [&args.out, &args.labels, &args.events];
        ensure_different(path, taken.into_iter().flatten().map(PathBuf::as_path))?;
        let mut draft = create(path)?;
        draft
            .write_all(record::units().as_bytes())
            .and_then(|()| draft.finish())
            .with_context(|| unwritable(path))?;
    }
    match &args.out {
        Some(out) => {
            let default = |suffix| out.with_extension(suffix);
            let labels = args.labels.clone();
            let events = args.events.clone();
            job.record(
                out,
                &labels.unwrap_or_else(|| default("labels.csv")),
                &events.unwrap_or_else(|| default("events.json")),
            )
        }
        None => {
            // What cannot be written in the end is told now, not then.
            for path in [&args.labels, &args.events].into_iter().flatten() {
                create(path)?;
            }
            let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            let rows = job.stream(out, args.labels.as_deref(), args.events.as_deref())?;
            let files = [args.labels.as_deref(), args.events.as_deref()];
            tell(job.summary(rows, files.into_iter().flatten()));
            Ok(())
        }
    }
}

/// The command's arguments, checked and put together.
#[derive(Debug)]
struct Job {
    seed: u64,
    period: Duration,
    start: Timestamp,
    /// `None`: endless.
    rows: Option<u64>,
    faults: Vec<Fault>,
    /// Frames a second of wall time; `None`: as fast as it goes.
    rate: Option<f64>,
    live: bool,
}

impl Job {
    fn new(args: &SimulateArgs) -> anyhow::Result<Self> {
        ensure!(
            (SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&args.period),
            "--period {}: must be 1ms to 1h",
            humantime::format_duration(args.period)
        );
        if let Some(rate) = args.rate {
            ensure!(
                rate > 0.0 && rate <= FASTEST_RATE,
                "--rate {rate}: must be above 0 and at most {FASTEST_RATE} frames a second; leave it out to run as fast as it goes"
            );
        }
        let paced = args.rate.is_some() || args.live;
        let duration = match args.duration {
            None if paced => None,
            other => Some(other.unwrap_or(DEFAULT_DURATION)),
        };
        let rows = match duration {
            None => None,
            Some(duration) => {
                let rows = duration.as_nanos() / args.period.as_nanos();
                ensure!(
                    rows > 0,
                    "--duration {} is shorter than --period {}; give a longer one",
                    humantime::format_duration(duration),
                    humantime::format_duration(args.period)
                );
                Some(u64::try_from(rows).context("--duration holds too many frames")?)
            }
        };
        if rows.is_none() && (args.labels.is_some() || args.events.is_some()) {
            bail!(
                "labels and events are written at the end, but this run has none; give a --duration"
            );
        }
        let start = if args.live {
            SystemClock.now()
        } else {
            let default = Timestamp::from_seconds(DEFAULT_START_SECONDS);
            args.start.unwrap_or(default)
        };
        let faults = match (&args.faults, args.random_faults) {
            (Some(path), _) => faults::load(path)?,
            (None, Some(count)) => match duration {
                Some(run) => faults::draw(count, run, args.seed)?,
                None => bail!("--random-faults spreads faults over the run; give a --duration"),
            },
            (None, None) => Vec::new(),
        };
        if let Some(run) = duration {
            faults::check_within(&faults, run)?;
        }
        let rate = args
            .rate
            .or_else(|| args.live.then(|| 1.0 / args.period.as_secs_f64()));
        Ok(Job {
            seed: args.seed,
            period: args.period,
            start,
            rows,
            faults,
            rate,
            live: args.live,
        })
    }

    fn plant(&self) -> Plant {
        Plant::with_faults(self.seed, self.period, self.start, self.faults.clone())
    }

    /// Writes a recording with its labels and events. All three appear at the end or not at all.
    fn record(&self, out: &Path, labels: &Path, events: &Path) -> anyhow::Result<()> {
        ensure_different(out, [labels, events])?;
        ensure_different(labels, [events])?;
        let mut plant = self.plant();
        let rows = self.rows.unwrap_or(0);
        let mut draft = create(out)?;
        let mut line = record::header().into_bytes();
        for time in self.times(rows) {
            record::push_frame(&mut line, LineFormat::Csv, time, plant.step());
            draft.write_all(&line).with_context(|| unwritable(out))?;
            line.clear();
        }
        let times = self.times(rows);
        let side_files = self.side_files(&plant, rows, times, Some(labels), Some(events))?;
        draft.finish().with_context(|| unwritable(out))?;
        for (draft, path) in side_files {
            draft.finish().with_context(|| unwritable(path))?;
        }
        tell(self.summary(rows, [out, labels, events]));
        for line in self.fault_list(&plant, rows) {
            tell(line);
        }
        self.warn_of_unnoticed(&plant);
        Ok(())
    }

    /// Writes JSON lines until the run ends or the reader goes away; returns the rows written.
    fn stream(
        &self,
        mut out: impl Write,
        labels: Option<&Path>,
        events: Option<&Path>,
    ) -> anyhow::Result<u64> {
        let mut plant = self.plant();
        let mut line = Vec::new();
        let mut live_times = Vec::new();
        let begin = Instant::now();
        let mut rows = 0;
        let mut closed = Ok(());
        while self.rows.is_none_or(|all| rows < all) {
            let values = plant.step();
            if let Some(rate) = self.rate {
                let early = due(begin, rate, rows).saturating_duration_since(Instant::now());
                if !early.is_zero() {
                    // Nothing may lie in the buffer while we sleep.
                    closed = out.flush();
                    thread::sleep(early);
                }
            }
            let time = if self.live {
                SystemClock.now()
            } else {
                self.time_of(rows)
            };
            record::push_frame(&mut line, LineFormat::Json, time, values);
            closed = closed.and_then(|()| out.write_all(&line));
            if closed.is_err() {
                break;
            }
            line.clear();
            if self.live && labels.is_some() {
                live_times.push(time);
            }
            rows += 1;
        }
        match closed.and_then(|()| out.flush()) {
            // The reader has seen enough (`| head`): that is an end, not a failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(error).context("standard output: cannot be written");
            }
            _ => {}
        }
        let side_files = if self.live {
            self.side_files(&plant, rows, live_times.into_iter(), labels, events)?
        } else {
            self.side_files(&plant, rows, self.times(rows), labels, events)?
        };
        for (draft, path) in side_files {
            draft.finish().with_context(|| unwritable(path))?;
        }
        self.warn_of_unnoticed(&plant);
        Ok(rows)
    }

    /// Simulated time of row `row`.
    fn time_of(&self, row: u64) -> Timestamp {
        let after = u128::from(row) * self.period.as_nanos();
        self.start
            .add_nanos(i64::try_from(after).unwrap_or(i64::MAX))
    }

    fn times(&self, rows: u64) -> impl Iterator<Item = Timestamp> {
        (0..rows).map(|row| self.time_of(row))
    }

    /// Labels of the frames at `times`, and events in the first `rows` rows, complete but not yet
    /// under their names.
    fn side_files<'a>(
        &self,
        plant: &Plant,
        rows: u64,
        times: impl Iterator<Item = Timestamp>,
        labels: Option<&'a Path>,
        events: Option<&'a Path>,
    ) -> anyhow::Result<Vec<(Draft, &'a Path)>> {
        let faulty = plant.events(rows);
        let mut drafts = Vec::new();
        if let Some(path) = labels {
            let mut draft = create(path)?;
            record::write_labels(&mut draft, times, &faulty).with_context(|| unwritable(path))?;
            drafts.push((draft, path));
        }
        if let Some(path) = events {
            let mut draft = create(path)?;
            record::write_events(&mut draft, self.period, &faulty)
                .with_context(|| unwritable(path))?;
            drafts.push((draft, path));
        }
        Ok(drafts)
    }

    fn summary<'a>(&self, rows: u64, files: impl IntoIterator<Item = &'a Path>) -> String {
        let files: Vec<_> = files.into_iter().map(|f| f.display().to_string()).collect();
        let files = if files.is_empty() {
            String::new()
        } else {
            format!(": {}", files.join(", "))
        };
        let faults = match self.faults.len() {
            0 => "no faults".to_owned(),
            1 => "1 fault".to_owned(),
            count => format!("{count} faults"),
        };
        format!(
            "simulated {rows} rows of {COUNT} sensors, seed {}, {faults}{files}",
            self.seed
        )
    }

    /// The faults as they can be noticed, a line each; nothing when there are too many to read.
    fn fault_list(&self, plant: &Plant, rows: u64) -> Vec<String> {
        let events = plant.events(rows);
        if events.len() > MOST_LISTED {
            return Vec::new();
        }
        let line = |event: &FaultEvent| {
            let lasts = self
                .time_of(event.rows.end)
                .seconds_since(self.time_of(event.rows.start));
            let targets: Vec<_> = event.targets.iter().map(|&c| SENSORS[c].name).collect();
            format!(
                "  {}  {:<8}  {}, for {}",
                self.time_of(event.rows.start).date_clock_text(),
                event.kind.name(),
                targets.join(" or "),
                format_span(lasts),
            )
        };
        events.iter().map(line).collect()
    }

    fn warn_of_unnoticed(&self, plant: &Plant) {
        for fault in plant.unnoticed() {
            tell(format_args!(
                "the actuator fault of {} at {} is not labelled: nothing called for it, so it made no difference; move it or make it longer",
                fault.sensor_names(),
                humantime::format_duration(fault.start)
            ));
        }
    }
}

/// When row `row` is due at `rate` frames a second. Reckoned from the beginning, so that late frames
/// are caught up with and errors do not add up.
fn due(begin: Instant, rate: f64, row: u64) -> Instant {
    let after = Duration::try_from_secs_f64(row as f64 / rate).unwrap_or(Duration::MAX);
    begin.checked_add(after).unwrap_or(begin)
}

fn ensure_different<'a>(
    path: &Path,
    others: impl IntoIterator<Item = &'a Path>,
) -> anyhow::Result<()> {
    ensure!(
        !others.into_iter().any(|other| other == path),
        "{}: is to hold two different things; give --out, --labels, --events and --units different names",
        path.display()
    );
    Ok(())
}

fn create(path: &Path) -> anyhow::Result<Draft> {
    Draft::create(path).with_context(|| {
        format!(
            "{}: cannot be created; check that the folder exists and is writable",
            path.display()
        )
    })
}

fn unwritable(path: &Path) -> String {
    format!("{}: cannot be written; is the disk full?", path.display())
}

#[cfg(test)]
mod tests;
