//! The control group (version 2) that the service runs in. Imports `pressure` and `tree` only.

use std::path::{Component, Path, PathBuf};

use super::pressure::{self, Pressure};
use super::tree;

/// Where control groups are.
pub const FOLDER: &str = "sys/fs/cgroup";

/// A limit as the kernel writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `max`
    None,
    Bytes(u64),
}

impl Limit {
    pub fn bytes(self) -> Option<u64> {
        match self {
            Limit::None => None,
            Limit::Bytes(bytes) => Some(bytes),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "max" => Some(Limit::None),
            number => number.parse().ok().map(Limit::Bytes),
        }
    }
}

/// Counts of `memory.events`, since the group was made; groups below it included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryEvents {
    /// The limit was reached and nothing could be reclaimed.
    pub oom: Option<u64>,
    /// Processes that the kernel killed for it.
    pub oom_kill: Option<u64>,
}

/// One control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    root: PathBuf,
    /// Below the root folder.
    folder: PathBuf,
}

impl Cgroup {
    /// The group of this process.
    pub fn own(root: &Path) -> Option<Self> {
        let path = parse_own(&tree::text(root, "proc/self/cgroup")?)?;
        Self::at(root, &path)
    }

    /// The group at `path`, such as `system.slice/anomalyd.service`; `None` when it is not there,
    /// or the machine has the old version of control groups.
    pub fn at(root: &Path, path: &Path) -> Option<Self> {
        let folder = Path::new(FOLDER).join(path);
        let is_version_2 = tree::below(root, folder.join("cgroup.procs")).is_file()
            && tree::below(root, Path::new(FOLDER).join("cgroup.controllers")).is_file();
        is_version_2.then(|| Cgroup {
            root: root.to_owned(),
            folder,
        })
    }

    /// The group above.
    pub fn parent(&self) -> Option<Self> {
        let folder = self.folder.parent()?;
        folder.starts_with(FOLDER).then(|| Cgroup {
            root: self.root.clone(),
            folder: folder.to_owned(),
        })
    }

    /// Processes in the group itself.
    pub fn processes(&self) -> Option<Vec<u32>> {
        let text = self.text("cgroup.procs")?;
        text.lines().map(|line| line.parse().ok()).collect()
    }

    /// Bytes that are charged to the group, file pages included.
    pub fn memory(&self) -> Option<u64> {
        tree::number(&self.root, self.folder.join("memory.current"))
    }

    /// The most that [`Cgroup::memory`] has been.
    pub fn memory_peak(&self) -> Option<u64> {
        tree::number(&self.root, self.folder.join("memory.peak"))
    }

    /// `MemoryHigh=`: above it the group is slowed down and reclaimed from.
    pub fn memory_high(&self) -> Option<Limit> {
        Limit::parse(&self.text("memory.high")?)
    }

    /// `MemoryMax=`: above it a process is killed.
    pub fn memory_max(&self) -> Option<Limit> {
        Limit::parse(&self.text("memory.max")?)
    }

    pub fn memory_events(&self) -> MemoryEvents {
        let text = self.text("memory.events").unwrap_or_default();
        MemoryEvents {
            oom: value(&text, "oom"),
            oom_kill: value(&text, "oom_kill"),
        }
    }

    pub fn memory_pressure(&self) -> Option<Pressure> {
        pressure::read(&self.root, self.folder.join("memory.pressure"))
    }

    pub fn cpu_pressure(&self) -> Option<Pressure> {
        pressure::read(&self.root, self.folder.join("cpu.pressure"))
    }

    /// Microseconds of processor time.
    pub fn cpu_us(&self) -> Option<u64> {
        value(&self.text("cpu.stat")?, "usage_usec")
    }

    /// Bytes written to all devices; needs `IOAccounting=`.
    pub fn written_bytes(&self) -> Option<u64> {
        written(&self.text("io.stat")?)
    }

    fn text(&self, file: &str) -> Option<String> {
        tree::text(&self.root, self.folder.join(file))
    }
}

/// Whether the kernel has the memory controller, without which `MemoryMax=` silently does nothing;
/// `None` without control groups of version 2.
pub fn has_memory_controller(root: &Path) -> Option<bool> {
    let text = tree::text(root, Path::new(FOLDER).join("cgroup.controllers"))?;
    Some(text.split_whitespace().any(|name| name == "memory"))
}

/// The path in the line of version 2, `0::/system.slice/anomalyd.service`.
fn parse_own(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let path = Path::new(path);
    // Outside of its namespace a group is `/../..`, which no file shows.
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| path.to_owned())
}

/// The number behind `key` in lines of `key number`.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, number) = line.split_once(' ')?;
        (name == key).then(|| number.parse().ok())?
    })
}

/// The sum of `wbytes=` of all devices.
fn written(text: &str) -> Option<u64> {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix("wbytes="))
        .try_fold(0_u64, |sum, number| sum.checked_add(number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::{made_up, put};

    const GROUP: &str = "sys/fs/cgroup/system.slice/anomalyd.service/";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = made_up(&[
            (
                "proc/self/cgroup",
                "1:name=systemd:/x\n0::/system.slice/anomalyd.service\n",
            ),
            (
                "sys/fs/cgroup/cgroup.controllers",
                "cpuset cpu io memory pids\n",
            ),
            ("sys/fs/cgroup/system.slice/memory.events", "oom_kill 7\n"),
        ]);
        put(root.path(), &format!("{GROUP}cgroup.procs"), "10\n11\n");
        for (file, content) in files {
            put(root.path(), &format!("{GROUP}{file}"), content);
        }
        root
    }

    #[test]
    fn the_services_group_is_read() {
        let root = tree(&[
            ("memory.current", "52428800\n"),
            ("memory.peak", "62914560\n"),
            ("memory.high", "max\n"),
            ("memory.max", "104857600\n"),
            (
                "memory.events",
                "low 0\nhigh 3\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
            ),
            (
                "memory.pressure",
                "some avg10=1.00 avg60=0 avg300=0 total=9\n",
            ),
            ("cpu.stat", "usage_usec 123456\nuser_usec 100000\n"),
            (
                "io.stat",
                "179:0 rbytes=1 wbytes=4096 rios=1\n8:0 rbytes=2 wbytes=512 wios=1\n",
            ),
        ]);
        let group = Cgroup::own(root.path()).unwrap();
        assert_eq!(group.processes(), Some(vec![10, 11]));
        assert_eq!(group.memory(), Some(52_428_800));
        assert_eq!(group.memory_peak(), Some(62_914_560));
        assert_eq!(group.memory_high(), Some(Limit::None));
        assert_eq!(group.memory_max(), Some(Limit::Bytes(104_857_600)));
        assert_eq!(group.memory_events().oom_kill, Some(1));
        assert_eq!(group.memory_events().oom, Some(2));
        assert_eq!(group.memory_pressure().unwrap().some_total_us, 9);
        assert_eq!(group.cpu_us(), Some(123_456));
        assert_eq!(group.written_bytes(), Some(4608));
        let slice = group.parent().unwrap();
        assert_eq!(slice.memory_events().oom_kill, Some(7));
        let top = slice.parent().unwrap();
        assert_eq!(top.parent(), None);
        assert_eq!(has_memory_controller(root.path()), Some(true));
    }

    #[test]
    fn without_the_memory_controller_its_files_are_missing_readings() {
        let root = tree(&[]);
        put(
            root.path(),
            "sys/fs/cgroup/cgroup.controllers",
            "cpuset cpu io pids\n",
        );
        let group = Cgroup::own(root.path()).unwrap();
        assert_eq!(has_memory_controller(root.path()), Some(false));
        assert_eq!(group.memory(), None);
        assert_eq!(group.memory_max(), None);
        assert_eq!(group.memory_events(), MemoryEvents::default());
        assert_eq!(group.written_bytes(), None);
    }

    #[test]
    fn version_1_and_foreign_namespaces_are_no_group() {
        let root = made_up(&[("proc/self/cgroup", "4:memory:/x\n0::/\n")]);
        assert_eq!(Cgroup::own(root.path()), None);
        assert_eq!(has_memory_controller(root.path()), None);
        assert_eq!(parse_own("0::/../../other"), None);
        assert_eq!(parse_own("4:memory:/x"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_files_hold_is_a_reading_or_none(bytes: Vec<u8>, number: u64) {
            let text = String::from_utf8_lossy(&bytes);
            let _ = (parse_own(&text), Limit::parse(&text), value(&text, "oom"), written(&text));
            let _ = parse_own(&format!("0::/{text}"));
            let twice = format!("8:0 wbytes={number} wbytes={number}");
            proptest::prop_assert_eq!(written(&twice), number.checked_mul(2));
            let line = format!("oom_kill {number}");
            proptest::prop_assert_eq!(value(&line, "oom_kill"), Some(number));
            proptest::prop_assert_eq!(value(&line, "oom"), None);
        }
    }
}
