//! A collector's address as it is written in the configuration. Imports nothing.

/// Where a collector is reached over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// What stands before `/v1/logs`, without a slash at its end: mostly nothing.
    pub path: String,
}

/// The port that collectors listen on for HTTP.
const PORT: u16 = 4318;

impl Endpoint {
    /// Reads `http://HOST:4318`.
    ///
    /// # Errors
    /// What is wrong with it, worded to follow the text in quotes.
    pub fn read(text: &str) -> Result<Endpoint, String> {
        let wrong = || {
            "is not a collector's address; write one like \"http://192.168.1.10:4318\"".to_owned()
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            "grpc" => {
                return Err(
                    "is for gRPC; write the collector's HTTP address, mostly with port 4318".into(),
                );
            }
            _ => return Err(wrong()),
        };
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if place.contains('@') {
            return Err("has a name or password in it; write them into headers_file".into());
        }
        let path = path.trim_end_matches('/');
        if let Some(base) = ["/v1/logs", "/v1/metrics"]
            .into_iter()
            .find_map(|end| path.strip_suffix(end))
        {
            return Err(format!(
                "ends in {}, which is added by itself; leave it out",
                &path[base.len()..]
            ));
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
        if !path.chars().all(is_plain) {
            return Err(wrong());
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (host, port)
            }
            None => match place.find(':') {
                Some(at) => place.split_at(at),
                None => (place, ""),
            },
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if !(1..=253).contains(&host.len()) || !host.chars().all(is_host) {
            return Err(wrong());
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => PORT,
            None => return Err(wrong()),
            Some("4317") => {
                return Err("has the port for gRPC; HTTP is mostly on 4318".into());
            }
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err("has no port from 1 to 65535".into()),
                Ok(port) => port,
            },
        };
        Ok(Endpoint {
            tls,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, tls, host, port, path) in [
            ("http://collector.local", false, "collector.local", 4318, ""),
            ("https://10.0.0.1:443/", true, "10.0.0.1", 443, ""),
            (
                "http://[fd00::1]:4319/otlp/",
                false,
                "fd00::1",
                4319,
                "/otlp",
            ),
            ("http://[fd00::1]", false, "fd00::1", 4318, ""),
        ] {
            let endpoint = Endpoint {
                tls,
                host: host.to_owned(),
                port,
                path: path.to_owned(),
            };
            assert_eq!(Endpoint::read(text), Ok(endpoint), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_remedy() {
        for (text, part) in [
            ("collector:4318", "write one like"),
            ("ftp://collector", "write one like"),
            ("http://", "write one like"),
            ("http://a b", "write one like"),
            ("http://[fd00::1", "write one like"),
            ("http://collector/x?y=1", "write one like"),
            ("http://user:word@collector", "headers_file"),
            ("http://collector:4318/v1/logs", "leave it out"),
            ("http://collector:4317", "gRPC"),
            ("http://collector:0", "port"),
            ("http://collector:99999", "port"),
            ("grpc://collector", "gRPC"),
        ] {
            let error = Endpoint::read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
