//! CPU time a window of the native engine, libtorch, tract and ONNX Runtime: same weights, same
//! windows, one run. `scripts/compare-engines.sh` sets up what this needs and calls it.
//!
//! Each engine is a process of its own (a *contender*), so that each has its own memory, and CPU time is
//! read from outside, the same way for all. Rounds are interleaved: every contender is measured for a
//! moment in turn, so that what else the machine does meets all of them alike. Before anything is
//! measured all must agree on golden and random windows.
//!
//! ```text
//! compare ── spawns ──► native, tract, worker      this program again, `contend`
//!    │                  in-process libtorch        `anomalyd-torch bench`
//!    │                  ONNX Runtime               `onnxruntime_contender.py`
//!    └─ table, verdict
//! ```

mod compare;
mod contend;
mod contender;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure all engines in turn and print the table
    Compare(CompareArgs),
    /// Be one of the engines that are measured
    #[command(hide = true)]
    Contend {
        engine: contend::Kind,
        #[command(flatten)]
        work: WorkArgs,
    },
}

#[derive(clap::Args)]
struct CompareArgs {
    /// The model file
    model: PathBuf,
    /// The torch worker, as scripts/build-torch.sh leaves it
    #[arg(long)]
    torch: PathBuf,
    /// A Python with onnxruntime and numpy, as scripts/python-env.sh leaves it
    #[arg(long)]
    python: PathBuf,
    /// The script that is ONNX Runtime's contender
    #[arg(long)]
    onnxruntime: PathBuf,
    /// Rounds, in each of which every engine is measured once
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// CPU time of an engine in a round, in milliseconds
    #[arg(long, default_value_t = 100)]
    moment: u64,
    /// Windows that are handed over together; the native engine streams only one at a time
    #[arg(long, default_value_t = 1)]
    batch: usize,
}

/// What every contender is told.
#[derive(clap::Args)]
struct WorkArgs {
    #[arg(long)]
    model: PathBuf,
    /// T
    #[arg(long)]
    window: usize,
    /// F
    #[arg(long)]
    sensors: usize,
    /// The stream, `[N,F]` little-endian float32
    #[arg(long)]
    frames: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Contend { engine, work } => {
            contend::run(engine, &work).map(|()| ExitCode::SUCCESS)
        }
    }
}
