//! What the commands share that talk to the running service: where it listens, and how a refusal ends.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::print::{print, tell};
use crate::config::{self, DEFAULT_CONTROL_SOCKET, DEFAULT_PATH};
use crate::control::{Answer, ControlError, Request, ask};

#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// The service's configuration, which says where it listens
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Root folder that full paths are taken from
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// Where the service listens, instead of what the configuration says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl ServiceArgs {
    /// Asks the service and waits for its answer.
    ///
    /// # Errors
    /// It does not run, or may not be asked.
    pub fn ask(&self, request: &Request) -> Result<Answer, ControlError> {
        ask(&self.socket(), request)
    }

    /// A configuration that cannot be read now, or not by this user, may still have been in order
    /// when the service started: then it listens at the usual place.
    fn socket(&self) -> PathBuf {
        if let Some(socket) = &self.socket {
            return socket.clone();
        }
        match config::load(&self.config, &self.root) {
            Ok((settings, _)) => settings.control_socket,
            Err(_) => self
                .root
                .join(DEFAULT_CONTROL_SOCKET.trim_start_matches('/')),
        }
    }
}

/// Prints what the service said; a refusal goes to stderr and is exit status 1.
///
/// # Errors
/// Standard output cannot be written.
pub fn conclude(answer: &Answer) -> anyhow::Result<ExitCode> {
    if answer.ok {
        print(format_args!("{}\n", answer.text))?;
        Ok(ExitCode::SUCCESS)
    } else {
        tell(&answer.text);
        Ok(ExitCode::FAILURE)
    }
}
