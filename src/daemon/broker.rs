//! From a broker's settings to how it is reached, the same to read from it and to publish to it.

use crate::broker::{BrokerConfig, MqttTls};
use crate::config::{BrokerSettings, ConfigError, Mistake, Password};

/// `section` is where the settings stand, `source.mqtt`, and `name` tells this connection from the
/// appliance's others.
///
/// # Errors
/// The password cannot be read.
pub fn config(
    settings: &BrokerSettings,
    section: &str,
    name: &str,
) -> Result<BrokerConfig, ConfigError> {
    let password = settings.password.as_ref().map(Password::read).transpose();
    let password = password.map_err(|error| ConfigError {
        mistakes: vec![Mistake::error(
            &settings.place,
            format!("{section}.password_file"),
            format!("cannot be read: {error}"),
        )],
    })?;
    Ok(BrokerConfig {
        host: settings.host.clone(),
        port: settings.port,
        // Two appliances at one broker must not take the connection from each other.
        client_id: settings.client_id.clone().unwrap_or_else(|| {
            let host = host().unwrap_or_else(|| "appliance".to_owned());
            format!("anomalyd-{host}-{name}")
        }),
        username: settings.username.clone(),
        password,
        tls: settings.tls.then(|| MqttTls {
            ca_file: settings.ca_file.clone(),
        }),
        keep_alive: settings.keep_alive,
    })
}

/// What the machine calls itself.
pub fn host() -> Option<String> {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
}
