//! `anomalyd model export`: the model for runtimes other than ours. May import everything.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::cli::print::print;
use crate::cli::train::place::{Product, writable_as};
use crate::model::{ModelFile, Network, onnx};

const AFTER_HELP: &str = "\
The file takes windows of standardised values and returns what the model expects;
its properties have each sensor's mean and deviation. Scores, thresholds and alarms
are anomalyd's own and not in it (docs/model-format.md). Example:
  anomalyd model export --onnx plant.onnx plant.pt";

const ONNX: Product = Product {
    option: "--onnx",
    called: "an ONNX file of anomalyd's",
    start: onnx::START,
};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExportArgs {
    /// The model file
    model: PathBuf,
    /// Where the ONNX file goes; an earlier export is replaced, no other file
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
}

/// # Errors
/// The model cannot be read or is refused, it is a foreign module, or the file cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let out = &args.onnx;
    writable_as(&ONNX, out, [args.model.as_path()].into_iter())?;
    let model = ModelFile::load(&args.model)?;
    model.save_onnx(out)?;
    let (window, sensors) = (model.manifest.window, model.manifest.sensors.len());
    let mut outputs = format!("{} [batch,{window},{sensors}]", onnx::RECONSTRUCTION);
    if matches!(&model.network, Network::GraphLstm(network) if network.neighbour.is_some()) {
        outputs += &format!(", {} [batch,{sensors}]", onnx::NEIGHBOUR);
    }
    let bytes = fs::metadata(out).map_or(0, |file| file.len());
    print(format_args!(
        "written    {}: {} kB, ONNX operators of version {}\n\
         input      {} [batch,{window},{sensors}], standardised\n\
         outputs    {outputs}\n",
        out.display(),
        bytes.div_ceil(1000),
        onnx::OPSET,
        onnx::WINDOW,
    ))
}
