//! `anomalyd bench`: measure the service on this machine, compare two results, make a report. The
//! measuring is `crate::bench`.

mod compare;
mod report;
mod run;
mod table;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

pub use compare::Incomparable;

use super::failure::Unwritable;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Run the real service under load, and hold what is measured against the targets
    Run(Box<run::RunArgs>),
    /// Compare two results: has anything become slower or larger?
    Compare(compare::CompareArgs),
    /// Make the HTML report of a result
    Report(report::ReportArgs),
}

/// # Errors
/// As the command's own.
pub fn run(command: BenchCommand) -> anyhow::Result<ExitCode> {
    match command {
        BenchCommand::Run(args) => run::run(*args),
        BenchCommand::Compare(args) => compare::run(&args),
        BenchCommand::Report(args) => report::run(&args),
    }
}

/// Writes `text` to `path`, whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Unwritable> {
    use crate::simulate::record::Draft;
    use std::io::Write;
    let written = Draft::create(path).and_then(|mut draft| {
        draft.write_all(text.as_bytes())?;
        draft.finish()
    });
    written.map_err(|error| Unwritable(format!("{}: cannot be written: {error}", path.display())))
}
