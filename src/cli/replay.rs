//! `anomalyd replay`: what a recording would have raised.

mod scores;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use self::scores::ScoreFile;
use super::judge::JudgeArgs;
use super::print::tell;
use super::recording::Recording;
use crate::alarm::{AlarmEvent, Transition};
use crate::frame::{Timestamp, format_span};
use crate::pipeline::{Happening, Outcome, Stream};

/// Frames that are judged together.
const FRAMES_AHEAD: usize = 32;
/// Sensors shown with an alarm.
const SHOWN_SENSORS: usize = 3;

const AFTER_HELP: &str = "\
Alarms go to standard output, a summary and warnings to standard error. Rows
that cannot be read are left out and told of. Examples:
  anomalyd replay --model plant.pt recording.csv
  anomalyd replay --model plant.pt --json recording.csv | jq .sensors[0].sensor
  anomalyd replay --model plant.pt --scores scores.csv recording.csv";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ReplayArgs {
    #[command(flatten)]
    judge: JudgeArgs,
    /// The recording: CSV, a time column and one column a sensor
    recording: PathBuf,
    /// One JSON object an event instead of text
    #[arg(long)]
    json: bool,
    /// Write the score of every frame too: CSV, time,score,relative (1 raises an alarm)
    #[arg(long, value_name = "CSV")]
    scores: Option<PathBuf>,
}

/// Replays the recording and prints its alarms on stdout, a summary on stderr.
///
/// # Errors
/// The model or the recording is unusable.
pub fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let (model, mut stream) = args.judge.open(true)?;
    stream.set_ahead(FRAMES_AHEAD);
    let manifest = &model.manifest;
    let options = args.judge.csv_options();
    let mut recording = Recording::open(&args.recording, manifest, options, false)?;
    let mut scores = args.scores.as_deref().map(ScoreFile::create).transpose()?;
    let mut alarms = AlarmPrinter::new(std::io::stdout().lock(), args.json);
    let mut tally = Tally::default();
    let mut listener = |happening: Happening<'_>| {
        tally.take(&happening);
        match happening {
            Happening::Alarm(event) => alarms.take(event),
            Happening::Frame(frame, outcome) => {
                alarms.begin(frame.time);
                if let Some(scores) = &mut scores {
                    scores.take(frame.time, outcome);
                }
            }
        }
    };
    let started = Instant::now();
    let mut values = vec![f64::NAN; manifest.sensors.len()];
    // What was judged before a row that cannot be read is still worth printing.
    let read = loop {
        match recording.next_row(&mut values) {
            Ok(Some(time)) => stream.push_row(time, &values, &mut listener),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    stream.finish(&mut listener);
    let seconds = started.elapsed().as_secs_f64();
    alarms
        .finish()
        .context("standard output: cannot be written")?;
    if let Some(scores) = scores {
        scores.finish()?;
    }
    read?;
    let counts = stream.pipeline().counts();
    let period_seconds = args.judge.period_seconds(manifest);
    if counts.scored == 0 && counts.unscored == 0 {
        return Err(recording
            .nothing_scored(manifest.window, period_seconds)
            .into());
    }
    recording.tell_if_sparse(period_seconds, counts.frames);
    tell(summary(&recording, &stream, &tally, seconds));
    Ok(())
}

/// Two lines: what was read how fast, and what came of it.
fn summary(recording: &Recording, stream: &Stream, tally: &Tally, seconds: f64) -> String {
    let rows = recording.rows();
    let from = recording
        .first()
        .map_or(String::new(), |first| format!(" from {}", date(first)));
    let mut text = format!(
        "{rows} rows{from}, {} long, in {seconds:.2} s ({:.0} rows/s, engine {})\n{}",
        format_span(recording.span_seconds()),
        rows as f64 / seconds.max(1e-9),
        stream.pipeline().engine_name(),
        super::counted(tally.raised, "alarm"),
    );
    if stream.pipeline().machine().is_on() {
        text.push_str(match tally.raised {
            1 => ", still on at the end",
            _ => ", the last still on at the end",
        });
    }
    if let Some(reason) = &tally.first_reason {
        text.push_str(&format!("; {} samples unscored: {reason}", tally.unscored));
    }
    text
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
                if event.transition == Transition::Raised {
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
}

/// Writes alarms as they come, and the day where it is not that of the line before: alarms
/// themselves carry the time of day only.
struct AlarmPrinter<W: Write> {
    out: W,
    json: bool,
    day: Option<String>,
    written: std::io::Result<()>,
}

impl<W: Write> AlarmPrinter<W> {
    fn new(out: W, json: bool) -> Self {
        AlarmPrinter {
            out,
            json,
            day: None,
            written: Ok(()),
        }
    }

    /// The first frame's day needs no line: the summary has it.
    fn begin(&mut self, time: Timestamp) {
        if self.day.is_none() {
            self.day = Some(date(time));
        }
    }

    fn take(&mut self, event: &AlarmEvent) {
        if self.written.is_ok() {
            self.written = self.write(event);
        }
    }

    fn write(&mut self, event: &AlarmEvent) -> std::io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, event)?;
            return writeln!(self.out);
        }
        let day = Some(date(event.time));
        if self.day != day {
            writeln!(self.out, "{}:", date(event.time))?;
            self.day = day;
        }
        writeln!(self.out, "{}", event.text(SHOWN_SENSORS))
    }

    /// # Errors
    /// Something could not be written.
    fn finish(mut self) -> std::io::Result<()> {
        self.written?;
        self.out.flush()
    }
}

/// `2026-11-25`, in UTC as everything that is printed.
fn date(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::AlarmKind;

    fn event(seconds: i64) -> AlarmEvent {
        AlarmEvent {
            id: "a7k2".to_owned(),
            kind: AlarmKind::Anomaly,
            transition: Transition::Raised,
            time: Timestamp::from_seconds(seconds),
            raised_at: Timestamp::from_seconds(seconds),
            score: 3.4,
            peak_score: 3.4,
            threshold: 1.0,
            sensors: Vec::new(),
            model: "plant 1".to_owned(),
            degraded: None,
            verdict: None,
        }
    }

    #[test]
    fn a_new_day_is_told_once() {
        let mut text = Vec::new();
        let mut printer = AlarmPrinter::new(&mut text, false);
        printer.begin(Timestamp::from_seconds(10));
        for seconds in [60, 100_000, 100_001] {
            printer.take(&event(seconds));
        }
        printer.finish().unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "alarm a7k2 raised: score 3.4 (1.0 raises), 00:01:00 UTC\n\
             1970-01-02:\n\
             alarm a7k2 raised: score 3.4 (1.0 raises), 03:46:40 UTC\n\
             alarm a7k2 raised: score 3.4 (1.0 raises), 03:46:41 UTC\n"
        );
    }

    #[test]
    fn a_full_disk_is_an_error_in_the_end() {
        let mut full = [0u8; 10];
        let mut printer = AlarmPrinter::new(full.as_mut_slice(), true);
        printer.take(&event(0));
        printer.take(&event(1));
        assert!(printer.finish().is_err());
    }
}
