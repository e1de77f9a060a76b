//! Whether the caps of the unit are in force. Imports `health`.

use std::path::Path;

use super::Check;
use crate::health::cgroup::{self, Cgroup, Limit};
use crate::health::{Machine, pressure, tree};

const CONTROLLER: &str = "memory controller";
const CAP: &str = "memory limit";
const PRESSURE: &str = "pressure";
/// The unit's group under `/sys/fs/cgroup`.
const UNIT: &str = "system.slice/anomalyd.service";

pub fn checks(root: &Path) -> Vec<Check> {
    vec![controller(root), cap(root), pressure(root)]
}

fn controller(root: &Path) -> Check {
    match cgroup::has_memory_controller(root) {
        Some(true) => Check::ok(CONTROLLER, "the kernel has it"),
        Some(false) => Check::fail(
            CONTROLLER,
            "missing, MemoryMax= does nothing",
            format!(
                "add cgroup_enable=memory to {} and restart the machine",
                command_line(root)
            ),
        ),
        None if tree::below(root, cgroup::FOLDER).join("memory").is_dir() => Check::fail(
            CONTROLLER,
            "the machine has the old control groups (version 1)",
            format!(
                "remove systemd.unified_cgroup_hierarchy=0 from {} and restart the machine",
                command_line(root)
            ),
        ),
        None => Check::skip(CONTROLLER, "no control groups here"),
    }
}

fn cap(root: &Path) -> Check {
    let Some(group) = Cgroup::at(root, Path::new(UNIT)) else {
        let how = "systemctl start anomalyd";
        return Check::skip(CAP, format!("the service does not run ({how})"));
    };
    match (group.memory_max(), group.memory_high()) {
        (Some(Limit::Bytes(bytes)), _) => {
            let held = group
                .memory()
                .map_or_else(String::new, |held| format!(", {} MiB used", held >> 20));
            let text = format!("memory.max is {} MiB for this service{held}", bytes >> 20);
            Check::ok(CAP, text)
        }
        (Some(Limit::None), _) => Check::fail(
            CAP,
            "the service runs without one",
            "set MemoryMax= with `systemctl edit anomalyd` and restart it",
        ),
        (None, _) => Check::fail(
            CAP,
            "MemoryMax= is not in force for the service",
            "switch the memory controller on (above) and restart the machine",
        ),
    }
}

fn pressure(root: &Path) -> Check {
    if pressure::read(root, "proc/pressure/memory").is_some() {
        Check::ok(PRESSURE, "the kernel tells of it")
    } else if Machine::read(root).is_raspberry_pi() {
        let line = command_line(root);
        let text = format!("not told; psi=1 in {line} lets the service see shortage coming");
        Check::skip(PRESSURE, text)
    } else {
        Check::skip(PRESSURE, "this kernel does not tell of it")
    }
}

/// Where the kernel's command line is set.
fn command_line(root: &Path) -> &'static str {
    let is_there = |path: &&&str| tree::below(root, path).is_file();
    let places = ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"];
    places
        .iter()
        .find(is_there)
        .copied()
        .unwrap_or("the kernel's command line")
}
