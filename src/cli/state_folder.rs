//! Where the service's state is: one set of options for all commands that read it.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, ConfigError, DEFAULT_PATH};

/// Where the service keeps its state unless the configuration says otherwise.
const DEFAULT_STATE: &str = "var/lib/anomalyd";

#[derive(Debug, Args)]
pub struct StateArgs {
    /// The folder of the service's state, instead of asking the configuration
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The service's configuration, which says where its state is [default: /etc/anomalyd/anomalyd.toml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Root folder that full paths are taken from
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

/// Where the state is, and where the service answers that may be using it: nowhere, if only a folder
/// is known.
pub struct StatePlace {
    pub folder: PathBuf,
    pub socket: Option<PathBuf>,
}

impl StateArgs {
    /// As the options and the configuration say.
    ///
    /// # Errors
    /// The configuration cannot be read or is wrong.
    pub fn certain(&self) -> Result<StatePlace, ConfigError> {
        if let Some(folder) = &self.state {
            return Ok(StatePlace {
                folder: folder.clone(),
                socket: None,
            });
        }
        let path = self.config.as_deref().unwrap_or(DEFAULT_PATH.as_ref());
        let (settings, _) = config::load(path, &self.root)?;
        Ok(StatePlace {
            folder: settings.state_directory,
            socket: Some(settings.control_socket),
        })
    }

    /// As [`StateArgs::certain`], for commands that change nothing: the usual configuration may be
    /// unreadable for this user, or be wrong just now, and the state is in the usual folder then.
    ///
    /// # Errors
    /// The configuration that was named cannot be read or is wrong.
    pub fn likely(&self) -> Result<StatePlace, ConfigError> {
        self.certain().or_else(|error| match self.config {
            Some(_) => Err(error),
            None => Ok(StatePlace {
                folder: self.root.join(DEFAULT_STATE),
                socket: None,
            }),
        })
    }
}
