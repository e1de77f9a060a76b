//! The machine as the result describes it, and what else ran on it. Imports `health`'s readers.

use std::path::Path;

use super::outcome::Facts;
use crate::health::{Machine, disk, tree};

/// `state` is a folder on the file system that the service writes to.
pub fn facts(root: &Path, state: &Path) -> Facts {
    let machine = Machine::read(root);
    let disk = disk::read(state);
    Facts {
        architecture: std::env::consts::ARCH.to_owned(),
        board: machine.model,
        processor: tree::text(root, "proc/cpuinfo").and_then(|text| processor(&text)),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        kernel: machine.kernel,
        governor: tree::text(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_bytes: machine.memory_bytes,
        disk_total_bytes: disk.map(|disk| disk.total_bytes),
        disk_free_bytes: disk.map(|disk| disk.free_bytes),
        load_at_start: load(root),
        load_at_end: None,
    }
}

/// Load average of the last minute.
pub fn load(root: &Path) -> Option<f64> {
    let text = tree::text(root, "proc/loadavg")?;
    text.split_whitespace().next()?.parse().ok()
}

/// Seconds that all processors together have worked since the machine started, time that a host
/// took from a virtual machine included.
pub fn busy_seconds(root: &Path) -> Option<f64> {
    busy(&tree::text(root, "proc/stat")?)
}

fn busy(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let worked = [0, 1, 2, 5, 6, 7].map(|field| ticks.get(field).copied());
    let sum = worked
        .into_iter()
        .try_fold(0_u64, |sum, one| sum.checked_add(one?))?;
    Some(sum as f64 / 100.0)
}

/// What the kernel calls the processor: x86 by name, ARM by its parts' numbers only.
fn processor(cpuinfo: &str) -> Option<String> {
    let value = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    value("model name").or_else(|| {
        let part = value("CPU part")?;
        Some(match part.as_str() {
            "0xd08" => "Cortex-A72".to_owned(),
            "0xd0b" => "Cortex-A76".to_owned(),
            "0xd03" => "Cortex-A53".to_owned(),
            _ => format!("ARM part {part}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::made_up;

    #[test]
    fn a_machine_is_described() {
        let root = made_up(&[
            ("proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd08\n"),
            ("proc/loadavg", "0.52 0.3 0.1 1/100 123\n"),
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "ondemand\n",
            ),
        ]);
        let facts = facts(root.path(), root.path());
        assert_eq!(facts.processor.as_deref(), Some("Cortex-A72"));
        assert_eq!(facts.governor.as_deref(), Some("ondemand"));
        assert_eq!(facts.load_at_start, Some(0.52));
        assert!(facts.board.unwrap().starts_with("Raspberry Pi 4"));
        assert!(facts.disk_total_bytes.unwrap() > 0);
        let nothing = super::facts(Path::new("/nowhere"), Path::new("/nowhere"));
        assert_eq!(nothing.processor, None);
        assert_eq!(busy_seconds(Path::new("/nowhere")), None);
    }

    #[test]
    fn time_worked_leaves_out_idle_and_counts_guests_once() {
        let stat = "cpu  100 20 300 9000 500 7 8 65 50 0\ncpu0 1 1 1 1\n";
        assert_eq!(busy(stat), Some(5.0));
        assert_eq!(busy("cpu 1 2 x\n"), None);
        assert_eq!(processor("model name\t: AMD EPYC\n").unwrap(), "AMD EPYC");
    }
}
