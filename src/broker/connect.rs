//! Connection options for rumqttc, and its errors in words that name the remedy.
//! Imports its parent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rumqttc::{
    ConnectReturnCode, ConnectionError, MqttOptions, StateError, TlsConfiguration, TlsError,
    Transport,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{BrokerConfig, BrokerError, MqttTls};

/// The largest message taken. rumqttc's own limit of 10 KiB would end the connection at the device
/// list that Zigbee2MQTT publishes.
const PACKET_BYTES: usize = 1 << 20;
/// Where distributions keep the certificates they trust: Debian and Yocto, then Fedora.
const SYSTEM_CERTIFICATES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// A clean session with this broker.
///
/// # Errors
/// The CA file cannot be read or holds no certificate.
pub fn options(config: &BrokerConfig) -> Result<MqttOptions, BrokerError> {
    let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
    // rumqttc panics on less than a second; the protocol counts seconds in 16 bits.
    let keep_alive = config
        .keep_alive
        .clamp(Duration::from_secs(1), Duration::from_secs(65_535));
    options
        .set_keep_alive(keep_alive)
        .set_clean_session(true)
        .set_max_packet_size(PACKET_BYTES, PACKET_BYTES);
    if let Some(username) = &config.username {
        options.set_credentials(username, config.password.as_deref().unwrap_or_default());
    }
    if let Some(tls) = &config.tls {
        options.set_transport(tls_transport(tls)?);
    }
    Ok(options)
}

/// Whom TLS trusts, as PEM: those in `ca_file`, else the system's.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn authorities(ca_file: Option<&Path>) -> Result<Vec<u8>, BrokerError> {
    match ca_file {
        Some(path) => read_certificates(path),
        None => read_certificates(&system_certificates()),
    }
}

fn tls_transport(tls: &MqttTls) -> Result<Transport, BrokerError> {
    // Fails where one is installed already, by another source or by the daemon: just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = authorities(tls.ca_file.as_deref())?;
    Ok(Transport::tls_with_config(TlsConfiguration::Simple {
        ca,
        alpn: None,
        client_auth: None,
    }))
}

fn system_certificates() -> PathBuf {
    SYSTEM_CERTIFICATES
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .unwrap_or(Path::new(SYSTEM_CERTIFICATES[0]))
        .to_owned()
}

/// The contents of a PEM file with at least one certificate and no broken one.
fn read_certificates(path: &Path) -> Result<Vec<u8>, BrokerError> {
    let error = |reason: String| BrokerError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let pem = fs::read(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => error(
            "no such file; set ca_file to the server's CA certificate, or install ca-certificates"
                .to_owned(),
        ),
        _ => error(cause.to_string()),
    })?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|cause| error(format!("not a PEM file: {cause}")))?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err(error(
            "no certificate in it (a line -----BEGIN CERTIFICATE----- is expected)".to_owned(),
        ));
    }
    Ok(pem)
}

/// Why there is no connection to `broker`, and what to do about it.
pub fn reason(error: &ConnectionError, broker: &str) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => format!(
                "{broker} refused the login; check username and password_file, and that the broker knows this user"
            ),
            ConnectReturnCode::BadClientId => {
                format!("{broker} refused the client_id; set another one")
            }
            ConnectReturnCode::ServiceUnavailable => format!("{broker} is unavailable just now"),
            _ => format!("{broker} refused the connection ({code:?})"),
        },
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            format!("{broker} does not answer; check host, port and network")
        }
        ConnectionError::Tls(TlsError::NoValidCertInChain) => {
            format!("{broker}: ca_file holds no certificate that can be used")
        }
        ConnectionError::Tls(error) => format!(
            "{broker}: no secure connection ({error}); check that ca_file is the broker's CA and that host is the name in its certificate"
        ),
        ConnectionError::Io(error) => io_reason(error, broker),
        ConnectionError::MqttState(error) => match error {
            StateError::ConnectionAborted => closed(broker),
            StateError::AwaitPingResp => format!("{broker} went silent"),
            StateError::Io(error) => io_reason(error, broker),
            StateError::Deserialization(rumqttc::Error::Io(error)) => io_reason(error, broker),
            StateError::Deserialization(rumqttc::Error::PayloadSizeLimitExceeded(bytes)) => {
                format!(
                    "{broker} sent a message of {bytes} bytes, more than {PACKET_BYTES}; choose narrower topics"
                )
            }
            error => format!("{broker} broke the protocol ({error})"),
        },
        error => format!("{broker}: {error}"),
    }
}

fn closed(broker: &str) -> String {
    format!(
        "{broker} closed the connection (it also does so when another client has this client_id)"
    )
}

fn io_reason(error: &io::Error, broker: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nothing listens at {broker}; check host and port, and that the broker runs")
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe => closed(broker),
        // rustls tells of certificates by this kind.
        io::ErrorKind::InvalidData => format!(
            "{broker}: no secure connection ({error}); check that ca_file is the broker's CA and that host is the name in its certificate"
        ),
        _ => format!("{broker} cannot be reached: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_is_checked_before_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let message = |path: &Path| read_certificates(path).unwrap_err().to_string();
        assert!(message(&file).contains("ca.pem: no such file; set ca_file"));
        fs::write(&file, "hello").unwrap();
        assert!(message(&file).contains("no certificate in it"));
        fs::write(
            &file,
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(message(&file).contains("not a PEM file"));
        fs::write(
            &file,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(read_certificates(&file).is_ok());
    }

    #[test]
    fn errors_name_the_broker_and_the_remedy() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, part) in [
            (ConnectionError::Io(refused), "check host and port"),
            (ConnectionError::NetworkTimeout, "does not answer"),
            (
                ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized),
                "check username and password_file",
            ),
            (
                ConnectionError::MqttState(StateError::ConnectionAborted),
                "another client has this client_id",
            ),
        ] {
            let reason = reason(&error, "hub:1883");
            assert!(
                reason.contains("hub:1883") && reason.contains(part),
                "{reason}"
            );
        }
    }
}
