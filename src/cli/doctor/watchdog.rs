//! The hardware watchdog, and the files in which systemd is set. Imports `health`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Check;
use crate::health::{Machine, tree};

const WATCHDOG: &str = "hardware watchdog";
/// The old driver of the Raspberry Pi cannot count further, and is then not started at all.
const MOST_SECONDS: u64 = 15;
const DEVICE: &str = "sys/class/watchdog/watchdog0";
const REMEDY: &str = "put [Manager] RuntimeWatchdogSec=15s into \
                      /etc/systemd/system.conf.d/90-watchdog.conf and restart the machine";

pub fn check(root: &Path) -> Check {
    let is_pi = Machine::read(root).is_raspberry_pi();
    let there = tree::below(root, DEVICE).is_dir() || tree::below(root, "dev/watchdog0").exists();
    if !there {
        return if is_pi {
            Check::fail(
                WATCHDOG,
                "the kernel shows none",
                "add dtparam=watchdog=on to /boot/firmware/config.txt and restart the machine",
            )
        } else {
            Check::skip(WATCHDOG, "this machine has none")
        };
    }
    let kind = tree::text(root, Path::new(DEVICE).join("identity")).unwrap_or_default();
    let of_pi = kind.to_ascii_uppercase().contains("BCM2835") || (kind.is_empty() && is_pi);
    let state = tree::text(root, Path::new(DEVICE).join("state"));
    let set = setting(root, "system.conf", "RuntimeWatchdogSec");
    let seconds = set.as_deref().and_then(seconds);
    match (seconds, state.as_deref()) {
        // Whoever feeds it, it runs.
        (_, Some("active")) => Check::ok(WATCHDOG, "runs, the machine restarts when it hangs"),
        (None | Some(0), _) => Check::fail(WATCHDOG, "off, a machine that hangs stays so", REMEDY),
        (Some(seconds), _) if of_pi && seconds > MOST_SECONDS => Check::fail(
            WATCHDOG,
            format!("RuntimeWatchdogSec={seconds}s switches it off, it counts to 15 s"),
            REMEDY,
        ),
        (Some(_), Some("inactive")) => Check::fail(
            WATCHDOG,
            "set but not running",
            "restart the machine; `journalctl -b -g watchdog` says why if it stays so",
        ),
        (Some(seconds), _) => Check::ok(
            WATCHDOG,
            format!("restarts a hung machine after {seconds} s"),
        ),
    }
}

/// The last value of `key` in systemd's file `name` and its drop-ins, by the rules of
/// systemd-system.conf(5): the main file of the first folder that has one, then all drop-ins in
/// the order of their names, of which the first folder's wins.
pub fn setting(root: &Path, name: &str, key: &str) -> Option<String> {
    const FOLDERS: [&str; 4] = [
        "etc/systemd",
        "run/systemd",
        "usr/local/lib/systemd",
        "usr/lib/systemd",
    ];
    let folders = FOLDERS.map(Path::new);
    let main = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| tree::below(root, file).exists());
    let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in folders {
        let folder = folder.join(format!("{name}.d"));
        for file in tree::names(root, &folder) {
            if file.ends_with(".conf") {
                let path = folder.join(&file);
                drop_ins.entry(file).or_insert(path);
            }
        }
    }
    let mut found = None;
    for file in main.iter().chain(drop_ins.values()) {
        for line in tree::text(root, file).unwrap_or_default().lines() {
            let value = line.trim().split_once('=');
            if let Some((_, value)) = value.filter(|(name, _)| name.trim() == key) {
                // An empty value is the default again.
                let value = value.trim();
                found = (!value.is_empty()).then(|| value.to_owned());
            }
        }
    }
    found
}

/// A time span of systemd in whole seconds: `15`, `15s`, `1min`; `off` is 0, `default` what the
/// device has, which is no more than it can.
fn seconds(text: &str) -> Option<u64> {
    match text.to_ascii_lowercase().as_str() {
        "off" | "infinity" => Some(0),
        "default" => Some(MOST_SECONDS),
        text => match text.parse::<u64>() {
            Ok(seconds) => Some(seconds),
            Err(_) => humantime::parse_duration(text)
                .ok()
                .map(|span| span.as_secs()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::made_up;

    #[test]
    fn spans_are_read_as_systemd_writes_them() {
        for (text, wanted) in [
            ("15", Some(15)),
            ("15s", Some(15)),
            ("15sec", Some(15)),
            ("1min", Some(60)),
            ("1min 30s", Some(90)),
            ("off", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn drop_ins_win_over_the_file_and_by_name_then_by_folder() {
        let key = "RuntimeWatchdogSec";
        let read = |files: &[(&str, &str)]| {
            let root = made_up(files);
            setting(root.path(), "system.conf", key)
        };
        let vendor = ("usr/lib/systemd/system.conf", "RuntimeWatchdogSec=1min\n");
        let own = (
            "etc/systemd/system.conf",
            "[Manager]\n#RuntimeWatchdogSec=off\n",
        );
        assert_eq!(read(&[vendor]).as_deref(), Some("1min"));
        assert_eq!(
            read(&[vendor, own]),
            None,
            "the first main file hides others"
        );
        let low = (
            "usr/lib/systemd/system.conf.d/40-rpi.conf",
            "RuntimeWatchdogSec=1m\n",
        );
        let hidden = (
            "etc/systemd/system.conf.d/40-rpi.conf",
            "RuntimeWatchdogSec = 10s\n",
        );
        assert_eq!(read(&[own, low]).as_deref(), Some("1m"));
        assert_eq!(read(&[own, low, hidden]).as_deref(), Some("10s"));
        let last = (
            "run/systemd/system.conf.d/90-x.conf",
            "RuntimeWatchdogSec=\n",
        );
        assert_eq!(read(&[own, low, hidden, last]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_without_a_crash(bytes: Vec<u8>, text in ".*") {
            let root = made_up(&[]);
            let path = "etc/systemd/system.conf";
            tree::put(root.path(), path, &bytes);
            let _ = setting(root.path(), "system.conf", "RuntimeWatchdogSec");
            let _ = seconds(&text);
        }
    }
}
