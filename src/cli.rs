//! One file a command; this one says which there are and how each kind of failure ends.
//!
//! May import everything.

pub mod check_config;
pub mod evaluate;
pub mod model;
pub mod recording;
pub mod replay;
pub mod run;
pub mod simulate;
pub mod train;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Bad data (`EX_DATAERR` of sysexits.h).
const EXIT_DATA: u8 = 65;
/// Bad configuration (`EX_CONFIG`).
const EXIT_CONFIG: u8 = 78;

/// Watches a plant's sensors and says, within milliseconds and without a cloud, that something is
/// wrong and which sensor it is.
#[derive(Debug, Parser)]
#[command(name = "anomalyd", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch live sources and raise alarms (what the service runs)
    Run(run::RunArgs),
    /// Name every mistake in a configuration, with file, line and key
    CheckConfig(check_config::CheckConfigArgs),
    /// Learn a model from a recording of normal operation
    Train(train::TrainArgs),
    /// What would have alarmed: run a recording through a model, as fast as it goes
    Replay(replay::ReplayArgs),
    /// Measure detection quality on a labelled recording
    Evaluate(evaluate::EvaluateArgs),
    /// Look into a model file, or check it on this machine
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// A water-treatment plant of our own: recordings with known faults, or a load generator
    Simulate(simulate::SimulateArgs),
}

/// Runs a command.
///
/// # Errors
/// Whatever stopped it, with context; [`report`] puts it into words and an exit status.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(args),
        Command::CheckConfig(args) => check_config::run(&args, &model::sensor_names),
        Command::Train(args) => train::run(args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(args).map(|()| ExitCode::SUCCESS),
        Command::Evaluate(args) => evaluate::run(args).map(|()| ExitCode::SUCCESS),
        Command::Model(command) => model::run(command),
        Command::Simulate(args) => simulate::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// Prints `error` with its causes on stderr and returns the exit status it calls for.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that went away (`| head`) is the reader's choice, not a failure to tell of.
    let io_errors = || {
        error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
    };
    if io_errors().any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Causes that the message before already quotes would only repeat it.
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    eprintln!("anomalyd: {text}");
    ExitCode::from(exit_status(error))
}

fn exit_status(error: &anyhow::Error) -> u8 {
    use crate::config::ConfigError;
    use crate::ingest::csv::CsvError;
    use crate::model::ModelError;
    use crate::pipeline::OpenError;
    use crate::score::evaluate::TruthError;
    use crate::train::{TopologyError, TrainError};

    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<TopologyError>() {
            return EXIT_CONFIG;
        }
        let of_train = match cause.downcast_ref::<TrainError>() {
            Some(TrainError::Topology(_)) => return EXIT_CONFIG,
            Some(TrainError::TooFewRows { .. } | TrainError::NoWindows { .. }) => true,
            _ => false,
        };
        let of_model = cause.is::<ModelError>()
            || matches!(
                cause.downcast_ref::<OpenError>(),
                Some(OpenError::Disagrees { .. })
            );
        let of_data =
            cause.is::<CsvError>() || cause.is::<TruthError>() || cause.is::<recording::Unfit>();
        if of_train || of_model || of_data {
            return EXIT_DATA;
        }
    }
    1
}

/// Whether to use colour and moving progress bars on stderr.
pub fn lively_stderr() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether `NO_COLOR` or a pipe asks for plain text on stdout.
pub fn plain_stdout() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !std::io::stdout().is_terminal()
}

/// A positive number, for clap.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("must be a number above 0".to_owned()),
    }
}

/// A time zone by its IANA name, for clap.
fn time_zone(text: &str) -> Result<jiff::tz::TimeZone, String> {
    if text.eq_ignore_ascii_case("utc") {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    jiff::tz::TimeZone::get(text)
        .map_err(|_| format!("{text:?} is not a time zone of this machine (Europe/Paris, UTC ...)"))
}

fn heads_text(heads: &[crate::model::manifest::HeadKind]) -> String {
    heads
        .iter()
        .map(|head| head.name())
        .collect::<Vec<_>>()
        .join(", ")
}
