//! `anomalyd run`: the service in the foreground.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::DEFAULT_PATH;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration; its drop-ins are in the folder of the same name with .d at the end
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Root folder that full paths are taken from
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

/// # Errors
/// The configuration or the model is unusable, or a source failed for good.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    crate::daemon::run(&args.config, &args.root)?;
    Ok(ExitCode::SUCCESS)
}
