//! Reading the configuration again while the session goes on, one reading after the other.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::task::JoinHandle;

use super::prepare::Prepared;
use crate::systemd;

/// Reads the configuration again, on a thread of its own: a torch model may take seconds.
pub struct Reload {
    config: PathBuf,
    root: PathBuf,
    loading: Option<JoinHandle<anyhow::Result<Prepared>>>,
    /// Asked for again meanwhile: the file may have changed since it was read.
    again: bool,
}

impl Reload {
    pub fn new(config: &Path, root: &Path) -> Self {
        Reload {
            config: config.to_owned(),
            root: root.to_owned(),
            loading: None,
            again: false,
        }
    }

    pub fn is_under_way(&self) -> bool {
        self.loading.is_some()
    }

    pub fn ask(&mut self) {
        if self.loading.is_some() {
            self.again = true;
            return;
        }
        systemd::reloading();
        log::info!(target: "daemon", "reading {} again", self.config.display());
        let (config, root) = (self.config.clone(), self.root.clone());
        let load = move || Prepared::load(&config, &root);
        self.loading = Some(tokio::task::spawn_blocking(load));
    }

    /// What the loading gives, once there is any.
    pub async fn done(&mut self) -> anyhow::Result<Prepared> {
        let Some(loading) = &mut self.loading else {
            return std::future::pending().await;
        };
        let loaded = loading.await.context("reading the configuration broke");
        self.loading = None;
        loaded?
    }

    /// Whether it has to be done once more; then it is begun.
    pub fn again(&mut self) -> bool {
        let again = std::mem::take(&mut self.again);
        if again {
            self.ask();
        }
        again
    }
}
