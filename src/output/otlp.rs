//! Metrics, alarms and health events to an OpenTelemetry collector: OTLP 1.x over HTTP, in JSON.
//!
//! | path | what | while the collector is away |
//! |---|---|---|
//! | `/v1/logs` | each event of an alarm, each limit crossed | waits on disk, at least once, in order |
//! | `/v1/metrics` | the metrics of `/metrics`, every `metrics_every` | lost: the newest is what matters |
//!
//! Rules:
//! - One request at a time, on a connection and a thread of its own (`otlp`): nothing that it does holds
//!   up scoring.
//! - A record leaves the [`queue`](super::queue) when the collector has answered that it has it. It may come
//!   twice, then with the same `log.record.uid`.
//! - A collector that is busy (429, 502, 503, 504) says with `Retry-After` when to come again. One that
//!   refuses a request (400) gets its records one by one, and the one that it refuses is left out.
//!
//! Imports `alarm`, `frame`, `broker` (whom TLS trusts), `backoff`, `message`, `http`, `metrics`, and of the outputs `post`,
//! `store`, `queue`, `allowance` and `ids`.

mod exporter;
mod logs;
mod metrics;
mod request;
mod words;

pub(super) use exporter::Exporter;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::broker::{self, BrokerError};

#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    pub host: String,
    pub port: u16,
    /// What stands before `/v1/logs`.
    pub path: String,
    pub tls: Option<Tls>,
    pub headers: Vec<Header>,
    pub origin: Origin,
    /// Zero: never.
    pub metrics_every: Duration,
    pub queue_bytes: u64,
    pub catch_up_per_second: u32,
}

/// Who sends: the resource, in OpenTelemetry's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// By which appliances are told apart.
    pub instance: String,
    pub host: Option<String>,
    /// What the plant is called.
    pub plant: Option<String>,
}

/// Whom the connection trusts.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// Of the authorities that it was made from.
    digest: u64,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.digest).finish()
    }
}

/// A line of a request's head, whose value no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: HeaderName,
    value: HeaderValue,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

impl OtlpConfig {
    /// As it is written in the configuration, with the port.
    pub fn address(&self) -> String {
        let scheme = match self.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }

    /// Host and port.
    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Whom to trust: the authorities in `ca_file`, else the system's.
///
/// # Errors
/// The file cannot be read or holds no certificate that can be used.
pub fn tls(ca_file: Option<&Path>) -> Result<Tls, BrokerError> {
    let pem = broker::authorities(ca_file)?;
    let unusable = |reason: String| BrokerError::CaFile {
        path: ca_file.unwrap_or(Path::new("of the system")).to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    // The system's hold some that are too odd to be used.
    let (usable, _) =
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if usable == 0 {
        return Err(unusable("no certificate in it can be used".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut hasher = DefaultHasher::new();
    pem.hash(&mut hasher);
    Ok(Tls {
        config: Arc::new(config),
        digest: hasher.finish(),
    })
}

/// The headers in a file: `Name: value`, one a line.
///
/// # Errors
/// A line is none; what is in it is not told, for it may be a secret.
pub fn headers(text: &str) -> Result<Vec<Header>, String> {
    /// What we set ourselves.
    const OURS: [&str; 5] = [
        "host",
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
    ];
    let mut headers = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let header = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some(Header {
                name: HeaderName::from_bytes(name.trim().as_bytes()).ok()?,
                value,
            })
        });
        match header {
            Some(header) if !OURS.contains(&header.name.as_str()) => headers.push(header),
            Some(header) => {
                return Err(format!(
                    "line {} sets {}, which is set already; leave it out",
                    number + 1,
                    header.name
                ));
            }
            None => {
                return Err(format!(
                    "line {} is no header; write one like Authorization: Bearer …",
                    number + 1
                ));
            }
        }
    }
    match headers.is_empty() {
        true => Err("there is no header in it".to_owned()),
        false => Ok(headers),
    }
}

#[cfg(test)]
fn example() -> OtlpConfig {
    OtlpConfig {
        host: "127.0.0.1".to_owned(),
        port: 4318,
        path: String::new(),
        tls: None,
        headers: Vec::new(),
        origin: Origin {
            instance: "pi".to_owned(),
            host: Some("pi".to_owned()),
            plant: None,
        },
        metrics_every: Duration::from_secs(60),
        queue_bytes: 1 << 20,
        catch_up_per_second: 50,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_never_shown() {
        let read = headers("Authorization: Bearer s3cret\r\n\nx-scope: plant:1\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].value, "Bearer s3cret");
        assert_eq!(read[1].value, "plant:1");
        assert!(!format!("{read:?}").contains("s3cret"));
        for (text, part) in [
            ("s3cret", "line 1 is no header"),
            ("a: b\nc d: s3cret", "line 2 is no header"),
            ("Host: s3cret", "line 1 sets host"),
            ("\n", "no header"),
        ] {
            let error = headers(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_was_written() {
        let mut config = example();
        assert_eq!(config.address(), "http://127.0.0.1:4318");
        config.host = "fd00::1".to_owned();
        config.path = "/otlp".to_owned();
        assert_eq!(config.address(), "http://[fd00::1]:4318/otlp");
    }
}
