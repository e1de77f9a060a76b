//! The table `[appliance]` of the file on a card: what the machine itself is told, beside what the
//! service reads. Imports its sibling modules only.

mod ssh_key;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::fragment;
use super::key::{Key, Presence, Shape, key};
use super::mistake::{Mistake, Place};
use super::rules::{self, Rule};
use super::value::{Base, Section, Value, quote};

/// The table's name.
pub const TABLE: &str = "appliance";

/// What an appliance is called that was told nothing else.
pub const HOSTNAME: &str = "anomalyd";

/// The table's keys.
#[rustfmt::skip]
pub const APPLIANCE: &[Key] = &[
    key("hostname", Shape::Text(HOST_LABEL), Presence::Default("\"anomalyd\""),
        "What the appliance is called in the network."),
    key("ssh_keys", Shape::Texts(ssh_key::SSH_KEY), Presence::Optional("none: SSH is off"),
        "Public keys that may log in as root. There is no password."),
    key("ntp", Shape::Texts(rules::HOST), Presence::Optional("the system's"),
        "Where the time comes from."),
    key("timezone", Shape::Text(rules::ZONE), Presence::Optional("UTC"),
        "The time zone of the system's clock and its journal; that of the data is `frame.zone`."),
    key("address", Shape::Text(ADDRESS), Presence::Optional("from DHCP"),
        "A fixed address of the Ethernet port, with the length of its network's prefix."),
    key("gateway", Shape::Text(IP), Presence::Optional("from DHCP, or none"),
        "The way out of the local network; with `address` only."),
    key("dns", Shape::Texts(IP), Presence::Optional("from DHCP, or none"),
        "Name servers."),
];

const FILE: &[Key] = &[key(
    TABLE,
    Shape::Table(APPLIANCE),
    Presence::Optional("as it was"),
    "What the machine itself is told.",
)];

const HOST_LABEL: Rule = Rule {
    what: "a host name",
    check: |text| {
        if text.contains('.') {
            return Err("has a dot; write the name alone, for the network knows its domain".into());
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let edge = text.starts_with('-') || text.ends_with('-');
        if (1..=63).contains(&text.len()) && text.bytes().all(plain) && !edge {
            Ok(())
        } else {
            Err(
                "is not a host name; use 1 to 63 of the characters a-z A-Z 0-9 -, and no - at \
                 either end"
                    .into(),
            )
        }
    },
};

const IP: Rule = Rule {
    what: "an IP address",
    check: |text| ip(text).map(|_| ()),
};

const ADDRESS: Rule = Rule {
    what: "an address with its prefix",
    check: |text| address(text).map(|_| ()),
};

fn ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text
        .parse()
        .map_err(|_| "is not an IP address; write one like \"192.168.1.1\"".to_owned())?;
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
        return Err("is no address of a machine in a network".into());
    }
    Ok(ip)
}

/// `192.168.1.20/24`
fn address(text: &str) -> Result<(IpAddr, u8), String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(
            "has no prefix; write it like \"192.168.1.20/24\" (24 is the netmask 255.255.255.0)"
                .into(),
        );
    };
    let address = ip(address)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix
        .parse()
        .ok()
        .filter(|prefix| (1..=bits).contains(prefix));
    let Some(prefix) = prefix else {
        return Err(format!(
            "has a prefix that is not a number from 1 to {bits}"
        ));
    };
    if let IpAddr::V4(address) = address {
        let host = u32::from(address) & host_mask(prefix);
        if prefix < 31 && (host == 0 || host == host_mask(prefix)) {
            return Err("is the address of the network itself; write that of one machine".into());
        }
    }
    Ok((address, prefix))
}

/// The bits of an IPv4 address that tell machines of one network apart.
fn host_mask(prefix: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

/// Whether two addresses are in one network.
fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)) & !host_mask(prefix) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = u128::from(a) ^ u128::from(b);
            // A router is often known by its address on the link alone.
            b.is_unicast_link_local() || differ >> (128 - u32::from(prefix)) == 0
        }
        _ => false,
    }
}

/// What the machine is told, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplianceSettings {
    pub hostname: String,
    /// Lines of `authorized_keys`.
    pub ssh_keys: Vec<String>,
    /// Empty: the system's.
    pub ntp: Vec<String>,
    /// By its name in the database; `None` is UTC.
    pub timezone: Option<String>,
    /// `None`: DHCP.
    pub address: Option<FixedAddress>,
    pub dns: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedAddress {
    pub address: IpAddr,
    pub prefix: u8,
    pub gateway: Option<IpAddr>,
}

/// Reads a text that holds the table and nothing else. `None` when it does not.
pub fn read(text: &str, file: &Path) -> (Option<ApplianceSettings>, Vec<Mistake>) {
    let file: Arc<Path> = file.into();
    // The table has no paths.
    let base = Base {
        root: "/".into(),
        folder: "/".into(),
    };
    let parsed = fragment::parse_keys(FILE, text, &file, &base);
    let mut mistakes = parsed.mistakes;
    let settings = match parsed.section.entries.get(TABLE).map(|entry| &entry.value) {
        Some(Value::Section(section)) => Some(build(section, &mut mistakes)),
        _ => None,
    };
    // Whatever else a line that is not TOML seems to say was not meant.
    mistakes.retain(|mistake| {
        let broken = mistake
            .line
            .is_some_and(|l| parsed.broken_lines.contains(&l));
        mistake.key.is_empty() || !broken
    });
    (settings, mistakes)
}

fn build(section: &Section, mistakes: &mut Vec<Mistake>) -> ApplianceSettings {
    let text = |key: &str| match section.entries.get(key).map(|entry| &entry.value) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let texts = |key: &str| match section.entries.get(key).map(|entry| &entry.value) {
        Some(Value::Texts(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let gateway = text("gateway").and_then(|text| ip(&text).ok());
    let fixed = text("address").and_then(|text| address(&text).ok());
    let fixed = fixed.map(|(address, prefix)| FixedAddress {
        address,
        prefix,
        gateway,
    });
    let settings = ApplianceSettings {
        hostname: text("hostname").unwrap_or_else(|| HOSTNAME.to_owned()),
        ssh_keys: texts("ssh_keys"),
        ntp: texts("ntp"),
        timezone: text("timezone").and_then(|name| zone(&name)),
        address: fixed,
        dns: texts("dns").iter().filter_map(|t| t.parse().ok()).collect(),
    };
    if let Some(entry) = section.entries.get("gateway") {
        let why = no_gateway(section, fixed.as_ref());
        mistakes.extend(why.map(|why| wrong(&entry.place, "gateway", why)));
    }
    if let (Some(entry), Some(_)) = (section.entries.get("address"), &fixed) {
        let by_name = |host: &String| host.parse::<IpAddr>().is_err();
        if settings.dns.is_empty()
            && !section.rejected.contains("dns")
            && (settings.ntp.is_empty() || settings.ntp.iter().any(by_name))
        {
            let why = "without `dns` no name is found, not those of time servers either; add \
                       dns = [\"…\"], or ntp = [\"…\"] with addresses";
            mistakes.push(Mistake::warning(&entry.place, full("address"), why));
        }
    }
    settings
}

/// The name as the database has it; UTC needs none.
fn zone(name: &str) -> Option<String> {
    let zone = jiff::tz::TimeZone::get(name).ok()?;
    let name = zone.iana_name().unwrap_or(name);
    (!matches!(name, "UTC" | "Etc/UTC")).then(|| name.to_owned())
}

/// Why the gateway cannot be one.
fn no_gateway(section: &Section, fixed: Option<&FixedAddress>) -> Option<String> {
    let Some(fixed) = fixed else {
        let given = section.rejected.contains("address");
        return (!given).then(|| {
            "is used with a fixed address only, for DHCP brings its own; add address = \"…\" or \
             leave it out"
                .to_owned()
        });
    };
    let gateway = fixed.gateway?;
    let shown = quote(&gateway.to_string());
    if gateway == fixed.address {
        Some(format!(
            "{shown} is the appliance's own address; write the router's"
        ))
    } else if !same_network(fixed.address, gateway, fixed.prefix) {
        Some(format!(
            "{shown} is not in the network of {}/{}; correct one of the two",
            fixed.address, fixed.prefix
        ))
    } else {
        None
    }
}

fn full(key: &str) -> String {
    format!("{TABLE}.{key}")
}

fn wrong(place: &Place, key: &str, why: String) -> Mistake {
    Mistake::error(place, full(key), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop";

    fn read_text(text: &str) -> (Option<ApplianceSettings>, Vec<String>) {
        let (settings, mistakes) = read(text, Path::new("anomalyd.toml"));
        (settings, mistakes.iter().map(Mistake::to_string).collect())
    }

    fn mistakes(text: &str) -> String {
        read_text(&format!("[appliance]\n{text}\n")).1.join("\n")
    }

    #[test]
    fn an_empty_table_is_the_defaults_and_no_table_is_none() {
        assert_eq!(read_text(""), (None, Vec::new()));
        let (settings, mistakes) = read_text("\n\n[appliance]\n");
        let settings = settings.unwrap();
        assert_eq!(settings.hostname, HOSTNAME);
        assert_eq!((settings.address, settings.timezone), (None, None));
        assert!(settings.ssh_keys.is_empty() && settings.ntp.is_empty() && settings.dns.is_empty());
        assert_eq!(mistakes, [""; 0]);
    }

    #[test]
    fn a_whole_table_is_taken_as_it_is_written() {
        let (settings, mistakes) = read_text(&format!(
            "[appliance]\nhostname = 'plant-pi'\nssh_keys = '{ED25519}'\nntp = ['10.0.0.1', 'time.lan']\n\
             timezone = 'UTC'\naddress = '192.168.1.20/24'\ngateway = '192.168.1.1'\ndns = ['192.168.1.1']\n"
        ));
        assert_eq!(mistakes, [""; 0]);
        let expected = ApplianceSettings {
            hostname: "plant-pi".into(),
            ssh_keys: vec![ED25519.into()],
            ntp: vec!["10.0.0.1".into(), "time.lan".into()],
            timezone: None,
            address: Some(FixedAddress {
                address: "192.168.1.20".parse().unwrap(),
                prefix: 24,
                gateway: "192.168.1.1".parse().ok(),
            }),
            dns: vec!["192.168.1.1".parse().unwrap()],
        };
        assert_eq!(settings, Some(expected));
    }

    #[test]
    fn mistakes_name_line_key_and_remedy() {
        let cases = [
            (
                "hostnme = 'a'",
                ":2: appliance.hostnme: unknown key; did you mean \"hostname\"?",
            ),
            (
                "hostname = 'a.b'",
                ":2: appliance.hostname: \"a.b\" has a dot",
            ),
            ("hostname = '-a'", "is not a host name"),
            ("name = 'Plant'", "belongs to the top of the file"),
            (
                "ntp = [\n'ntp://x',\n'ok',\n3]",
                ":3: appliance.ntp: \"ntp://x\" is a URL",
            ),
            (
                "ntp = [\n'ok',\n3]",
                ":4: appliance.ntp: expected a host name or address, found the number 3",
            ),
            ("dns = 'router'", "\"router\" is not an IP address"),
            (
                "dns = 8",
                "expected an IP address, or an array of such, found the number 8",
            ),
            ("address = '192.168.1.20'", "has no prefix"),
            (
                "address = '192.168.1.0/24'",
                "is the address of the network itself",
            ),
            ("address = '192.168.1.20/33'", "from 1 to 32"),
            ("gateway = '192.168.1.1'", "with a fixed address only"),
            (
                "address = '192.168.1.20/24'\ngateway = '192.168.2.1'",
                ":3: appliance.gateway: \"192.168.2.1\" is not in the network of 192.168.1.20/24",
            ),
            (
                "address = '192.168.1.20/24'\ngateway = '192.168.1.20'",
                "own address",
            ),
            (
                "address = '192.168.1.20/24'\ngateway = 'fe80::1'",
                "is not in the network",
            ),
            (
                "address = '192.168.1.20/24'",
                ":2: warning: appliance.address: without `dns`",
            ),
            ("hostname = 'a", ":2: not TOML"),
            (
                "[appliance.network]\ndhcp = true",
                "appliance.network: unknown key",
            ),
        ];
        for (text, expected) in cases {
            let found = mistakes(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn what_is_right_is_not_a_mistake() {
        for text in [
            "address = '10.0.0.2/31'\ngateway = '10.0.0.3'\nntp = '10.0.0.3'",
            "address = 'fd00::2/64'\ngateway = 'fe80::1'\ndns = 'fd00::1'",
            "address = '10.1.2.3/8'\ngateway = '10.200.0.1'\ndns = ['10.0.0.1', '9.9.9.9']",
            "ssh_keys = []",
        ] {
            assert_eq!(mistakes(text), "", "{text}");
        }
    }

    #[test]
    fn defaults_pass_their_own_rules() {
        assert!((HOST_LABEL.check)(HOSTNAME).is_ok());
        let shown = format!("{:?}", Presence::Default("\"anomalyd\""));
        assert!(
            format!("{:?}", APPLIANCE[0].presence).contains(HOSTNAME),
            "{shown}"
        );
    }
}
