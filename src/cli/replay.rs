//! `anomalyd replay`: what a recording would have raised.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use super::recording::Recording;
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::frame::{Timestamp, format_span};
use crate::ingest::csv::{BadValues, CsvOptions};
use crate::model::{Manifest, ModelFile};
use crate::pipeline::{
    EngineChoice, Happening, Outcome, Pipeline, PipelineConfig, Stream, open_engine,
};

/// Sensors shown with an alarm.
const SHOWN_SENSORS: usize = 3;

/// Which model judges, with which engine, and how strictly; for `replay` and `evaluate`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// The model, as `anomalyd train` wrote it
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// What runs the model
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
    /// The promise: at most this many false alarms a week; default: the model's
    #[arg(long, value_name = "N", value_parser = super::positive)]
    pub max_false_alarms_per_week: Option<f64>,
    /// Sampling period; default: the model's
    #[arg(long, value_parser = humantime::parse_duration)]
    pub period: Option<std::time::Duration>,
    /// Zone of times without an offset
    #[arg(long, default_value = "UTC", value_parser = super::time_zone)]
    pub zone: jiff::tz::TimeZone,
    /// The torch worker; default: found beside this program or in PATH
    #[arg(long, value_name = "PROGRAM")]
    pub torch_worker: Option<PathBuf>,
}

impl JudgeArgs {
    /// Loads the model and makes the stream that judges with it.
    ///
    /// # Errors
    /// The model is refused, or no engine reproduces its golden vectors.
    pub fn open(&self, watch_silence: bool) -> anyhow::Result<(ModelFile, Stream)> {
        let model = ModelFile::load(&self.model)?;
        let torch = TorchConfig {
            worker: self.torch_worker.clone(),
            ..TorchConfig::default()
        };
        let (engine, _) = open_engine(&model, self.engine, &torch)?;
        let config = PipelineConfig {
            max_false_alarms_per_week: self.max_false_alarms_per_week,
            ..PipelineConfig::default()
        };
        let align = AlignConfig::new(self.period_nanos(&model.manifest)?);
        let pipeline = Pipeline::new(&model, engine, &config);
        Ok((model, Stream::new(pipeline, align, watch_silence)))
    }

    fn period_nanos(&self, manifest: &Manifest) -> anyhow::Result<i64> {
        match self.period {
            Some(period) => i64::try_from(period.as_nanos())
                .ok()
                .filter(|nanos| *nanos > 0)
                .context("--period must be above 0 and below 292 years"),
            None => Ok(manifest.period_nanos()),
        }
    }
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    judge: JudgeArgs,
    /// The recording: CSV, a time column and one column a sensor
    recording: PathBuf,
    /// One JSON object an event instead of text
    #[arg(long)]
    json: bool,
}

/// Replays the recording and prints its alarms on stdout, a summary on stderr.
///
/// # Errors
/// The model or the recording is unusable.
pub fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let (model, mut stream) = args.judge.open(true)?;
    let manifest = &model.manifest;
    let options = CsvOptions {
        zone: args.judge.zone.clone(),
        bad: BadValues::Missing,
    };
    let mut recording = Recording::open(&args.recording, manifest, options, false)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut tally = Tally::default();
    let mut written = Ok(());
    let mut day = String::new();
    let mut listener = |happening: Happening<'_>| {
        tally.take(&happening);
        if let (Happening::Alarm(event), true) = (&happening, written.is_ok()) {
            written = match args.json {
                true => serde_json::to_writer(&mut out, event)
                    .map_err(std::io::Error::from)
                    .and_then(|()| writeln!(out)),
                // Alarms tell the time of day; over a longer recording that is not enough.
                false => new_day(&mut day, event.time)
                    .map_or(Ok(()), |day| writeln!(out, "{day}"))
                    .and_then(|()| writeln!(out, "{}", event.text(SHOWN_SENSORS))),
            };
        }
    };
    let started = Instant::now();
    let mut values = vec![f64::NAN; manifest.sensors.len()];
    // What was judged before an unreadable row is still worth printing.
    let read = loop {
        match recording.next_row(&mut values) {
            Ok(Some(time)) => stream.push_row(time, &values, &mut listener),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    stream.finish(&mut listener);
    let seconds = started.elapsed().as_secs_f64();
    written.and_then(|()| out.flush()).context("stdout")?;
    read?;
    let counts = stream.pipeline().counts();
    if counts.scored == 0 && counts.unscored == 0 {
        return Err(recording.nothing_scored(manifest).into());
    }
    eprintln!(
        "{} rows, {} of recording in {seconds:.2} s ({:.0} rows/s, engine {}): {} alarm{}{}",
        recording.rows(),
        format_span(recording.span_seconds()),
        recording.rows() as f64 / seconds.max(1e-9),
        stream.pipeline().engine_name(),
        tally.raised,
        if tally.raised == 1 { "" } else { "s" },
        tally.rest(&stream),
    );
    Ok(())
}

/// The date of `time`, when it is not `day`'s, which it then becomes.
fn new_day(day: &mut String, time: Timestamp) -> Option<String> {
    let text = time.date_clock_text();
    let date = text.split(' ').next().unwrap_or_default();
    (date != day).then(|| {
        date.clone_into(day);
        date.to_owned()
    })
}

/// What there is to say at the end beside the alarms.
#[derive(Debug, Default)]
struct Tally {
    raised: usize,
    unscored: u64,
    first_reason: Option<String>,
}

impl Tally {
    fn take(&mut self, happening: &Happening<'_>) {
        match happening {
            Happening::Alarm(event) => {
                if event.transition == crate::alarm::Transition::Raised {
                    self.raised += 1;
                }
            }
            Happening::Frame(_, Outcome::Unscored(reason)) => {
                self.unscored += 1;
                self.first_reason.get_or_insert_with(|| reason.to_string());
            }
            Happening::Frame(..) => {}
        }
    }

    fn rest(&self, stream: &Stream) -> String {
        let mut rest = String::new();
        if stream.pipeline().machine().is_on() {
            rest.push_str(", one of them still on");
        }
        if let Some(reason) = &self.first_reason {
            rest.push_str(&format!("; {} samples unscored: {reason}", self.unscored));
        }
        rest
    }
}
