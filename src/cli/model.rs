//! `anomalyd model`: what is in a model file, whether this machine reproduces it, models of modules
//! from elsewhere, the way to other runtimes, and which model is in force.

mod export;
mod inspect;
mod install;
mod rollback;
mod verify;
mod wrap;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::model::ModelFile;

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// What is inside: sensors, heads, graph, thresholds, training
    Inspect(inspect::InspectArgs),
    /// Does this machine reproduce the golden vectors, on each engine?
    Verify(verify::VerifyArgs),
    /// Make a model of a TorchScript module that was trained elsewhere
    Wrap(Box<wrap::WrapArgs>),
    /// Write the model as an ONNX file, for other runtimes
    Export(export::ExportArgs),
    /// Put a model from elsewhere in force, once it is verified here
    Install(install::InstallArgs),
    /// Go back to the model that was in force before
    Rollback(rollback::RollbackArgs),
}

/// # Errors
/// The file cannot be read or is refused.
pub fn run(command: ModelCommand) -> anyhow::Result<ExitCode> {
    match command {
        ModelCommand::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS),
        ModelCommand::Verify(args) => verify::run(args),
        ModelCommand::Wrap(args) => wrap::run(&args).map(|()| ExitCode::SUCCESS),
        ModelCommand::Export(args) => export::run(&args).map(|()| ExitCode::SUCCESS),
        ModelCommand::Install(args) => install::run(&args).map(|()| ExitCode::SUCCESS),
        ModelCommand::Rollback(args) => rollback::run(&args).map(|()| ExitCode::SUCCESS),
    }
}

/// Names of a model file's sensors, or why it cannot be loaded; for `check-config`.
///
/// # Errors
/// The reason as text.
pub fn sensor_names(path: &Path) -> Result<Vec<String>, String> {
    let model = ModelFile::load(path).map_err(|error| error.to_string())?;
    Ok(model.manifest.sensor_names())
}
