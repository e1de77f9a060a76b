//! The command line: parse, run the command, print what went wrong, exit with a status that
//! scripts can tell apart (2 usage, 65 bad data, 78 bad configuration, 1 anything else).

use std::process::ExitCode;

use anomalyd::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli::run(cli.command) {
        Ok(code) => code,
        Err(error) => cli::report(&error),
    }
}
