//! `anomalyd train`: from a recording of normal operation to a model file.

pub(super) mod place;
pub(super) mod progress;
pub(super) mod summary;

use anyhow::Context;
use clap::Args;

use self::progress::{Bar, Scratch};
use super::normal::{Normal, NormalArgs};
use super::print::{print, tell};
use crate::engine::EngineError;
use crate::engine::torch::trainer::Trainer;
use crate::learn::idle;
use crate::model::manifest::HeadKind;
use crate::train::{AutoencoderConfig, TrainConfig, train};

const AFTER_HELP: &str = "\
The recording must show normal operation only: what it holds is what will not
alarm. A day is little, a week is good. Without libtorch:
  anomalyd train --data normal.csv --heads neighbour,raw --out plant.pt
With everything, and at most one false alarm a week:
  anomalyd train --data normal.csv --max-false-alarms-per-week 1 --out plant.pt";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct TrainArgs {
    /// What judges: reconstruction (an LSTM autoencoder, which libtorch trains), neighbour (the
    /// sensor graph), raw (each sensor by itself)
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "reconstruction,neighbour,raw"
    )]
    heads: Vec<Head>,
    #[command(flatten)]
    normal: NormalArgs,

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
    /// One worker at a time, at the lowest priority, until standard input closes: how the service
    /// trains beside its work
    #[arg(long, hide = true)]
    background: bool,
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
    if args.background {
        for refused in idle::become_idle() {
            tell(format_args!("note: not granted: {refused}"));
        }
        idle::end_with_parent().context("cannot watch standard input")?;
    }
    // All that can fail early does, not after minutes of training.
    place::writable(&args.normal.out, args.normal.inputs())?;
    if args.heads.contains(&Head::Reconstruction) {
        Trainer::find(args.normal.torch_worker.as_deref()).map_err(how_to_do_without)?;
    }
    let normal = args.normal.read(false)?;
    let config = config(&args, &normal)?;
    let scratch = Scratch::new()?;
    let bar = Bar::new();
    let trained = train(normal.data(), &config, scratch.path(), &mut |at| {
        bar.show(at)
    });
    drop(bar);
    let trained = trained.map_err(|error| args.normal.in_context(error))?;
    let model = place::save(&trained, &args.normal.out)?;
    print(summary::text(&args.normal.out, &model, &trained))
}

fn config(args: &TrainArgs, normal: &Normal) -> anyhow::Result<TrainConfig> {
    // Asked twice, a head still speaks once; the order is the manifest's.
    let heads = [
        (Head::Reconstruction, HeadKind::Reconstruction),
        (Head::Neighbour, HeadKind::Neighbour),
        (Head::Raw, HeadKind::Raw),
    ];
    let wanted = heads
        .into_iter()
        .filter(|(head, _)| args.heads.contains(head));
    Ok(TrainConfig {
        heads: wanted.map(|(_, kind)| kind).collect(),
        window: usize::from(args.window),
        autoencoder: AutoencoderConfig {
            hidden: usize::from(args.hidden),
            layers: usize::from(args.layers),
            steps: args.steps.map(|steps| steps as usize),
            seed: args.seed,
            one_at_a_time: args.background,
            ..AutoencoderConfig::default()
        },
        ..args.normal.config(normal)?
    })
}

fn how_to_do_without(error: EngineError) -> anyhow::Error {
    anyhow::anyhow!(
        "libtorch trains the head reconstruction: {error}, or train without that head: --heads \
         neighbour,raw"
    )
}
