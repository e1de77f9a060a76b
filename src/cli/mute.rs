//! `anomalyd mute` and `anomalyd unmute`: a sensor or an alarm is kept quiet for a time.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::service::{ServiceArgs, conclude};
use crate::control::Request;

/// A mute that nobody remembers is a sensor that nobody watches.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

#[derive(Debug, Args)]
pub struct MuteArgs {
    /// A sensor's name, or an alarm's id
    #[arg(value_name = "SENSOR|ALARM_ID")]
    what: String,
    /// For how long: 30m, 2h, 3days; at most 30days
    #[arg(long = "for", value_name = "TIME", value_parser = how_long)]
    how_long: Duration,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub struct UnmuteArgs {
    /// A sensor's name, or an alarm's id
    #[arg(value_name = "SENSOR|ALARM_ID")]
    what: String,
    #[command(flatten)]
    service: ServiceArgs,
}

/// # Errors
/// The service does not run, or may not be asked.
pub fn run(args: MuteArgs) -> anyhow::Result<ExitCode> {
    let seconds = args.how_long.as_secs();
    let what = args.what;
    let answer = args.service.ask(&Request::Mute { what, seconds })?;
    conclude(&answer)
}

/// # Errors
/// The service does not run, or may not be asked.
pub fn end(args: UnmuteArgs) -> anyhow::Result<ExitCode> {
    let answer = args.service.ask(&Request::Unmute { what: args.what })?;
    conclude(&answer)
}

fn how_long(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) || time > LONGEST {
        return Err("must be from 1s to 30days".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sensible() {
        assert_eq!(how_long("2h"), Ok(Duration::from_secs(7_200)));
        for text in ["0s", "31days", "2", "for ever"] {
            assert!(how_long(text).is_err(), "{text}");
        }
    }
}
