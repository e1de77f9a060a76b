//! `anomalyd provision`: takes over the file that a user put on an appliance's card.
//!
//! Imports `appliance`, and what verifies a model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::failure::Usage;
use super::print::print;
use crate::appliance::{self, Outcome, Places, Report, Steps};
use crate::config;
use crate::engine::torch::TorchConfig;
use crate::message::Message;
use crate::model::ModelFile;
use crate::pipeline::{EngineChoice, open_engine};

const AFTER_HELP: &str = "\
For the card images, which run it at every start before the network; what is
taken over is in force from the next start on.
Exit status: 0 taken over, or no file there; 78 the file is wrong, and nothing
was changed; 1 it could not be taken over.";

const NOT_LASTING: &str = "the data partition is not mounted, so that nothing would outlive a \
                           restart; the console of the start says why";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ProvisionArgs {
    /// Where the card's first partition is mounted
    #[arg(long, value_name = "FOLDER", default_value = "/boot")]
    boot: PathBuf,
    /// Root folder of another system, such as an image; --boot is in it
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

/// # Errors
/// The file is there and right, but could not be taken over.
pub fn run(args: &ProvisionArgs) -> anyhow::Result<ExitCode> {
    if !args.boot.is_absolute() {
        let why = format!("--boot {}: must be a full path", args.boot.display());
        return Err(Usage(why).into());
    }
    crate::logging::start(log::LevelFilter::Info);
    let places = Places {
        root: args.root.clone(),
        boot: args.boot.clone(),
    };
    let this_machine = args.root == Path::new("/");
    if this_machine && !lasting() {
        let outcome = appliance::decline(&places, NOT_LASTING)?;
        if let Outcome::Refused(report, _) = outcome {
            let line = &report.line;
            log::error!(target: "provision", MESSAGE_ID = Message::ProvisionRefused.id(); "{line}");
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
    match appliance::provision(&places, &verified, &mut Steps::unlimited())? {
        Outcome::Nothing => Ok(ExitCode::SUCCESS),
        Outcome::Removed => {
            log::info!(target: "provision", "what was taken over before is now removed from the card");
            Ok(ExitCode::SUCCESS)
        }
        Outcome::TakenOver(report, left) => {
            let Report { line, warnings, .. } = &report;
            log::info!(target: "provision", MESSAGE_ID = Message::Provisioned.id(); "{line}");
            for warning in warnings {
                log::warn!(target: "provision", "{warning}");
            }
            if this_machine {
                take_host_name();
            }
            match left {
                // The text says that it is removed.
                Some(error) => log::warn!(
                    target: "provision",
                    "{error}; until it is removed it is taken over again at every start"
                ),
                None => show(&report)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Refused(report, untold) => {
            let line = &report.line;
            log::error!(target: "provision", MESSAGE_ID = Message::ProvisionRefused.id(); "{line}");
            if let Some(error) = untold {
                log::warn!(target: "provision", "{error}");
            }
            show(&report)?;
            Ok(ExitCode::from(config::EXIT_STATUS))
        }
    }
}

/// The journal has its own lines; the text is for a person at a terminal.
fn show(report: &Report) -> anyhow::Result<()> {
    match systemd_journal_logger::connected_to_journal() {
        true => Ok(()),
        false => print(&report.text),
    }
}

/// Names the sensors of a model that this machine reproduces.
fn verified(path: &Path) -> Result<Vec<String>, String> {
    let model = ModelFile::load(path).map_err(|error| error.to_string())?;
    open_engine(&model, EngineChoice::Auto, &TorchConfig::default())
        .map_err(|error| error.to_string())?;
    Ok(model.manifest.sensor_names())
}

fn lasting() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo");
    mounts.is_ok_and(|text| appliance::outlives_restart(&text))
}

/// systemd read the file before it was written; the network is told this name.
fn take_host_name() {
    let taken = std::fs::read_to_string("/etc/hostname")
        .and_then(|name| Ok(nix::unistd::sethostname(name.trim())?));
    if let Err(error) = taken {
        log::warn!(target: "provision", "the host name is in force from the next start on: {error}");
    }
}
