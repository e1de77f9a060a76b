//! `anomalyd train`: from a recording of normal operation to a model file.

mod guard;
mod summary;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::Unwritable;
use super::lively_stderr;
use super::print::{few, print, tell};
use super::recording::{Unfit, seconds_text};
use crate::engine::EngineError;
use crate::engine::torch::TorchConfig;
use crate::engine::torch::trainer::Trainer;
use crate::frame::align::AlignConfig;
use crate::ingest::csv::{BadValues, CsvError, CsvOptions, Table, read_table};
use crate::model::ModelFile;
use crate::model::manifest::HeadKind;
use crate::train::{
    AutoencoderConfig, NormalData, Topology, TrainConfig, TrainError, TrainProgress, Trained, train,
};

const AFTER_HELP: &str = "\
The recording must show normal operation only: what it holds is what will not
alarm. A day is little, a week is good. Without libtorch:
  anomalyd train --data normal.csv --heads neighbour,raw --out plant.pt
With everything, and at most one false alarm a week:
  anomalyd train --data normal.csv --max-false-alarms-per-week 1 --out plant.pt";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct TrainArgs {
    /// Recording of normal operation: CSV, a time column and one column a sensor
    #[arg(long, value_name = "CSV")]
    data: PathBuf,
    /// Where to write the model
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What judges: reconstruction (an LSTM autoencoder, which libtorch trains), neighbour (the
    /// sensor graph), raw (each sensor by itself)
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "reconstruction,neighbour,raw"
    )]
    heads: Vec<Head>,
    /// Which sensors may explain each other, a file of edges and groups (docs/cli.md)
    #[arg(long, value_name = "TOML")]
    graph: Option<PathBuf>,
    /// The promise: at most this many false alarms a week
    #[arg(long, value_name = "N", default_value = "7", value_parser = super::budget)]
    max_false_alarms_per_week: f64,
    /// Name of the plant or line [default: that of the recording]
    #[arg(long, value_parser = super::not_empty)]
    name: Option<String>,
    /// Version of the model, free text
    #[arg(long, value_name = "TEXT", default_value = "1", value_parser = super::not_empty)]
    model_version: String,

    /// Sampling period, such as 5s [default: the median step of the recording]
    #[arg(long, value_parser = super::period, help_heading = "How the recording is read")]
    period: Option<std::time::Duration>,
    /// Units of the sensors, CSV with columns sensor,unit
    #[arg(long, value_name = "CSV", help_heading = "How the recording is read")]
    units: Option<PathBuf>,
    /// Zone of times without an offset
    #[arg(
        long,
        default_value = "UTC",
        value_parser = super::time_zone,
        help_heading = "How the recording is read"
    )]
    zone: jiff::tz::TimeZone,
    /// Take values that are not numbers as missing, instead of refusing the recording
    #[arg(long, help_heading = "How the recording is read")]
    skip_bad_values: bool,

    /// Window length T, in samples
    #[arg(
        long,
        value_name = "T",
        default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "The autoencoder"
    )]
    window: u16,
    /// Hidden width H
    #[arg(
        long,
        value_name = "H",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "The autoencoder"
    )]
    hidden: u16,
    /// Stacked LSTM layers, of encoder and decoder each
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=2),
        help_heading = "The autoencoder"
    )]
    layers: u8,
    /// Updates of the weights a fit; there are four fits, three folds and the final one [default:
    /// 1000 to 4000, as the number of rows calls for]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "The autoencoder"
    )]
    steps: Option<u32>,
    /// Where all randomness comes from
    #[arg(long, default_value_t = 1, help_heading = "The autoencoder")]
    seed: u64,
    /// The torch worker [default: beside this program, or on PATH]
    #[arg(long, value_name = "PROGRAM", help_heading = "The autoencoder")]
    torch_worker: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Head {
    Reconstruction,
    Neighbour,
    Raw,
}

/// Trains and writes the model.
///
/// # Errors
/// The recording is unusable, libtorch is wanted and missing, or the model cannot be written.
pub fn run(args: TrainArgs) -> anyhow::Result<()> {
    // All that can fail early does, not after minutes of training.
    let inputs = [Some(&args.data), args.graph.as_ref(), args.units.as_ref()];
    guard::writable(
        &args.out,
        inputs.into_iter().flatten().map(PathBuf::as_path),
    )?;
    if args.heads.contains(&Head::Reconstruction) {
        Trainer::find(args.torch_worker.as_deref()).map_err(how_to_do_without)?;
    }
    let table = without_empty_columns(read(&args)?)?;
    let units = super::recording::units(args.units.as_deref(), &table.sensors)?;
    let config = config(&args, &table)?;
    let data = NormalData {
        sensors: &table.sensors,
        units: &units,
        times: &table.times,
        values: &table.values,
    };
    tell(format_args!(
        "learning from {}: {} rows, {}, one frame each {}",
        args.data.display(),
        table.rows(),
        super::counted(table.sensors.len(), "sensor"),
        seconds_text(config.align.period_nanos as f64 / 1e9),
    ));
    let scratch = Scratch::new()?;
    let bar = progress_bar();
    let trained = train(data, &config, &scratch.0, &mut |at| show(&bar, at));
    bar.finish_and_clear();
    let trained = trained.map_err(|error| in_context(error, &args))?;
    let model = save(&trained, &args)?;
    print(summary::text(&args.out, &model, &trained))
}

fn read(args: &TrainArgs) -> anyhow::Result<Table> {
    let options = CsvOptions {
        zone: args.zone.clone(),
        bad: match args.skip_bad_values {
            true => BadValues::Missing,
            false => BadValues::Reject,
        },
    };
    let table = read_table(&args.data, options).map_err(|error| {
        // What a person can do about a bad row is different for `train` than for `replay`; a bad
        // value says so itself, and no option helps with a bad header.
        let mendable = error.is_row() && !matches!(error, CsvError::BadValue { .. });
        match mendable && error.place().is_some_and(|place| place.line > 1) {
            true => anyhow::Error::new(error)
                .context("training data must be sound: mend the row, or give --skip-bad-values"),
            false => anyhow::Error::new(error),
        }
    })?;
    for line in table.rejected.lines() {
        tell(format_args!("warning: {line}"));
    }
    Ok(table)
}

/// Leaves out the sensors that never have a value: there is nothing to learn about them, and their
/// first value ever would be an alarm.
fn without_empty_columns(table: Table) -> anyhow::Result<Table> {
    let width = table.sensors.len();
    let mut seen = vec![false; width];
    for row in table.values.chunks_exact(width.max(1)) {
        for (seen, value) in seen.iter_mut().zip(row) {
            *seen |= !value.is_nan();
        }
    }
    let empty: Vec<String> = names(&table, |i| !seen[i]);
    if empty.is_empty() {
        return Ok(table);
    }
    if empty.len() == width {
        return Err(Unfit::Untrainable {
            path: table.path,
            reason: "not one value in the whole recording".to_owned(),
        }
        .into());
    }
    tell(format_args!(
        "warning: {}: left out, for they have no value in the whole recording: {}",
        table.path.display(),
        few(&empty)
    ));
    let kept = table.values.iter().zip(seen.iter().cycle());
    let values = kept.filter(|(_, seen)| **seen).map(|(value, _)| *value);
    Ok(Table {
        values: values.collect(),
        sensors: names(&table, |i| seen[i]),
        ..table
    })
}

fn names(table: &Table, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let names = table.sensors.iter().enumerate();
    names
        .filter(|(i, _)| wanted(*i))
        .map(|(_, name)| name.clone())
        .collect()
}

fn how_to_do_without(error: EngineError) -> anyhow::Error {
    anyhow::anyhow!(
        "libtorch trains the head reconstruction: {error}, or train without that head: --heads \
         neighbour,raw"
    )
}

/// Names the recording where it is to blame.
fn in_context(error: TrainError, args: &TrainArgs) -> anyhow::Error {
    let of_data = matches!(
        error,
        TrainError::TooFewRows { .. }
            | TrainError::NoWindows { .. }
            | TrainError::TooManySensors { .. }
            | TrainError::TooLarge { .. }
    );
    match of_data {
        true => anyhow::Error::new(error).context(args.data.display().to_string()),
        false => error.into(),
    }
}

/// Writes the model and reads it back: it is only done when it loads. Where the place has become
/// unwritable meanwhile, it is put where it is not lost.
fn save(trained: &Trained, args: &TrainArgs) -> anyhow::Result<ModelFile> {
    let Err(error) = trained.model.save(&args.out) else {
        return Ok(ModelFile::load(&args.out)?);
    };
    let refuge = std::env::temp_dir().join(format!("anomalyd-{}.pt", std::process::id()));
    let kept = match trained.model.save(&refuge) {
        Ok(_) => format!("the model is kept as {}", refuge.display()),
        Err(_) => "the model is lost".to_owned(),
    };
    Err(Unwritable(format!("cannot write the model: {error}; {kept}")).into())
}

fn config(args: &TrainArgs, table: &Table) -> anyhow::Result<TrainConfig> {
    let period_nanos = match args.period {
        Some(period) => super::nanos(period),
        None => table.median_step().ok_or_else(|| Unfit::Untrainable {
            path: table.path.clone(),
            reason: "no two rows have different times".to_owned(),
        })?,
    };
    // Asked twice, a head still speaks once; the order is the manifest's.
    let heads = [
        (Head::Reconstruction, HeadKind::Reconstruction),
        (Head::Neighbour, HeadKind::Neighbour),
        (Head::Raw, HeadKind::Raw),
    ];
    let wanted = heads
        .into_iter()
        .filter(|(head, _)| args.heads.contains(head));
    let defaults = AutoencoderConfig::default();
    let stem = args
        .data
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    Ok(TrainConfig {
        name: args
            .name
            .clone()
            .or(stem)
            .unwrap_or_else(|| "plant".to_owned()),
        version: args.model_version.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        heads: wanted.map(|(_, kind)| kind).collect(),
        window: usize::from(args.window),
        max_false_alarms_per_week: args.max_false_alarms_per_week,
        align: AlignConfig::new(period_nanos),
        topology: args.graph.as_deref().map(Topology::load).transpose()?,
        autoencoder: AutoencoderConfig {
            hidden: usize::from(args.hidden),
            layers: usize::from(args.layers),
            steps: args.steps.map(|steps| steps as usize),
            seed: args.seed,
            ..defaults
        },
        torch: TorchConfig {
            worker: args.torch_worker.clone(),
            ..TorchConfig::default()
        },
    })
}

/// A folder of our own for the trainer's files, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("anomalyd-train-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{}: cannot be made; set TMPDIR", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in the temporary folder are harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if !lively_stderr() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{msg:34} {bar:28} {percent:>3} % {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, at: TrainProgress) {
    match at {
        TrainProgress::Graph => bar.set_message("sensor graph"),
        TrainProgress::Autoencoder { step, steps, loss } => {
            bar.set_length(steps as u64);
            bar.set_position(step as u64);
            bar.set_message(format!("LSTM autoencoder, loss {loss:.4}"));
        }
        TrainProgress::Calibrating => bar.set_message("thresholds"),
        TrainProgress::Verifying => bar.set_message("golden vectors"),
    }
}
