//! What the MQTT source and the MQTT output share: how a broker is reached, when it is tried again,
//! and its errors in words that name the remedy. Imports nothing.

mod connect;

pub use connect::{authorities, options, reason};

use std::path::PathBuf;
use std::time::Duration;

/// How a broker is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    pub host: String,
    pub port: u16,
    /// Must be the only one with this id at the broker: a second one takes the connection over.
    pub client_id: String,
    pub username: Option<String>,
    pub password: Option<String>,
    pub tls: Option<MqttTls>,
    /// At least a second; a dead connection is noticed within twice this time.
    pub keep_alive: Duration,
}

// Written out so that no log line or panic message ever holds the password.
impl std::fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("tls", &self.tls)
            .field("keep_alive", &self.keep_alive)
            .finish()
    }
}

/// How the broker's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttTls {
    /// PEM file with the certificates to trust; without one, the system's.
    pub ca_file: Option<PathBuf>,
}

/// What keeps a connection from being tried at all.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("CA file {}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
}
