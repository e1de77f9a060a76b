//! Which files of the machine make what the user's file says: a list, nothing is done here.
//!
//! The files of the card come first and the key for SSH last, but any order would do: until all are
//! there, the user's file stays and the next start writes them again. Imports `check` and `apply`.

use std::fmt::Write;
use std::path::PathBuf;

use super::apply::{Access, Change};
use super::check::Checked;
use super::references::Kind;
use crate::config::DEFAULT_PATH;
use crate::config::appliance::ApplianceSettings;

const HOSTNAME: &str = "/etc/hostname";
/// So that the machine knows its own name without a name server.
const HOSTS: &str = "/etc/hosts";
/// Before the image's own, which asks DHCP.
const NETWORK: &str = "/etc/systemd/network/05-appliance.network";
const TIME_SERVERS: &str = "/etc/systemd/timesyncd.conf.d/60-appliance.conf";
const LOCAL_TIME: &str = "/etc/localtime";
const ZONES: &str = "/usr/share/zoneinfo";
/// The SSH server starts only where this is; its configuration names the folder.
const SSH_KEYS: &str = "/etc/ssh/authorized_keys/root";

const MADE: &str = "# Made of anomalyd.toml from the card; the next one replaces it.\n";

pub fn changes(checked: &Checked) -> Vec<Change> {
    let mut changes = Vec::new();
    for file in &checked.files {
        if let Some(content) = &file.content {
            changes.push(Change::Write {
                path: file.target.clone(),
                content: content.clone(),
                access: match file.kind {
                    Kind::Model => Access::OfService,
                    Kind::Password => Access::Service,
                    Kind::Certificate | Kind::Faults => Access::Public,
                },
            });
        }
    }
    if let Some(text) = &checked.service_text {
        // A password may stand in it.
        changes.push(write(DEFAULT_PATH, text.clone(), Access::Service));
    }
    if let Some(appliance) = &checked.appliance {
        changes.extend(of_machine(appliance));
    }
    changes
}

fn of_machine(appliance: &ApplianceSettings) -> [Change; 6] {
    let servers = (!appliance.ntp.is_empty())
        .then(|| format!("{MADE}[Time]\nNTP={}\n", appliance.ntp.join(" ")));
    let keys = (!appliance.ssh_keys.is_empty()).then(|| appliance.ssh_keys.join("\n") + "\n");
    let zone = match &appliance.timezone {
        Some(zone) => Change::Link {
            path: LOCAL_TIME.into(),
            target: PathBuf::from(ZONES).join(zone),
        },
        // Without it, it is UTC.
        None => Change::Remove {
            path: LOCAL_TIME.into(),
        },
    };
    [
        write(
            HOSTNAME,
            format!("{}\n", appliance.hostname),
            Access::Public,
        ),
        write(
            HOSTS,
            format!(
                "127.0.0.1 localhost\n127.0.1.1 {}\n::1 localhost\n",
                appliance.hostname
            ),
            Access::Public,
        ),
        write_or_remove(NETWORK, network(appliance)),
        write_or_remove(TIME_SERVERS, servers),
        zone,
        write_or_remove(SSH_KEYS, keys),
    ]
}

/// For systemd-networkd; `None` where nothing differs from what the image does.
fn network(appliance: &ApplianceSettings) -> Option<String> {
    if appliance.address.is_none() && appliance.dns.is_empty() {
        return None;
    }
    // What has a kind is no port: a bridge, a tunnel.
    let mut text = format!("{MADE}[Match]\nType=ether\nKind=!*\n\n[Network]\n");
    match &appliance.address {
        None => text.push_str("DHCP=yes\n"),
        Some(fixed) => {
            let _ = writeln!(text, "Address={}/{}", fixed.address, fixed.prefix);
            if let Some(gateway) = fixed.gateway {
                let _ = writeln!(text, "Gateway={gateway}");
            }
        }
    }
    for server in &appliance.dns {
        let _ = writeln!(text, "DNS={server}");
    }
    Some(text)
}

fn write(path: &str, text: String, access: Access) -> Change {
    Change::Write {
        path: path.into(),
        content: text.into_bytes(),
        access,
    }
}

fn write_or_remove(path: &str, text: Option<String>) -> Change {
    match text {
        Some(text) => write(path, text, Access::Public),
        None => Change::Remove { path: path.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::appliance::FixedAddress;

    fn defaults() -> ApplianceSettings {
        ApplianceSettings {
            hostname: "anomalyd".into(),
            ssh_keys: Vec::new(),
            ntp: Vec::new(),
            timezone: None,
            address: None,
            dns: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_said_is_removed_again() {
        let removed: Vec<_> = of_machine(&defaults())
            .into_iter()
            .filter_map(|change| match change {
                Change::Remove { path } => Some(path),
                _ => None,
            })
            .collect();
        let expected = [NETWORK, TIME_SERVERS, LOCAL_TIME, SSH_KEYS].map(PathBuf::from);
        assert_eq!(removed, expected);
    }

    #[test]
    fn the_network_is_dhcp_or_an_address() {
        let address = |dns: &[&str], address: Option<FixedAddress>| ApplianceSettings {
            address,
            dns: dns.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..defaults()
        };
        assert_eq!(network(&address(&[], None)), None);
        let dhcp = network(&address(&["10.0.0.1"], None)).unwrap();
        assert!(
            dhcp.ends_with("[Network]\nDHCP=yes\nDNS=10.0.0.1\n"),
            "{dhcp}"
        );
        let fixed = FixedAddress {
            address: "192.168.1.20".parse().unwrap(),
            prefix: 24,
            gateway: "192.168.1.1".parse().ok(),
        };
        let text = network(&address(&["192.168.1.1", "fd00::1"], Some(fixed))).unwrap();
        let expected = "[Network]\nAddress=192.168.1.20/24\nGateway=192.168.1.1\nDNS=192.168.1.1\n\
                        DNS=fd00::1\n";
        assert!(text.ends_with(expected), "{text}");
        assert!(!text.contains("DHCP"));
    }
}
