//! The processes of the service: the daemon and the torch workers it started. Imports `tree` only.

use std::path::{Path, PathBuf};

use super::tree;

/// More than the unit's `TasksMax=` allows: what is beyond it belongs to somebody else's tree.
const MOST_PROCESSES: usize = 32;
const MOST_THREADS: usize = 256;

/// The unit of processor time in `/proc/PID/stat`, which Linux fixes for programs (USER_HZ).
const TICK_US: u64 = 10_000;

/// Sums over the service's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub processes: u32,
    pub rss_bytes: u64,
    /// The most that each has had, summed.
    pub rss_peak_bytes: u64,
    pub rss_anon_bytes: u64,
    /// Mapped files and shared memory.
    pub rss_file_bytes: u64,
    pub cpu_us: u64,
    /// `None` where another program may not see it.
    pub written_bytes: Option<u64>,
    /// Voluntary context switches of all threads: each is followed by a wake-up.
    pub wakeups: u64,
}

/// What the processes use; `None` when not even the own one can be read.
pub fn usage(root: &Path) -> Option<Usage> {
    // The own folder under its other name: a sandbox or a made-up tree may have only that.
    of_family(root, own_id(root)?, PathBuf::from("proc/self"))
}

/// The same of another process and those that it started.
pub fn usage_of(root: &Path, id: u32) -> Option<Usage> {
    of_family(root, id, Path::new("proc").join(id.to_string()))
}

fn of_family(root: &Path, first: u32, first_folder: PathBuf) -> Option<Usage> {
    let mut sum = Usage {
        written_bytes: Some(0),
        ..Usage::default()
    };
    let mut lost = false;
    walk(root, first, first_folder, |folder, threads| {
        let Some(one) = status(root, folder) else {
            // Another than the first may have ended meanwhile.
            lost |= sum.processes == 0;
            return;
        };
        add(&mut sum, &one, root, folder);
        for thread in threads {
            let text = tree::text(root, folder.join("task").join(thread).join("status"));
            let waits = field(&text.unwrap_or_default(), "voluntary_ctxt_switches:");
            sum.wakeups += waits.unwrap_or(0);
        }
    });
    (!lost).then_some(sum)
}

/// The process `id` and those that it started.
pub fn family(root: &Path, id: u32) -> Vec<u32> {
    walk(root, id, Path::new("proc").join(id.to_string()), |_, _| {})
}

/// Visits the folder of the first process, with its threads, and those of all that it started.
fn walk(
    root: &Path,
    first: u32,
    first_folder: PathBuf,
    mut visit: impl FnMut(&Path, &[String]),
) -> Vec<u32> {
    let mut family = vec![first];
    let mut next = 0;
    while let Some(&id) = family.get(next) {
        let folder = match next {
            0 => first_folder.clone(),
            _ => Path::new("proc").join(id.to_string()),
        };
        next += 1;
        let mut threads = tree::names(root, folder.join("task"));
        threads.truncate(MOST_THREADS);
        visit(&folder, &threads);
        for thread in &threads {
            let children = tree::text(root, folder.join("task").join(thread).join("children"));
            let children = children.unwrap_or_default();
            for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
                if family.len() < MOST_PROCESSES && !family.contains(&child) {
                    family.push(child);
                }
            }
        }
    }
    family
}

/// The id of this process, as the tree has it.
pub fn own_id(root: &Path) -> Option<u32> {
    let text = tree::text(root, "proc/self/stat")?;
    text.split_whitespace().next()?.parse().ok()
}

fn add(sum: &mut Usage, one: &Resident, root: &Path, folder: &Path) {
    sum.processes += 1;
    sum.rss_bytes = sum.rss_bytes.saturating_add(one.rss);
    sum.rss_peak_bytes = sum.rss_peak_bytes.saturating_add(one.peak);
    sum.rss_anon_bytes = sum.rss_anon_bytes.saturating_add(one.anon);
    sum.rss_file_bytes = sum.rss_file_bytes.saturating_add(one.file);
    let ticks = tree::text(root, folder.join("stat")).and_then(|text| ticks(&text));
    let us = ticks.unwrap_or(0).saturating_mul(TICK_US);
    sum.cpu_us = sum.cpu_us.saturating_add(us);
    let written = tree::text(root, folder.join("io"));
    let written = written.and_then(|text| field(&text, "write_bytes:"));
    sum.written_bytes = sum
        .written_bytes
        .zip(written)
        .map(|(sum, one)| sum.saturating_add(one));
}

/// Bytes in memory of one process.
struct Resident {
    rss: u64,
    peak: u64,
    anon: u64,
    file: u64,
}

fn status(root: &Path, folder: &Path) -> Option<Resident> {
    resident(&tree::text(root, folder.join("status"))?)
}

fn resident(status: &str) -> Option<Resident> {
    let bytes = |key: &str| field(status, key)?.checked_mul(1024);
    Some(Resident {
        rss: bytes("VmRSS:")?,
        peak: bytes("VmHWM:").unwrap_or(0),
        anon: bytes("RssAnon:").unwrap_or(0),
        file: bytes("RssFile:")
            .unwrap_or(0)
            .saturating_add(bytes("RssShmem:").unwrap_or(0)),
    })
}

/// The number behind `key` at the start of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time. The name of the program, in brackets, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::{made_up, put};

    fn process(root: &Path, folder: &str, id: u32, rss_kib: u64, children: &str) {
        let write = |file: &str, content: String| put(root, &format!("{folder}/{file}"), content);
        let fields = "S 1 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 1 0 1";
        write("stat", format!("{id} (a) b) {fields}"));
        let anon = rss_kib / 4;
        let file = rss_kib - anon - 8;
        write(
            "status",
            format!(
                "VmHWM:\t{} kB\nVmRSS:\t{rss_kib} kB\nRssAnon:\t{anon} kB\nRssFile:\t{file} kB\nRssShmem:\t8 kB\n",
                rss_kib + 100
            ),
        );
        write(
            "io",
            "wchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n".into(),
        );
        write(
            &format!("task/{id}/status"),
            "voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n".into(),
        );
        write(&format!("task/{id}/children"), children.into());
    }

    #[test]
    fn the_daemon_its_worker_and_the_workers_child_are_summed() {
        let root = made_up(&[]);
        process(root.path(), "proc/self", 10, 12_000, "20 99 \n");
        process(root.path(), "proc/20", 20, 80_000, "21");
        process(root.path(), "proc/21", 21, 4_000, "10");
        process(root.path(), "proc/30", 30, 1_000_000, "");
        let usage = usage(root.path()).unwrap();
        assert_eq!(usage.processes, 3, "99 has ended, 30 is not ours");
        assert_eq!(usage.rss_bytes, 96_000 * 1024);
        assert_eq!(usage.rss_peak_bytes, (96_000 + 300) * 1024);
        assert_eq!(usage.rss_anon_bytes, 24_000 * 1024);
        assert_eq!(usage.rss_file_bytes, 72_000 * 1024);
        assert_eq!(usage.cpu_us, 3 * 420_000);
        assert_eq!(usage.written_bytes, Some(3 * 4096));
        assert_eq!(usage.wakeups, 15);
        process(root.path(), "proc/10", 10, 12_000, "20");
        assert_eq!(usage_of(root.path(), 10), Some(usage));
        std::fs::remove_file(root.path().join("proc/20/io")).unwrap();
        assert_eq!(super::usage(root.path()).unwrap().written_bytes, None);
    }

    #[test]
    fn this_very_process_is_read() {
        let usage = usage(Path::new("/")).unwrap();
        assert!(usage.rss_bytes > 1 << 20, "{usage:?}");
        assert_eq!(own_id(Path::new("/")), Some(std::process::id()));
        assert_eq!(super::usage(Path::new("/nowhere")), None);
    }

    proptest::proptest! {
        // Each case writes files.
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn whatever_the_files_hold_is_a_reading_or_none(bytes: Vec<u8>, file in 0..5usize) {
            let root = made_up(&[]);
            process(root.path(), "proc/self", 10, 12_000, "");
            let files = ["stat", "status", "io", "task/10/status", "task/10/children"];
            put(root.path(), &format!("proc/self/{}", files[file]), &bytes);
            let _ = usage(root.path());
            let text = String::from_utf8_lossy(&bytes);
            let _ = (ticks(&text), resident(&text), field(&text, ""));
        }
    }
}
