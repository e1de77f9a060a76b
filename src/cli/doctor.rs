//! `anomalyd doctor`: the traps of this machine and this installation, a check each, with what to
//! do about those that fail.
//!
//! Reads files, and starts the engines as the service would; changes nothing. Imports `health`,
//! `config`, `model`, `pipeline` and `engine`.

mod engines;
mod host;
mod power;
mod settings;
mod state;
mod unit;
mod watchdog;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::print::{print, print_json};
use crate::config;

const AFTER_HELP: &str = "\
Exit status: 0 when no check fails, 1 when one does. Some files can be read by
root only: sudo anomalyd doctor.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// The configuration; its drop-ins are in the folder of the same name with .d at the end
    #[arg(long, value_name = "PATH", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Root folder of another system, such as an image, to check
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// A JSON array instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Fail,
    /// Cannot be told, or does not concern this machine.
    Skip,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; of failed checks.
    remedy: Option<String>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Check {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn skip(check: &'static str, found: impl Into<String>) -> Self {
        Check {
            verdict: Verdict::Skip,
            ..Check::ok(check, found)
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Check {
            verdict: Verdict::Fail,
            remedy: Some(remedy.into()),
            ..Check::ok(check, found)
        }
    }
}

const WIDTH: usize = 80;
/// Where the third column begins.
const TEXT_AT: usize = 25;

/// `FAIL  power supply       under-voltage since boot: use a 5.1 V 3 A supply`, and what is too
/// long for a line below it.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "skip",
        };
        let text = match &self.remedy {
            None => self.found.clone(),
            Some(remedy) => format!("{}: {remedy}", self.found),
        };
        let mut line = format!("{verdict:<4}  {:<17}  ", self.check);
        let mut column = TEXT_AT;
        for (index, word) in text.split_whitespace().enumerate() {
            let length = word.chars().count();
            // A path that is longer than a line stays whole: it is there to be copied.
            if index > 0 && column + 1 + length > WIDTH {
                writeln!(f, "{line}")?;
                line = " ".repeat(TEXT_AT);
                column = TEXT_AT;
            } else if index > 0 {
                line.push(' ');
                column += 1;
            }
            line.push_str(word);
            column += length;
        }
        writeln!(f, "{line}")
    }
}

/// # Errors
/// Standard output cannot be written.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let checks = checks(args);
    if args.json {
        print_json(&checks)?;
    } else {
        for check in &checks {
            print(check)?;
        }
        print(summary(&checks))?;
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn checks(args: &DoctorArgs) -> Vec<Check> {
    let root = args.root.as_path();
    let mut checks = unit::checks(root);
    checks.extend(power::checks(root));
    checks.extend(host::checks(root));
    checks.push(watchdog::check(root));
    let (of_settings, settings) = settings::check(&args.config, root);
    checks.push(of_settings);
    let zone = settings.as_ref().map(|settings| &settings.frame.zone);
    checks.push(host::time_zone(root, zone));
    checks.extend(state::checks(root, settings.as_ref()));
    match &settings {
        Some(settings) => checks.extend(engines::checks(root, settings)),
        None => checks.push(Check::skip("model", "not known: the configuration fails")),
    }
    checks
}

fn summary(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    format!(
        "{} ok, {} failed, {} skipped\n",
        count(Verdict::Ok),
        count(Verdict::Fail),
        count(Verdict::Skip)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_goes_on_below_where_it_is_longer() {
        let short = Check::ok("memory controller", "here");
        assert_eq!(short.to_string(), "ok    memory controller  here\n");
        let long = Check::fail(
            "power supply",
            "under-voltage since boot",
            "use a 5.1 V 3 A supply and a short cable",
        );
        assert_eq!(
            long.to_string(),
            "FAIL  power supply       under-voltage since boot: use a 5.1 V 3 A supply and a\n\
             \x20                        short cable\n"
        );
        let word = Check::skip("model", "x".repeat(90));
        assert_eq!(word.to_string().lines().count(), 1);
        assert_eq!(summary(&[short, long, word]), "1 ok, 1 failed, 1 skipped\n");
    }
}
