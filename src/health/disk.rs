//! Space and inodes of the file system that holds the state directory. Imports nothing.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use serde::Serialize;

/// Nearly full below this much, or below a tenth of a smaller file system.
const LITTLE_BYTES: u64 = 200 << 20;
const LITTLE_INODES: u64 = 2_000;

/// A file system as an unprivileged program sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Disk {
    pub total_bytes: u64,
    pub free_bytes: u64,
    /// `None` where inodes are made as needed (btrfs, vfat).
    pub total_inodes: Option<u64>,
    pub free_inodes: Option<u64>,
    pub read_only: bool,
}

/// The file system of `folder`, which is taken as it is; `None` when it is not there.
pub fn read(folder: &Path) -> Option<Disk> {
    let found = statvfs(folder).ok()?;
    let block = found.fragment_size();
    // The kernel's counts are u64 here and u32 on 32-bit systems.
    #[allow(clippy::useless_conversion)]
    let wide = |count| u64::from(count);
    #[allow(clippy::useless_conversion)]
    let inodes = (u64::from(found.files()) > 0)
        .then_some((u64::from(found.files()), u64::from(found.files_available())));
    Some(Disk {
        total_bytes: wide(found.blocks()).saturating_mul(block),
        free_bytes: wide(found.blocks_available()).saturating_mul(block),
        total_inodes: inodes.map(|inodes| inodes.0),
        free_inodes: inodes.map(|inodes| inodes.1),
        read_only: found.flags().contains(FsFlags::ST_RDONLY),
    })
}

impl Disk {
    /// How scarce space or inodes are, whichever is worse: 1 is nearly full, 4 is a quarter of
    /// that left; `None` of a file system without a size.
    pub fn shortage(&self) -> Option<f64> {
        let inodes = self.total_inodes.zip(self.free_inodes);
        let of_inodes = inodes.and_then(|(total, free)| shortage(total, free, LITTLE_INODES));
        let of_space = shortage(self.total_bytes, self.free_bytes, LITTLE_BYTES)?;
        Some(of_inodes.map_or(of_space, |of_inodes| of_inodes.max(of_space)))
    }

    /// Whether inodes are scarcer than space.
    pub fn inodes_are_scarcer(&self) -> bool {
        let inodes = self.total_inodes.zip(self.free_inodes);
        let of_inodes = inodes.and_then(|(total, free)| shortage(total, free, LITTLE_INODES));
        of_inodes > shortage(self.total_bytes, self.free_bytes, LITTLE_BYTES)
    }
}

fn shortage(total: u64, free: u64, little: u64) -> Option<f64> {
    let little = little.min(total / 10);
    // Counts below 2^53 are exact, and no file system is near that.
    (total > 0).then(|| (little.max(1) as f64) / (free.max(1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(total_mib: u64, free_mib: u64) -> Disk {
        Disk {
            total_bytes: total_mib << 20,
            free_bytes: free_mib << 20,
            total_inodes: Some(100_000),
            free_inodes: Some(90_000),
            read_only: false,
        }
    }

    #[test]
    fn this_machine_has_a_disk() {
        let here = read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(here.total_bytes >= here.free_bytes && here.total_bytes > 0);
        assert_eq!(read(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn scarce_is_an_amount_on_large_disks_and_a_share_of_small_ones() {
        let near = |disk: Disk, wanted: f64| (disk.shortage().unwrap() - wanted).abs() < 0.01;
        assert!(near(disk(32_000, 200), 1.0));
        assert!(near(disk(32_000, 50), 4.0));
        assert!(near(disk(100, 10), 1.0));
        assert!(near(disk(100, 50), 0.2));
        assert!(disk(100, 0).shortage().unwrap() > 1000.0);
        assert_eq!(disk(0, 0).shortage(), None);
    }

    #[test]
    fn inodes_count_like_space() {
        let few = Disk {
            free_inodes: Some(500),
            ..disk(32_000, 20_000)
        };
        assert_eq!(few.shortage(), Some(4.0));
        assert!(few.inodes_are_scarcer());
        let none = Disk {
            total_inodes: None,
            free_inodes: None,
            ..disk(32_000, 200)
        };
        assert!(none.shortage().is_some() && !none.inodes_are_scarcer());
    }
}
