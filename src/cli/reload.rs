//! `anomalyd reload`: the running service reads its configuration and model again.

use std::process::ExitCode;

use clap::Args;

use super::service::{ServiceArgs, conclude};
use crate::control::Request;

#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    service: ServiceArgs,
}

/// # Errors
/// The service does not run, or may not be asked.
pub fn run(args: ReloadArgs) -> anyhow::Result<ExitCode> {
    conclude(&args.service.ask(&Request::Reload)?)
}
