//! `anomalyd model wrap`: a TorchScript module that was trained elsewhere becomes a model.

use std::path::PathBuf;

use clap::Args;

use crate::cli::normal::NormalArgs;
use crate::cli::print::{print, tell};
use crate::cli::train::progress::{Bar, Scratch};
use crate::cli::train::{place, summary};
use crate::model::manifest::HeadKind;
use crate::model::torchscript::DEFAULT_WINDOW;
use crate::model::{ModelFile, Network};
use crate::train::{TrainConfig, Trained, wrap};

const AFTER_HELP: &str = "\
forward(window) takes [B,T,F], each sensor standardised by its mean and
deviation in the recording, columns in the recording's order; it returns the
reconstruction [B,T,F], or a tuple of that and of an estimate [B,F] in which no
sensor sees itself (docs/model-format.md). Example:
  anomalyd model wrap module.pt --data normal.csv --out plant.pt";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct WrapArgs {
    /// The module, as torch.jit.save wrote it
    module: PathBuf,
    #[command(flatten)]
    normal: NormalArgs,
    /// Window length T, in samples [default: as the module says, else 10]
    #[arg(
        long,
        value_name = "T",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    window: Option<u16>,
}

/// Calibrates the module and writes the model.
///
/// # Errors
/// The module or the recording is unusable, or they do not fit each other; the module is foreign and
/// libtorch is missing; or the model cannot be written.
pub fn run(args: &WrapArgs) -> anyhow::Result<()> {
    let normal_args = &args.normal;
    let inputs = normal_args.inputs().chain([args.module.as_path()]);
    place::writable(&normal_args.out, inputs)?;
    let network = ModelFile::load_network(&args.module)?;
    tell(match &network {
        Network::GraphLstm(_) => {
            "the module is of the known architecture: it runs on both engines".to_owned()
        }
        Network::Foreign { class } => {
            format!("the module {class} is not the known architecture: it needs the torch engine")
        }
    });
    let of_module = match &network {
        Network::GraphLstm(network) => network.window,
        Network::Foreign { .. } => DEFAULT_WINDOW,
    };
    // Each column is an input of the module, also one without a value.
    let normal = normal_args.read(true)?;
    let config = TrainConfig {
        window: args.window.map_or(of_module, usize::from),
        ..normal_args.config(&normal)?
    };
    let scratch = Scratch::new()?;
    let bar = Bar::new();
    let wrapped = wrap(
        (&args.module, network),
        normal.data(),
        &config,
        scratch.path(),
        &mut |at| bar.show(at),
    );
    drop(bar);
    let wrapped = wrapped.map_err(|error| normal_args.in_context(error))?;
    let model = place::save(&wrapped, &normal_args.out)?;
    for caution in cautions(&wrapped) {
        tell(caution);
    }
    print(summary::text(&normal_args.out, &model, &wrapped))
}

fn cautions(wrapped: &Trained) -> Vec<String> {
    let manifest = &wrapped.model.manifest;
    let mut cautions = Vec::new();
    if manifest.heads.iter().any(|head| *head != HeadKind::Raw) {
        cautions.push(
            "caution: if the module was trained on these data, it knows them: its thresholds are \
             too low then; give it normal data that it has not seen"
                .to_owned(),
        );
    }
    // The mean itself has an error of 1.
    if let Some(loss) = manifest.training.loss.filter(|loss| *loss > 1.0) {
        cautions.push(format!(
            "caution: the module reconstructs these data worse than their mean would (squared \
             error {loss:.2}): was it trained on standardised values, in this order of columns?"
        ));
    }
    cautions
}
