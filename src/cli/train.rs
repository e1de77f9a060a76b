//! `anomalyd train`: from a recording of normal operation to a model file.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lively_stderr;
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::frame::format_span;
use crate::ingest::csv::{BadValues, CsvOptions, Table, read_table};
use crate::model::ModelFile;
use crate::model::manifest::HeadKind;
use crate::score::threshold::Thresholds;
use crate::train::{
    AutoencoderConfig, NormalData, Topology, TrainConfig, TrainProgress, Trained, train,
};

#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Recording of normal operation: CSV, a time column and one column a sensor
    #[arg(long, value_name = "CSV")]
    data: PathBuf,
    /// Where to write the model
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What judges: `reconstruction` (an LSTM autoencoder, needs libtorch to train), `neighbour`
    /// (the sensor graph) and `raw`
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "reconstruction,neighbour,raw"
    )]
    heads: Vec<Head>,
    /// Which sensors may explain each other (docs/model-format.md)
    #[arg(long, value_name = "TOML")]
    graph: Option<PathBuf>,
    /// The promise: at most this many false alarms a week
    #[arg(long, value_name = "N", default_value = "7", value_parser = super::positive)]
    max_false_alarms_per_week: f64,
    /// Sampling period; default: the median step of the recording
    #[arg(long, value_parser = humantime::parse_duration)]
    period: Option<std::time::Duration>,
    /// Window length T of the autoencoder, in samples
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1024))]
    window: u16,
    /// Hidden width H of the autoencoder
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    hidden: u16,
    /// Stacked LSTM layers of encoder and decoder each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    layers: u8,
    /// Updates of the weights a fit; there are four fits (three folds, and the final one); default:
    /// 1000 to 4000, as the number of rows calls for
    #[arg(long)]
    steps: Option<u32>,
    /// Where all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name of the plant or line; default: the name of the recording
    #[arg(long)]
    name: Option<String>,
    /// Version of the model, free text
    #[arg(long, default_value = "1")]
    model_version: String,
    /// Units of the sensors, CSV with columns sensor,unit
    #[arg(long, value_name = "CSV")]
    units: Option<PathBuf>,
    /// Zone of times without an offset
    #[arg(long, default_value = "UTC", value_parser = super::time_zone)]
    zone: jiff::tz::TimeZone,
    /// Treat values that are not numbers as missing, instead of refusing the recording
    #[arg(long)]
    skip_bad_values: bool,
    /// The torch worker; default: found beside this program or in PATH
    #[arg(long, value_name = "PROGRAM")]
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
    let bad = if args.skip_bad_values {
        BadValues::Missing
    } else {
        BadValues::Reject
    };
    let options = CsvOptions {
        zone: args.zone.clone(),
        bad,
    };
    let table = read_table(&args.data, options).map_err(|error| match error.is_row() {
        // What a person can do about a bad row is different for `train` than for `replay`.
        true => anyhow::Error::new(error)
            .context("training data must be sound: mend the row, or give --skip-bad-values"),
        false => anyhow::Error::new(error),
    })?;
    for line in table.rejected.lines() {
        eprintln!("warning: {line}");
    }
    let units = super::recording::units(args.units.as_deref(), &table.sensors)?;
    let config = config(&args, &table)?;
    let data = NormalData {
        sensors: &table.sensors,
        units: &units,
        times: &table.times,
        values: &table.values,
    };
    eprintln!(
        "learning from {}: {} rows, {} sensors, {} period",
        args.data.display(),
        table.rows(),
        table.sensors.len(),
        humantime::format_duration(std::time::Duration::from_nanos(
            config.align.period_nanos.unsigned_abs()
        )),
    );
    let scratch = Scratch::new()?;
    let bar = progress_bar();
    let trained = train(data, &config, &scratch.0, &mut |at| show(&bar, at));
    bar.finish_and_clear();
    let trained = trained.with_context(|| args.data.display().to_string())?;
    trained.model.save(&args.out)?;
    // Read back what was written: a model is only done when it loads.
    let model = ModelFile::load(&args.out)?;
    summarise(&args, &model, &trained);
    Ok(())
}

fn config(args: &TrainArgs, table: &Table) -> anyhow::Result<TrainConfig> {
    let period_nanos = match args.period {
        Some(period) => i64::try_from(period.as_nanos()).context("--period is too long")?,
        None => table
            .median_step()
            .filter(|step| *step > 0)
            .context("the recording has no two rows with different times: give --period")?,
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
            steps: args.steps.map(|steps| steps.max(1) as usize),
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

fn summarise(args: &TrainArgs, model: &ModelFile, trained: &Trained) {
    let manifest = &model.manifest;
    let budget = manifest.max_false_alarms_per_week;
    println!(
        "learned from {}: at most {budget} false alarm{} a week",
        format_span(manifest.training.span_seconds),
        if budget == 1.0 { "" } else { "s" },
    );
    println!("  heads      {}", super::heads_text(&manifest.heads));
    println!(
        "  graph      {} edges between {} sensors",
        manifest.edges.len(),
        manifest.sensors.len()
    );
    if let Some(loss) = manifest.training.loss {
        println!("  loss       {loss:.4} (mean squared reconstruction error, standardised)");
    }
    for n in [1.0, 7.0] {
        let thresholds = Thresholds::for_budget(&manifest.charts, n);
        println!(
            "  N = {n}      thresholds {:.3} (many sensors or fast) and {:.1} (one sensor, slow); \
             would have raised {}",
            thresholds.a,
            thresholds.b,
            super::recording::preview(&trained.calibration, thresholds),
        );
    }
    let weeks = manifest.training.span_seconds / (7.0 * 86_400.0);
    let expected_peaks = budget * weeks;
    if expected_peaks < 3.0 {
        println!(
            "  caution    {} is short for a promise of {budget} a week: thresholds are \
             extrapolated; retrain when there is more",
            format_span(manifest.training.span_seconds),
        );
    }
    match &trained.without_torch {
        None => println!(
            "  verified   native engine and libtorch agree on {} golden vectors",
            model.golden.count
        ),
        Some(reason) => println!("  verified   native engine only ({reason})"),
    }
    println!(
        "wrote {}; next: anomalyd replay --model {} RECORDING.csv",
        args.out.display(),
        args.out.display()
    );
}
