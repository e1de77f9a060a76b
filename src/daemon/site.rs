//! The page's server, as the configuration in force asks for it. Where it cannot listen, the log says
//! so and the service runs without.

use std::path::Path;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::config::{Settings, WebSettings};
use crate::control::{Asked, Latencies, Status};
use crate::web::{Feed, Server, Snapshot, WebConfig};

pub struct Site {
    feed: Feed,
    /// To the control desk.
    asked: mpsc::Sender<Asked>,
    host: Option<String>,
    server: Option<Server>,
}

impl Site {
    pub fn new(feed: Feed, asked: mpsc::Sender<Asked>, host: Option<String>) -> Self {
        Site {
            feed,
            asked,
            host,
            server: None,
        }
    }

    /// Whether there is anybody to tell how things are.
    pub fn is_open(&self) -> bool {
        self.server.is_some()
    }

    /// Serves what `settings` ask for; what is the same goes on.
    pub async fn follow(&mut self, settings: &Settings) {
        let wanted = settings.web.enabled.then(|| self.config(settings));
        if self.server.as_ref().map(Server::config) == wanted.as_ref() {
            return;
        }
        self.close().await;
        let Some(config) = wanted else {
            return;
        };
        let listen = config.listen;
        let may_change = config.password.is_some();
        match Server::start(config, self.feed.clone(), self.asked.clone()) {
            Ok(server) => {
                let may = match may_change {
                    true => "the password of web.password_file lets alarms be answered",
                    false => "read-only",
                };
                log::info!(target: "web", "page and metrics at http://{}, {may}", server.address());
                self.server = Some(server);
            }
            Err(error) => log::error!(
                target: "web",
                "{listen}: no page and no metrics: {error} (web.listen)"
            ),
        }
    }

    fn config(&self, settings: &Settings) -> WebConfig {
        let web = &settings.web;
        WebConfig {
            listen: web.listen,
            password: password(web),
            hosts: web.hosts.clone(),
            host: self.host.clone(),
            state: Path::new(&settings.state_directory).to_owned(),
        }
    }

    pub fn tell(&self, status: Status, latencies: Latencies) {
        self.feed.snapshot(Snapshot {
            status,
            latencies,
            taken: Instant::now(),
        });
    }

    pub async fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }
}

/// An empty password is none: nobody may change anything.
fn password(web: &WebSettings) -> Option<String> {
    let password = web.password.as_ref()?;
    match password.read() {
        Ok(text) if !text.is_empty() => Some(text),
        Ok(_) => {
            log::error!(target: "web", "web.password_file is empty: the page is read-only");
            None
        }
        Err(error) => {
            log::error!(target: "web", "web.password_file: {error}: the page is read-only");
            None
        }
    }
}
