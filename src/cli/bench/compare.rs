//! `anomalyd bench compare`: two results, the seed's ratios, exit status 1 on a regression.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use crate::bench::compare::{Change, changes, obstacles};
use crate::bench::{Better, Outcome, short};
use crate::cli::print::{print, tell};
use crate::message::Message;

const AFTER_HELP: &str = "\
A regression: memory above 1.1 times the base's, mean latency 1.2, CPU 1.15, or
a throughput below 0.9 times. It is also logged, to the journal where this runs
from a unit.

Exit status: 0 when nothing regressed, 1 when something did, 65 when the results
cannot be compared.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CompareArgs {
    /// Result of before
    base: PathBuf,
    /// Result of now
    current: PathBuf,
    /// Compare what differs in machine, engine or model, or was throttled or uncapped
    #[arg(long)]
    anyway: bool,
}

/// Two results of different things.
#[derive(Debug, thiserror::Error)]
#[error("{0}; --anyway compares nonetheless")]
pub struct Incomparable(String);

/// # Errors
/// A result cannot be read, or they are of different things.
pub fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let (base, current) = (Outcome::load(&args.base)?, Outcome::load(&args.current)?);
    let obstacles = obstacles(&base, &current);
    if args.anyway {
        for obstacle in &obstacles {
            tell(format_args!("warning: {obstacle}"));
        }
    } else {
        ensure!(
            obstacles.is_empty(),
            Incomparable(format!(
                "the results cannot be compared: {}",
                obstacles.join("; ")
            ))
        );
    }
    let changes = changes(&base, &current);
    ensure!(
        !changes.is_empty(),
        Incomparable("the results have no figure in common".to_owned())
    );
    let mut text = format!(
        "{:<8} {:<22} {:>12} {:>12} {:>7}  {}\n",
        "engine", "metric", "before", "now", "ratio", "limit"
    );
    changes
        .iter()
        .for_each(|change| text.push_str(&row(change)));
    print(text)?;
    let regressed: Vec<String> = changes
        .iter()
        .filter(|one| one.regressed)
        .map(told)
        .collect();
    if regressed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    crate::logging::start(log::LevelFilter::Info);
    log::error!(
        target: "bench",
        MESSAGE_ID = Message::Regressed.id();
        "performance regressed: {}", regressed.join("; ")
    );
    Ok(ExitCode::FAILURE)
}

fn row(change: &Change) -> String {
    let bound = match change.better {
        Better::Lower => "<=",
        Better::Higher => ">=",
    };
    let word = match change.regressed {
        true => "REGRESSED",
        false => "ok",
    };
    format!(
        "{:<8} {:<22} {:>12} {:>12} {:>7.3}  {bound} {:<5} {word}\n",
        change.engine,
        change.metric,
        short(change.base),
        short(change.current),
        change.ratio,
        change.limit,
    )
}

fn told(change: &Change) -> String {
    format!(
        "{} {} {} before, {} {} now",
        change.engine,
        change.metric,
        short(change.base),
        short(change.current),
        change.unit
    )
}
