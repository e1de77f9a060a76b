//! The memory cap that the service is measured under: the unit's own, in a scope of systemd's where
//! that runs, else in a control group of our own. Imports `health`'s readers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::outcome::Cap;
use crate::health::cgroup::{self, Cgroup};
use crate::health::tree;

/// The unit that the package installs, for a machine where it is not.
const UNIT: &str =
    include_str!("../../rootfs-overlay/service/usr/lib/systemd/system/anomalyd.service");
const VERSION_1: &str = "/sys/fs/cgroup/memory";
const VERSION_2: &str = "/sys/fs/cgroup";
/// Moves itself into the group and becomes the program, so that the process stays the same.
const ENTER: &str = "echo $$ >\"$0\" && exec \"$@\"";

/// The unit's limits in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub high: Option<u64>,
    pub max: Option<u64>,
}

impl Limits {
    /// Nothing is limited.
    pub const NONE: Limits = Limits {
        high: None,
        max: None,
    };

    /// Of the installed unit with its drop-ins, else of the unit as it is shipped.
    pub fn of_unit() -> Limits {
        let mut show = Command::new("systemctl");
        show.args([
            "show",
            "anomalyd.service",
            "--property=MemoryHigh,MemoryMax,LoadState",
        ]);
        let shown = show.stdin(Stdio::null()).stderr(Stdio::null()).output();
        let shown = shown.map_or(String::new(), |output| {
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        match shown.contains("LoadState=loaded") {
            true => Limits::parse(&shown),
            false => Limits::parse(UNIT),
        }
    }

    fn parse(text: &str) -> Limits {
        let value = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key))?;
            bytes(value.trim())
        };
        Limits {
            high: value("MemoryHigh="),
            max: value("MemoryMax="),
        }
    }
}

/// `100M`, `104857600`; none for `infinity`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Where the service runs.
#[derive(Debug)]
pub struct Cage {
    kind: Kind,
    limits: Limits,
}

#[derive(Debug)]
enum Kind {
    /// Why there is no cap.
    None(String),
    Systemd {
        name: String,
    },
    Version1(PathBuf),
    Version2(PathBuf),
}

impl Cage {
    /// Makes a group for one run of the service; `name` is not taken yet.
    pub fn make(limits: Limits, name: &str) -> Cage {
        let kind = match limits.max {
            None => Kind::None("the unit has no MemoryMax=".to_owned()),
            Some(max) => find(max, name),
        };
        Cage { kind, limits }
    }

    /// What starts `program` in it; its arguments can be added.
    pub fn command(&self, program: &Path) -> Command {
        match &self.kind {
            Kind::None(_) => Command::new(program),
            Kind::Systemd { name } => {
                let mut command = Command::new("systemd-run");
                command.args(["--scope", "--quiet", "--collect", "--unit", name]);
                let property = |key: &str, bytes: u64| format!("--property={key}={bytes}");
                command.args(self.limits.max.map(|max| property("MemoryMax", max)));
                command.args(self.limits.high.map(|high| property("MemoryHigh", high)));
                command
                    .args(["--property=MemorySwapMax=0", "--"])
                    .arg(program);
                command
            }
            Kind::Version1(folder) | Kind::Version2(folder) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", ENTER]);
                command.arg(folder.join("cgroup.procs")).arg(program);
                command
            }
        }
    }

    /// Whether process `id` really is capped, as the kernel has it.
    pub fn facts(&self, id: u32) -> Cap {
        let cap = |how: &str, max: Option<u64>, high: Option<u64>| Cap {
            // The kernel counts in pages, and may round down to one.
            active: max
                .zip(self.limits.max)
                .is_some_and(|(is, wanted)| is <= wanted),
            how: how.to_owned(),
            max_bytes: max,
            high_bytes: high,
        };
        match &self.kind {
            Kind::None(why) => cap(why, None, None),
            Kind::Systemd { .. } | Kind::Version2(_) => {
                let group = group_of(id);
                let group = group.as_ref();
                let max = group
                    .and_then(Cgroup::memory_max)
                    .and_then(|max| max.bytes());
                let high = group.and_then(Cgroup::memory_high);
                let how = match (&self.kind, max) {
                    (_, None) => "memory.max was not taken by the kernel",
                    (Kind::Systemd { .. }, _) => "scope of systemd",
                    _ => "control group of our own",
                };
                cap(how, max, high.and_then(|high| high.bytes()))
            }
            Kind::Version1(folder) => {
                let max = number(folder, "memory.limit_in_bytes");
                cap("control group (version 1) of our own", max, None)
            }
        }
    }

    /// Bytes charged to the group of process `id` now.
    pub fn memory(&self, id: u32) -> Option<u64> {
        match &self.kind {
            Kind::None(_) => None,
            Kind::Version1(folder) => number(folder, "memory.usage_in_bytes"),
            Kind::Systemd { .. } | Kind::Version2(_) => group_of(id)?.memory(),
        }
    }

    /// The most that were.
    pub fn peak(&self, id: u32) -> Option<u64> {
        match &self.kind {
            Kind::None(_) => None,
            Kind::Version1(folder) => number(folder, "memory.max_usage_in_bytes"),
            Kind::Systemd { .. } | Kind::Version2(_) => group_of(id)?.memory_peak(),
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        if let Kind::Version1(folder) | Kind::Version2(folder) = &self.kind {
            // Its process has ended; one that is left keeps the group, which holds nothing else up.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn find(max: u64, name: &str) -> Kind {
    let root = Path::new("/");
    if Path::new("/run/systemd/system").is_dir() {
        return match (nix::unistd::geteuid().is_root(), cgroup::has_memory_controller(root)) {
            (false, _) => Kind::None("only root can have systemd set a cap: use sudo".to_owned()),
            (_, Some(true)) => Kind::Systemd {
                name: name.to_owned(),
            },
            (_, _) => Kind::None(
                "the kernel's memory controller is off: add cgroup_enable=memory to its command line"
                    .to_owned(),
            ),
        };
    }
    version_2(max, name)
        .or_else(|| version_1(max, name))
        .unwrap_or_else(|| Kind::None("no systemd, and no control group can be made".to_owned()))
}

fn version_2(max: u64, name: &str) -> Option<Kind> {
    let given = tree::text(Path::new(VERSION_2), "cgroup.subtree_control")?;
    if !given.split_whitespace().any(|one| one == "memory") {
        return None;
    }
    let folder = group(Path::new(VERSION_2), name, "memory.max", max)?;
    Some(Kind::Version2(folder))
}

/// Below our own group, as a container may show nothing above.
fn version_1(max: u64, name: &str) -> Option<Kind> {
    let own = tree::text(Path::new("/"), "proc/self/cgroup")?;
    let own = own.lines().find_map(|line| {
        line.split_once(":memory:/")
            .map(|(_, path)| path.to_owned())
    })?;
    let above = Path::new(VERSION_1).join(own);
    let folder = group(&above, name, "memory.limit_in_bytes", max)?;
    Some(Kind::Version1(folder))
}

fn group(above: &Path, name: &str, limit: &str, max: u64) -> Option<PathBuf> {
    let folder = above.join(name);
    fs::create_dir(&folder).ok()?;
    match fs::write(folder.join(limit), max.to_string()) {
        Ok(()) => Some(folder),
        Err(_) => {
            let _ = fs::remove_dir(&folder);
            None
        }
    }
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    tree::number(folder, file)
}

/// The group (version 2) of process `id`.
fn group_of(id: u32) -> Option<Cgroup> {
    let root = Path::new("/");
    let text = tree::text(root, format!("proc/{id}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Cgroup::at(root, Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_unit_caps_memory_and_so_is_read() {
        let limits = Limits {
            high: Some(90 << 20),
            max: Some(100 << 20),
        };
        assert_eq!(Limits::parse(UNIT), limits);
        let shown = "MemoryHigh=infinity\nMemoryMax=52428800\nLoadState=loaded\n";
        let shown = Limits::parse(shown);
        assert_eq!((shown.high, shown.max), (None, Some(50 << 20)));
        assert_eq!(bytes("12T"), None);
    }

    #[test]
    fn without_a_limit_the_program_runs_plainly_and_the_result_says_so() {
        let limits = Limits {
            high: None,
            max: None,
        };
        let cage = Cage::make(limits, "anomalyd-bench-none");
        assert_eq!(
            cage.command(Path::new("/bin/true")).get_program(),
            "/bin/true"
        );
        let cap = cage.facts(std::process::id());
        assert!(!cap.active && cap.how.contains("MemoryMax"), "{cap:?}");
        assert_eq!((cage.memory(1), cage.peak(1)), (None, None));
    }

    /// Where this machine lets us make a group, a process in it is capped; elsewhere the reason is
    /// told.
    #[test]
    fn a_process_in_the_cage_is_capped_or_the_reason_is_known() {
        let limits = Limits {
            high: Some(45 << 20),
            max: Some(50 << 20),
        };
        let cage = Cage::make(
            limits,
            &format!("anomalyd-bench-test-{}", std::process::id()),
        );
        let mut child = cage
            .command(Path::new("/bin/sleep"))
            .arg("60")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let is_there = || {
            let name = tree::text(Path::new("/"), format!("proc/{}/comm", child.id()));
            name.as_deref() == Some("sleep")
        };
        while !is_there() && child.id() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let cap = cage.facts(child.id());
        let memory = cage.memory(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        match &cage.kind {
            Kind::None(why) => assert!(!cap.active && cap.how == *why, "{cap:?}"),
            _ => {
                assert!(cap.active, "{cap:?}");
                assert_eq!(cap.max_bytes, Some(50 << 20));
                assert!(memory.unwrap() > 0);
            }
        }
    }
}
