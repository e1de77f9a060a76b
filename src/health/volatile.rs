//! Whether a folder is on volatile storage: memory, whose content is gone with the power. Imports
//! `tree` only.
//!
//! An appliance whose data partition cannot be mounted goes on with memory in its place, under an
//! overlay that looks like any other: so what lies under an overlay is followed.

use std::path::{Path, PathBuf};

use super::tree;

const MOUNTS: &str = "proc/self/mountinfo";
/// An overlay's upper layer may be on an overlay; the kernel allows two of them.
const MOST_LAYERS: usize = 4;

/// Whether what is written to `folder`, a complete path below `root`, is kept in memory only; `None`
/// where that cannot be told.
pub fn read(root: &Path, folder: &Path) -> Option<bool> {
    let mounts = tree::text(root, MOUNTS)?;
    let root = root.canonicalize().ok()?;
    let folder = folder.canonicalize().ok()?;
    is_volatile(
        &mounts,
        &Path::new("/").join(folder.strip_prefix(root).ok()?),
    )
}

fn is_volatile(mounts: &str, folder: &Path) -> Option<bool> {
    let mut folder = folder.to_owned();
    for _ in 0..MOST_LAYERS {
        let mount = mount_of(mounts, &folder)?;
        match mount.kind {
            "tmpfs" | "ramfs" => return Some(true),
            "overlay" => folder = mount.upper?,
            _ => return Some(false),
        }
    }
    None
}

struct Mount<'a> {
    point: PathBuf,
    kind: &'a str,
    /// Of an overlay: where what is written goes.
    upper: Option<PathBuf>,
}

/// The mount that `path` is on: the nearest above it, of several at one place the last.
fn mount_of<'a>(mounts: &'a str, path: &Path) -> Option<Mount<'a>> {
    let all = mounts.lines().filter_map(mount);
    all.filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// A line of mountinfo, see proc_pid_mountinfo(5):
/// `36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/root rw`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (place, kind) = line.split_once(" - ")?;
    let point = place.split(' ').nth(4)?;
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1)?);
    let upper = options.split(',').find_map(|o| o.strip_prefix("upperdir="));
    Some(Mount {
        point: plain(point),
        kind: name,
        upper: upper.map(plain),
    })
}

/// A path as it is: mountinfo has blanks and backslashes as `\040`.
fn plain(text: &str) -> PathBuf {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let code = rest.get(at + 1..at + 4);
        let byte = code.and_then(|code| u8::from_str_radix(code, 8).ok());
        plain.push_str(&rest[..at]);
        match byte {
            Some(byte) => plain.push(char::from(byte)),
            None => plain.push('\\'),
        }
        rest = &rest[at + if byte.is_some() { 4 } else { 1 }..];
    }
    plain.push_str(rest);
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "\
22 1 179:3 / / ro,relatime shared:1 - squashfs /dev/mmcblk0p3 ro,errors=continue
23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs dev rw,mode=755
30 22 179:6 / /data rw,noatime shared:9 - ext4 /dev/mmcblk0p6 rw
31 22 0:24 / /var rw,relatime shared:10 - overlay overlay rw,lowerdir=/var,upperdir=/data/overlay-var/upper,workdir=/data/overlay-var/work
40 31 0:31 / /var/cache rw shared:12 - tmpfs tmpfs rw,size=50%
";

    #[test]
    fn what_lies_under_an_overlay_counts() {
        let state = Path::new("/var/lib/anomalyd");
        assert_eq!(is_volatile(CARD, state), Some(false));
        let lost = CARD.replace(
            "179:6 / /data rw,noatime shared:9 - ext4 /dev/mmcblk0p6 rw",
            "0:22 / /data rw,relatime shared:9 - tmpfs tmpfs rw,size=50%",
        );
        assert_eq!(is_volatile(&lost, state), Some(true));
        // As the service's own namespace has it, where the folder is a mount by itself.
        let bound = "90 31 0:24 /lib/anomalyd /var/lib/anomalyd rw shared:10 - overlay overlay \
                     rw,lowerdir=/var,upperdir=/data/overlay-var/upper,workdir=/data/w";
        assert_eq!(is_volatile(&format!("{lost}{bound}"), state), Some(true));
        assert_eq!(is_volatile(&format!("{CARD}{bound}"), state), Some(false));
    }

    #[test]
    fn the_nearest_mount_counts_and_the_last_of_several() {
        let at = |path: &str| is_volatile(CARD, Path::new(path));
        assert_eq!(at("/var/cache/anomalyd"), Some(true));
        assert_eq!(at("/var/cached"), Some(false), "no part of /var/cache");
        assert_eq!(at("/srv"), Some(false));
        let over = format!("{CARD}50 22 0:40 / /data rw - tmpfs tmpfs rw\n");
        assert_eq!(is_volatile(&over, Path::new("/data/x")), Some(true));
    }

    #[test]
    fn blanks_in_names_and_lines_that_make_no_sense() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n5 1 0:9 / /my\\040state rw - ramfs r rw\n\
                      6 1 0:9 / /odd\\9 rw - tmpfs r rw\n";
        let at = |path: &str| is_volatile(mounts, Path::new(path));
        assert_eq!(at("/my state/of"), Some(true));
        assert_eq!(at("/odd\\9"), Some(true));
        assert_eq!(at("/else"), Some(false));
        assert_eq!(is_volatile("", Path::new("/")), None);
        // An overlay of which nothing says where it is written.
        let sealed = "1 0 0:9 / / rw - overlay o rw,lowerdir=/a\n";
        assert_eq!(is_volatile(sealed, Path::new("/")), None);
    }

    #[test]
    fn a_tree_is_read_below_its_root() {
        let root = tree::made_up(&[
            ("proc/self/mountinfo", "1 0 0:9 / / rw - tmpfs t rw\n"),
            ("var/lib/anomalyd/state", ""),
        ]);
        let folder = root.path().join("var/lib/anomalyd");
        assert_eq!(read(root.path(), &folder), Some(true));
        assert_eq!(read(root.path(), Path::new("/nowhere")), None);
        // This machine has mounts, whatever they are.
        assert_eq!(read(Path::new("/"), Path::new("/dev/shm")), Some(true));
    }
}
