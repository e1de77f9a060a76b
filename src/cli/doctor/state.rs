//! The state directory and the disk it is on. Imports `config` and `health`.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Check;
use crate::config::Settings;
use crate::health::{disk, tree, volatile};

const FOLDER: &str = "state directory";
const DISK: &str = "disk";
/// Where it is unless the configuration says otherwise.
const DEFAULT: &str = "var/lib/anomalyd";
const USER: &str = "anomalyd";

pub fn checks(root: &Path, settings: Option<&Settings>) -> Vec<Check> {
    let folder = settings.map_or_else(
        || tree::below(root, DEFAULT),
        |settings| settings.state_directory.clone(),
    );
    vec![state(root, &folder), space(&folder)]
}

fn state(root: &Path, folder: &Path) -> Check {
    let shown = folder.display();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let remedy = "move it away and start the service";
            return Check::fail(FOLDER, format!("{shown} is no folder"), remedy);
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let text = format!("{shown} cannot be looked at; try sudo anomalyd doctor");
            return Check::skip(FOLDER, text);
        }
        Err(_) => {
            let remedy = "systemctl start anomalyd makes it";
            return Check::fail(FOLDER, format!("{shown} is not there"), remedy);
        }
    };
    let read_only = disk::read(folder).is_some_and(|disk| disk.read_only);
    if read_only {
        return Check::fail(
            FOLDER,
            format!("{shown} is on a file system that is mounted read-only"),
            "mount a writable one there; nothing learnt or acknowledged is kept without",
        );
    }
    if volatile::read(root, folder) == Some(true) {
        return Check::fail(
            FOLDER,
            format!("{shown} is in memory: what is learnt and kept is lost with the power"),
            "mount a disk there; on the appliance the data partition could not be mounted: \
             journalctl -k, then another card",
        );
    }
    if metadata.mode() & 0o200 == 0 {
        let remedy = format!("chmod u+w {shown}");
        return Check::fail(FOLDER, format!("{shown} is read-only"), remedy);
    }
    match user(root) {
        Some(id) if id != metadata.uid() => Check::fail(
            FOLDER,
            format!(
                "{shown} belongs to another user (number {})",
                metadata.uid()
            ),
            format!("chown -R {USER}:{USER} {shown}"),
        ),
        Some(_) => Check::ok(FOLDER, format!("{shown} is {USER}'s")),
        None => Check::ok(FOLDER, format!("{shown} is writable (no user {USER} here)")),
    }
}

/// The id of the service's user.
fn user(root: &Path) -> Option<u32> {
    let users = tree::text(root, "etc/passwd")?;
    let line = users
        .lines()
        .find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'))?;
    line.split(':').nth(1)?.parse().ok()
}

fn space(folder: &Path) -> Check {
    // Before the first start, the disk is that of the nearest folder above.
    let above = folder.ancestors().find(|folder| folder.is_dir());
    match above.and_then(disk::read) {
        Some(disk) => judge(&disk, folder),
        None => Check::skip(DISK, "its size cannot be read"),
    }
}

fn judge(disk: &disk::Disk, folder: &Path) -> Check {
    let free = format!("{} MB free", disk.free_bytes / 1_000_000);
    let share = |free: u64, total: u64| 100 * u128::from(free) / u128::from(total.max(1));
    let remedy = "journalctl --vacuum-size=50M and apt clean make some";
    match disk.shortage() {
        None => Check::skip(DISK, "its file system has no size"),
        Some(shortage) if shortage >= 1.0 && disk.inodes_are_scarcer() => Check::fail(
            DISK,
            format!("{} more files fit (inodes)", disk.free_inodes.unwrap_or(0)),
            format!(
                "delete files that nobody needs on the disk of {}",
                folder.display()
            ),
        ),
        Some(shortage) if shortage >= 1.0 => Check::fail(
            DISK,
            format!("nearly full, {free}"),
            format!("make room for {}: {remedy}", folder.display()),
        ),
        Some(_) => {
            let inodes = disk.total_inodes.zip(disk.free_inodes);
            let inodes = inodes.map_or_else(String::new, |(total, free)| {
                format!(", {} % of inodes", share(free, total))
            });
            let space = share(disk.free_bytes, disk.total_bytes);
            Check::ok(DISK, format!("{free} ({space} %{inodes})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;
    use crate::health::disk::Disk;

    #[test]
    fn a_disk_that_is_nearly_full_fails_by_what_is_scarce() {
        let roomy = Disk {
            total_bytes: 32_000_000_000,
            free_bytes: 8_000_000_000,
            total_inodes: Some(1_000_000),
            free_inodes: Some(500_000),
            read_only: false,
        };
        let judge = |disk: Disk| judge(&disk, Path::new("/var/lib/anomalyd"));
        let good = judge(roomy);
        assert_eq!(good.verdict, Verdict::Ok);
        assert_eq!(good.found, "8000 MB free (25 %, 50 % of inodes)");
        let full = judge(Disk {
            free_bytes: 12_000_000,
            ..roomy
        });
        assert_eq!(full.verdict, Verdict::Fail);
        assert_eq!(full.found, "nearly full, 12 MB free");
        let crowded = judge(Disk {
            free_inodes: Some(3),
            ..roomy
        });
        assert_eq!(crowded.found, "3 more files fit (inodes)");
        let sizeless = judge(Disk {
            total_bytes: 0,
            ..roomy
        });
        assert_eq!(sizeless.verdict, Verdict::Skip);
    }
}
