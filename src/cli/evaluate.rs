//! `anomalyd evaluate`: detection quality of a model on a labelled recording.

pub mod table;

use std::path::PathBuf;
use std::time::Instant;

use clap::{ArgGroup, Args};

use super::judge::JudgeArgs;
use super::print::{print, print_json, tell};
use super::recording::Recording;
use crate::alarm::{AlarmKind, Transition};
use crate::pipeline::{Happening, Outcome, Stream};
use crate::score::evaluate::{AlarmSpan, Evaluation, Report, Truth};

const USAGE: &str = "\
anomalyd evaluate [OPTIONS] --model <FILE> --data <CSV> --labels <CSV>
       anomalyd evaluate [OPTIONS] --model <FILE> --data <CSV> --events <JSON>";

const AFTER_HELP: &str = "\
Row counts of labels and events are those of the recording, from 0; nothing is
point-adjusted (docs/evaluation.md). Examples:
  anomalyd evaluate --model plant.pt --data test.csv --labels test.labels.csv
  anomalyd evaluate --model plant.pt --data test.csv --events e.json --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
#[command(override_usage = USAGE)]
#[command(group(ArgGroup::new("truth").required(true).multiple(true).args(["labels", "events"])))]
pub struct EvaluateArgs {
    #[command(flatten)]
    judge: JudgeArgs,
    /// The recording: CSV, a time column and one column a sensor
    #[arg(long, value_name = "CSV")]
    data: PathBuf,
    /// Columns time,label: 1 where the recording is anomalous, one line a row of the recording
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,
    /// Events with start and end rows, perhaps their targets, and the recording's breaks
    #[arg(long, value_name = "JSON")]
    events: Option<PathBuf>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Evaluates and prints the report on stdout.
///
/// # Errors
/// The model, the recording or its labels are unusable.
pub fn run(args: EvaluateArgs) -> anyhow::Result<()> {
    let (model, mut stream) = args.judge.open(false)?;
    let manifest = &model.manifest;
    let options = args.judge.csv_options();
    let mut recording = Recording::open(&args.data, manifest, options, true)?;
    let mut rows = Vec::new();
    let mut values = vec![f64::NAN; manifest.sensors.len()];
    while let Some(time) = recording.next_row(&mut values)? {
        rows.push((time, values.clone()));
    }
    recording.require_every_row()?;
    let truth = Truth::load(args.labels.as_deref(), args.events.as_deref(), rows.len())?;

    let mut judged = Judged {
        scores: vec![f64::NAN; rows.len()],
        ..Judged::default()
    };
    let started = Instant::now();
    for (row, (time, values)) in rows.iter().enumerate() {
        if row > 0 && truth.events.breaks.contains(&row) {
            stream.restart();
        }
        stream.push_row(*time, values, &mut |happening| judged.take(row, happening));
        judged.end_row(row);
    }
    stream.finish(&mut |happening| judged.take(rows.len() - 1, happening));
    let seconds = started.elapsed().as_secs_f64();
    let counts = stream.pipeline().counts();
    if counts.scored == 0 {
        let period_seconds = args.judge.period_seconds(manifest);
        return Err(recording
            .nothing_scored(manifest.window, period_seconds)
            .into());
    }
    if counts.unscored > 0 {
        tell(format_args!(
            "warning: {} samples were not scored: the engine failed",
            counts.unscored
        ));
    }
    judged.close(rows.len());

    let evaluation = Evaluation {
        threshold: stream.pipeline().machine().thresholds().a,
        max_false_alarms_per_week: budget(&args, &stream),
        windows_per_second: Some(counts.scored as f64 / seconds.max(1e-9)),
        ..Evaluation::new(
            &judged.scores,
            &truth,
            &judged.spans,
            manifest.period_seconds,
        )
    };
    let report = Report::new(&evaluation);
    match args.json {
        true => print_json(&report),
        false => print(table::render(&report)),
    }
}

fn budget(args: &EvaluateArgs, stream: &Stream) -> f64 {
    let of_model = stream.pipeline().manifest().max_false_alarms_per_week;
    args.judge.max_false_alarms_per_week.unwrap_or(of_model)
}

/// Scores and alarms in rows of the recording.
#[derive(Default)]
struct Judged {
    scores: Vec<f64>,
    spans: Vec<AlarmSpan>,
    newest: f64,
    open: bool,
}

impl Judged {
    fn take(&mut self, row: usize, happening: Happening<'_>) {
        match happening {
            Happening::Frame(_, Outcome::Scored(score, _)) => {
                self.newest = f64::from(score.published);
            }
            Happening::Frame(..) => self.newest = f64::NAN,
            Happening::Alarm(event) if event.kind == AlarmKind::Anomaly => match event.transition {
                Transition::Raised => {
                    self.open = true;
                    self.spans.push(AlarmSpan {
                        raised_row: row,
                        end_row: row + 1,
                        sensors: event.sensors.iter().map(|e| e.sensor.clone()).collect(),
                    });
                }
                Transition::Updated => {}
                Transition::Cleared => self.close(row),
            },
            Happening::Alarm(_) => {}
        }
    }

    /// A row that shares its period with the row before has that row's score.
    fn end_row(&mut self, row: usize) {
        self.scores[row] = self.newest;
    }

    fn close(&mut self, end_row: usize) {
        if std::mem::take(&mut self.open)
            && let Some(span) = self.spans.last_mut()
        {
            span.end_row = end_row.max(span.raised_row + 1);
        }
    }
}
