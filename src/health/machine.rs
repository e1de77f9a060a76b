//! What does not change while the machine runs: board, host, boot, kernel. Imports `tree` only.

use std::path::Path;

use serde::Serialize;

use super::tree;

/// Who this machine is. All of it may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Machine {
    /// Such as `Raspberry Pi 4 Model B Rev 1.4`.
    pub model: Option<String>,
    pub host: Option<String>,
    /// A new one at each start of the machine.
    pub boot_id: Option<String>,
    pub kernel: Option<String>,
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// Reads all of it.
    pub fn read(root: &Path) -> Self {
        let line = |path: &str| {
            let text = tree::text(root, path)?;
            let line = text.lines().next()?.trim().to_owned();
            (!line.is_empty()).then_some(line)
        };
        Machine {
            // The device tree's on boards, the firmware's on PCs.
            model: line("proc/device-tree/model")
                .or_else(|| line("sys/firmware/devicetree/base/model"))
                .or_else(|| line("sys/class/dmi/id/product_name")),
            host: line("proc/sys/kernel/hostname"),
            boot_id: line("proc/sys/kernel/random/boot_id"),
            kernel: line("proc/sys/kernel/osrelease"),
            memory_bytes: tree::text(root, "proc/meminfo").and_then(|text| memory(&text)),
        }
    }

    pub fn is_raspberry_pi(&self) -> bool {
        let model = self.model.as_deref();
        model.is_some_and(|model| model.starts_with("Raspberry Pi"))
    }
}

/// Seconds since the machine started.
pub fn uptime(root: &Path) -> Option<f64> {
    parse_uptime(&tree::text(root, "proc/uptime")?)
}

fn parse_uptime(text: &str) -> Option<f64> {
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

fn memory(meminfo: &str) -> Option<u64> {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::made_up;

    #[test]
    fn a_raspberry_pi_is_known_by_its_device_tree() {
        let root = made_up(&[
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            ("proc/sys/kernel/hostname", "plant-pi\n"),
            ("proc/sys/kernel/random/boot_id", "c0ffee\n"),
            (
                "proc/meminfo",
                "MemTotal:        1945612 kB\nMemFree: 1 kB\n",
            ),
            ("proc/uptime", "350735.47 234388.90\n"),
        ]);
        let machine = Machine::read(root.path());
        assert_eq!(
            machine.model.as_deref(),
            Some("Raspberry Pi 4 Model B Rev 1.4")
        );
        assert!(machine.is_raspberry_pi());
        assert_eq!(machine.host.as_deref(), Some("plant-pi"));
        assert_eq!(machine.boot_id.as_deref(), Some("c0ffee"));
        assert_eq!(machine.kernel, None);
        assert_eq!(machine.memory_bytes, Some(1_945_612 * 1024));
        assert_eq!(uptime(root.path()), Some(350_735.47));
        assert_eq!(Machine::read(Path::new("/nowhere")), Machine::default());
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_files_hold_is_a_reading_or_none(bytes: Vec<u8>) {
            let text = String::from_utf8_lossy(&bytes);
            let _ = memory(&text);
            let _ = memory(&format!("MemTotal: {text} kB"));
            proptest::prop_assert!(parse_uptime(&text).is_none_or(|s| s >= 0.0));
        }
    }
}
