//! Whom a request may be from: names by which this server is known, and pages of its own. A page
//! from elsewhere whose name an attacker points at this machine (DNS rebinding) is refused.
//! Imports nothing of the crate.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};

/// Where a home or a plant has its names, none of which anybody can buy.
const LOCAL_ZONES: [&str; 4] = ["local", "lan", "internal", "home.arpa"];

/// The names that this server answers to.
#[derive(Debug, Clone)]
pub struct Names(Vec<String>);

impl Names {
    /// Those of the machine called `host`, and `more`.
    pub fn new(host: Option<&str>, more: &[String]) -> Self {
        let mut names = more.to_vec();
        if let Some(host) = host {
            let host = host.to_ascii_lowercase();
            let short = host.split('.').next().unwrap_or_default().to_owned();
            names.extend(LOCAL_ZONES.iter().map(|zone| format!("{short}.{zone}")));
            names.extend([short, host]);
        }
        names.retain(|name| !name.is_empty());
        Names(names)
    }

    /// Whether the request is for one of them. An address is always right: it cannot be pointed
    /// elsewhere.
    pub fn know(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        host.to_str().is_ok_and(|host| self.has(host))
    }

    fn has(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || name.parse::<IpAddr>().is_ok() || self.0.contains(&name)
    }
}

/// Whether a request that changes something comes from a page of ours, or from no page at all.
pub fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    let host = text(HOST.as_str()).unwrap_or_default();
    match text(ORIGIN.as_str()) {
        None => !headers.contains_key(ORIGIN),
        // A proxy in front may speak HTTPS.
        Some(origin) => ["http://", "https://"]
            .iter()
            .any(|scheme| origin.strip_prefix(scheme) == Some(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = hyper::header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn names_of_the_machine_are_known_and_others_are_not() {
        let names = Names::new(Some("Plant-Pi"), &["scada.example.org".to_owned()]);
        for host in [
            "plant-pi",
            "plant-pi:8080",
            "PLANT-PI.local.",
            "plant-pi.lan:80",
            "scada.example.org",
            "localhost:8080",
            "192.168.1.9:8080",
            "[fe80::1]:8080",
        ] {
            assert!(names.has(host), "{host}");
        }
        for host in [
            "",
            ":8080",
            "evil.example",
            "plant-pi.evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "[evil.example]:80",
            "plant-pi@evil.example",
        ] {
            assert!(!names.has(host), "{host}");
        }
        assert!(!names.know(&headers(&[])));
        assert!(!names.know(&headers(&[("host", "localhost"), ("host", "plant-pi")])));
    }

    #[test]
    fn only_our_own_pages_may_change_anything() {
        let own = |pairs| is_own(&headers(pairs));
        assert!(own(&[("host", "pi:8080")]));
        assert!(own(&[("host", "pi:8080"), ("origin", "http://pi:8080")]));
        assert!(own(&[
            ("host", "pi"),
            ("origin", "https://pi"),
            ("sec-fetch-site", "same-origin")
        ]));
        for pairs in [
            [("host", "pi:8080"), ("origin", "http://pi")],
            [("host", "pi:8080"), ("origin", "null")],
            [
                ("host", "pi:8080"),
                ("origin", "http://pi:8080.evil.example"),
            ],
            [("host", "pi:8080"), ("sec-fetch-site", "cross-site")],
            [("host", "pi:8080"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!is_own(&headers(&pairs)), "{pairs:?}");
        }
    }
}
