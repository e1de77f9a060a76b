//! Clock, journal and time zone of the host. Imports `health`.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::Check;
use super::watchdog::setting;
use crate::health::clock_sync::{self, Clock};
use crate::health::{Machine, tree};

const CLOCK: &str = "clock";
const JOURNAL: &str = "journal";
const ZONE: &str = "time zone";

pub fn checks(root: &Path) -> Vec<Check> {
    vec![clock(root), journal(root)]
}

fn clock(root: &Path) -> Check {
    match clock_sync::read(root) {
        Clock::Synchronised { ago } => {
            let when = ago.map_or_else(String::new, |ago| format!(" {} ago", roughly(ago)));
            let no_rtc = Machine::read(root).is_raspberry_pi() && !has_clock_chip(root);
            let note = if no_rtc {
                " (no clock chip: the time is wrong until the network is there)"
            } else {
                ""
            };
            Check::ok(CLOCK, format!("synchronised{when}{note}"))
        }
        Clock::Unsynchronised => Check::fail(
            CLOCK,
            "not synchronised since boot",
            "see `timedatectl timesync-status`; name a server the machine can reach in \
             /etc/systemd/timesyncd.conf",
        ),
        Clock::Other { service, ask } => {
            Check::skip(CLOCK, format!("kept by {service}; `{ask}` tells how well"))
        }
        Clock::Unserved => Check::fail(
            CLOCK,
            "no time service runs",
            "apt install systemd-timesyncd, or timedatectl set-ntp true",
        ),
    }
}

fn has_clock_chip(root: &Path) -> bool {
    tree::below(root, "dev/rtc0").exists()
}

fn roughly(ago: Duration) -> String {
    let seconds = ago.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Whether what the service said before a restart of the machine can be read after it.
fn journal(root: &Path) -> Check {
    let storage = setting(root, "journald.conf", "Storage");
    let storage = storage.unwrap_or_else(|| "auto".to_owned());
    let folder = tree::below(root, "var/log/journal").is_dir();
    match storage.to_ascii_lowercase().as_str() {
        "persistent" => Check::ok(JOURNAL, "kept across restarts (Storage=persistent)"),
        "auto" if folder => Check::ok(JOURNAL, "kept across restarts in /var/log/journal"),
        "auto" => Check::fail(
            JOURNAL,
            "lost at each restart, there is no /var/log/journal",
            "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
        ),
        other => Check::fail(
            JOURNAL,
            format!("lost at each restart (Storage={other})"),
            "put [Journal] Storage=persistent into \
             /etc/systemd/journald.conf.d/90-anomalyd.conf",
        ),
    }
}

/// The zone of the machine, beside that in which samples without a zone are read.
pub fn time_zone(root: &Path, of_samples: Option<&TimeZone>) -> Check {
    let link = tree::below(root, "etc/localtime");
    let zone = match std::fs::read_link(&link) {
        Ok(target) => {
            let target = target.to_string_lossy().into_owned();
            let name = target.rsplit_once("zoneinfo/").map(|(_, name)| name);
            let Some(name) = name.map(str::to_owned) else {
                return unknown(&target);
            };
            let file = tree::below(root, "usr/share/zoneinfo").join(&name);
            if !file.is_file() {
                return unknown(&target);
            }
            name
        }
        // A copy has no name.
        Err(_) if link.is_file() => "a copy without a name".to_owned(),
        Err(_) => "UTC (none is set)".to_owned(),
    };
    let samples = of_samples.and_then(TimeZone::iana_name);
    match samples {
        Some(samples) if !zone.starts_with(samples) => Check::ok(
            ZONE,
            format!("{zone}; times of samples without a zone are read as {samples}"),
        ),
        _ => Check::ok(ZONE, zone),
    }
}

fn unknown(target: &str) -> Check {
    Check::fail(
        ZONE,
        format!("/etc/localtime names {target}, which is not there"),
        "timedatectl set-timezone Europe/Paris (or where the plant is)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_roughly() {
        for (seconds, text) in [(5, "5 s"), (185, "3 min"), (7300, "2 h"), (400_000, "4 d")] {
            assert_eq!(roughly(Duration::from_secs(seconds)), text);
        }
    }
}
