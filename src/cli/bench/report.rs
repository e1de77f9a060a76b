//! `anomalyd bench report`: the HTML report of a result.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::write;
use crate::bench::{self, Outcome};

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The result, as `anomalyd bench run --out` wrote it
    result: PathBuf,
    /// The report to write
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

/// # Errors
/// The result cannot be read, or the report cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let outcome = Outcome::load(&args.result)?;
    write(&args.out, &bench::report::html(&outcome))?;
    Ok(ExitCode::SUCCESS)
}
