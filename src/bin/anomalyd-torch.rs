//! The torch worker: the only program of the project that links libtorch. anomalyd starts it
//! (`engine::torch`); it is not meant to be called by hand.

#[path = "anomalyd-torch/bench.rs"]
mod bench;
#[path = "anomalyd-torch/memory.rs"]
mod memory;
#[path = "anomalyd-torch/parent.rs"]
mod parent;
#[path = "anomalyd-torch/serve.rs"]
mod serve;
#[path = "anomalyd-torch/train.rs"]
mod train;

use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tch::TchError;

/// Runs TorchScript models for anomalyd, and trains them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Score windows: binary frames on stdin and stdout.
    Serve {
        /// The model file.
        #[arg(long)]
        model: PathBuf,
        /// Frames in a window (T).
        #[arg(long)]
        window: u32,
        /// Sensors in a frame (F).
        #[arg(long)]
        sensors: u32,
        /// Threads that libtorch may use for one window.
        #[arg(long, default_value_t = 1)]
        threads: i32,
    },
    /// Run windows for scripts/compare-engines.sh: commands on stdin.
    #[command(hide = true)]
    Bench {
        /// The model file.
        #[arg(long)]
        model: PathBuf,
        /// Frames in a window (T).
        #[arg(long)]
        window: u32,
        /// Sensors in a frame (F).
        #[arg(long)]
        sensors: u32,
        /// The stream of frames.
        #[arg(long)]
        frames: PathBuf,
    },
    /// Train one autoencoder: progress as JSON lines on stdout.
    Train {
        /// The job, as JSON.
        #[arg(long)]
        spec: PathBuf,
        #[arg(long, default_value_t = 1)]
        threads: i32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // tch panics on what it holds to be impossible; one plain line serves the log better than a
    // backtrace of C++ frames.
    panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("unknown reason");
        eprintln!(
            "anomalyd-torch: internal error at {place}: {}",
            first_line(text)
        );
    }));
    let outcome = panic::catch_unwind(|| match arguments.command {
        Command::Serve {
            model,
            window,
            sensors,
            threads,
        } => serve::run(&model, window, sensors, threads),
        Command::Bench {
            model,
            window,
            sensors,
            frames,
        } => bench::run(&model, window, sensors, &frames),
        Command::Train { spec, threads } => train::run(&spec, threads),
    });
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(message)) => {
            eprintln!("anomalyd-torch: {message}");
            ExitCode::FAILURE
        }
        // The hook has said what it was.
        Err(_) => ExitCode::from(101),
    }
}

/// The line of libtorch's many that says what is wrong.
fn plain(error: &TchError) -> String {
    let text = error.to_string();
    text.lines()
        .find_map(|line| {
            line.split_once("Error: ")
                .map(|(_, reason)| reason.to_owned())
        })
        .unwrap_or_else(|| first_line(&text).to_owned())
}

fn first_line(text: &str) -> &str {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or(text)
}
