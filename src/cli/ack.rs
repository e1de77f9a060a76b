//! `anomalyd ack`: a person says what an alarm was.

use std::process::ExitCode;

use clap::Args;

use super::service::{ServiceArgs, conclude};
use crate::control::{Request, VerdictWord};

#[derive(Debug, Args)]
#[group(id = "verdict", required = true, args = ["real", "normal"])]
pub struct AckArgs {
    /// The alarm's id, as in the journal (a7k2)
    #[arg(value_name = "ALARM_ID")]
    alarm: String,
    /// Something was wrong: the alarm does not count as a false one
    #[arg(long)]
    real: bool,
    /// Nothing was wrong: it stays counted, and the bar for the next one is higher
    #[arg(long)]
    normal: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// # Errors
/// The service does not run, or may not be asked.
pub fn run(args: AckArgs) -> anyhow::Result<ExitCode> {
    let verdict = match args.real {
        true => VerdictWord::Real,
        false => VerdictWord::Normal,
    };
    let alarm = args.alarm;
    let answer = args.service.ask(&Request::Ack { alarm, verdict })?;
    conclude(&answer)
}
