//! One file a command; this one says which there are, and what they share on the command line.
//!
//! May import everything.

pub mod ack;
pub mod bench;
pub mod check_config;
pub mod doctor;
pub mod ended;
pub mod evaluate;
pub mod explain;
pub mod failure;
pub mod history;
pub mod judge;
pub mod model;
pub mod mute;
pub mod normal;
pub mod print;
pub mod provision;
pub mod queue;
pub mod recording;
pub mod reload;
pub mod replay;
pub mod run;
pub mod service;
pub mod simulate;
pub mod state_folder;
pub mod status;
pub mod train;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

pub use failure::report;

/// More than one a second is no promise.
const MOST_FALSE_ALARMS: f64 = 604_800.0;

const AFTER_HELP: &str = "\
Try it without a plant of your own:
  anomalyd simulate --seed 1 --duration 24h --period 5s --out normal.csv
  anomalyd simulate --seed 2 --duration 6h --period 5s --random-faults 5 --out test.csv
  anomalyd train --data normal.csv --heads neighbour,raw --out plant.pt
  anomalyd replay --model plant.pt test.csv

Exit status: 0 done, 2 wrong use, 65 bad data, 78 bad configuration, 1 else.";

/// Watches a plant's sensors and says, within milliseconds and without a cloud, that something is
/// wrong and which sensor it is.
#[derive(Debug, Parser)]
#[command(name = "anomalyd", version, max_term_width = 80, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch live sources and raise alarms (what the service runs)
    Run(run::RunArgs),
    /// Show how the running service is
    Status(status::StatusArgs),
    /// Say what an alarm was: real, or normal operation
    Ack(ack::AckArgs),
    /// Keep a sensor or an alarm quiet for a time
    Mute(mute::MuteArgs),
    /// End a mute
    Unmute(mute::UnmuteArgs),
    /// Have the running service read its configuration and model again
    Reload(reload::ReloadArgs),
    /// Name every mistake in a configuration, with file, line and key
    CheckConfig(check_config::CheckConfigArgs),
    /// Check this machine and installation for known traps, with what to do
    Doctor(doctor::DoctorArgs),
    /// Learn a model from a recording of normal operation
    Train(Box<train::TrainArgs>),
    /// Show what a recording would have raised
    Replay(replay::ReplayArgs),
    /// Say of an alarm what was seen, what was expected and why, and what to do
    Explain(explain::ExplainArgs),
    /// Show scores and sensors of the last days, as the service has kept them
    History(history::HistoryArgs),
    /// Measure detection quality on a labelled recording
    Evaluate(evaluate::EvaluateArgs),
    /// Check or repair what waits for a broker
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Look into a model file, check it on this machine, or make one of your own module
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Measure speed and thrift of the service on this machine, and compare results
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Journal how the service ended (for its unit)
    #[command(hide = true)]
    Ended(ended::EndedArgs),
    /// Take over the file on an appliance's card (for its unit)
    #[command(hide = true)]
    Provision(provision::ProvisionArgs),
    /// Make recordings of a simulated plant, with known faults, or a live load
    Simulate(simulate::SimulateArgs),
}

/// Runs a command.
///
/// # Errors
/// Whatever stopped it, with context; [`report`] puts it into words and an exit status.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(args),
        Command::Ack(args) => ack::run(args),
        Command::Mute(args) => mute::run(args),
        Command::Unmute(args) => mute::end(args),
        Command::Reload(args) => reload::run(args),
        Command::CheckConfig(args) => check_config::run(&args, &model::sensor_names),
        Command::Doctor(args) => doctor::run(&args),
        Command::Train(args) => train::run(*args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(args).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => explain::run(&args).map(|()| ExitCode::SUCCESS),
        Command::History(args) => history::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Evaluate(args) => evaluate::run(args).map(|()| ExitCode::SUCCESS),
        Command::Queue(command) => queue::run(command),
        Command::Model(command) => model::run(command),
        Command::Bench(command) => bench::run(command),
        Command::Ended(args) => ended::run(&args),
        Command::Provision(args) => provision::run(&args),
        Command::Simulate(args) => simulate::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// Whether moving progress bars make sense on stderr.
pub fn lively_stderr() -> bool {
    std::io::stderr().is_terminal()
}

/// False alarms a week, for clap.
fn budget(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= MOST_FALSE_ALARMS => Ok(number),
        _ => Err(format!(
            "must be a number above 0, at most {MOST_FALSE_ALARMS}"
        )),
    }
}

/// A sampling period, for clap: above zero, and in nanoseconds no more than an `i64` holds.
fn period(text: &str) -> Result<Duration, String> {
    let period = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if period.is_zero() || i64::try_from(period.as_nanos()).is_err() {
        return Err("must be above 0s and below 292 years".to_owned());
    }
    Ok(period)
}

/// `period` in nanoseconds; [`period`] has seen that it fits.
fn nanos(period: Duration) -> i64 {
    i64::try_from(period.as_nanos()).unwrap_or(i64::MAX)
}

/// A time zone by its IANA name, for clap.
fn time_zone(text: &str) -> Result<jiff::tz::TimeZone, String> {
    if text.eq_ignore_ascii_case("utc") {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    jiff::tz::TimeZone::get(text)
        .map_err(|_| format!("{text:?} is not a time zone of this machine (Europe/Paris, UTC ...)"))
}

/// Some text, for clap.
fn not_empty(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must not be empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn heads_text(heads: &[crate::model::manifest::HeadKind]) -> String {
    let names: Vec<&str> = heads.iter().map(|head| head.name()).collect();
    names.join(", ")
}

/// `1 sensor`, `2 sensors`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_its_help_fits_a_terminal() {
        let mut command = Cli::command().term_width(80);
        command.build();
        let mut todo = vec![command];
        while let Some(mut command) = todo.pop() {
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    // An example that is copied must stay one line.
                    let example = line.starts_with("  anomalyd ");
                    assert!(example || line.chars().count() <= 80, "{line}");
                    assert!(line.chars().count() <= 100, "{line}");
                }
            }
            todo.extend(command.get_subcommands().cloned());
        }
        Cli::command().debug_assert();
    }

    #[test]
    fn periods_are_above_zero_and_fit() {
        assert_eq!(period("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["0s", "5", "300years", "-1s", ""] {
            assert!(period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn budgets_are_numbers_above_zero() {
        assert_eq!(budget("0.5"), Ok(0.5));
        for text in ["0", "-1", "nan", "inf", "1e300", "seven"] {
            assert!(budget(text).is_err(), "{text}");
        }
    }
}
