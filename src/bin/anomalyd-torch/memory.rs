//! Keeps the worker small, and lets the kernel take it first when memory runs out.

use std::fs;
use std::num::NonZero;
use std::os::unix::fs::FileExt;

use nix::libc;
use nix::unistd::{SysconfVar, sysconf};

/// Of a piece. On x86-64 27 to 28 MB of files' pages become 15 with 4, for 1400 mappings more of some 200 bytes each in
/// the kernel; 12 with 2, for 2700; 11 with 1, for 5100.
const PIECE_PAGES: usize = 4;

/// Makes this process the first to be killed when memory runs out: anomalyd restarts it, while
/// nobody would restart what it would have been killed instead of.
pub fn be_killed_first() {
    // A kernel without the file has no killer to advise either.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}

/// Lets freed tensors be reused rather than returned to the kernel and faulted in again: a fifth of
/// a training step's time otherwise.
pub fn keep_freed_memory() {
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, 1 << 30),
        (libc::M_TRIM_THRESHOLD, i32::MAX),
    ] {
        // SAFETY: mallopt takes two integers, refuses what it does not know, and is called before
        // any other thread allocates.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Takes the pages of mapped files out of this process: once the model is warm most of libtorch's
/// 90 MB will never run again, and what does comes back from the page cache.
///
/// Only pages that no one wrote to are taken (a library's relocated pages are not in its file any
/// more). Where the kernel does not say, nothing is done.
pub fn drop_file_pages() {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for Range { start, length } in untouched_file_ranges(&maps) {
        // SAFETY: the range is one mapping of this process, of a file, private, not writable and
        // with no page of its own: any page dropped reads back the same from the file. The
        // mappings of libraries do not change after the warm-up.
        //
        // Not MADV_PAGEOUT, which spares the page cache nothing it could not take by itself, and
        // is permitted to the owner of the file only: the service does not own libtorch.
        unsafe {
            libc::madvise(
                start as *mut libc::c_void,
                length.get(),
                libc::MADV_DONTNEED,
            )
        };
    }
}

/// Has the kernel bring fewer pages of libraries along with one that is touched. It maps up to sixteen that lie around
/// it in the same mapping (`fault_around_bytes`), of which most never run. So mappings are cut into pieces where
/// they are in use now, by advising every other piece differently: a fault stays within its piece.
///
/// The advice itself, to read nothing ahead, matters only where a page is no longer in the page cache. Where the kernel
/// does not say what is in use, nothing is done.
pub fn map_in_small_pieces() {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let Ok(pages) = fs::File::open("/proc/self/pagemap") else {
        return;
    };
    let piece = PIECE_PAGES * page_bytes();
    for Range { start, length } in untouched_file_ranges(&maps) {
        let Some(present) = present(&pages, start, length.get()) else {
            continue;
        };
        let pieces = present.chunks(PIECE_PAGES).enumerate();
        for (place, _) in pieces.filter(|(place, pages)| place % 2 == 1 && pages.contains(&true)) {
            let at = start + place * piece;
            let bytes = piece.min(start + length.get() - at);
            // SAFETY: the piece lies in one mapping of this process; the advice changes how its pages are
            // read, never what they hold.
            unsafe { libc::madvise(at as *mut libc::c_void, bytes, libc::MADV_RANDOM) };
        }
    }
}

/// Which pages of `length` bytes from `start` are mapped, by the text that proc_pid_pagemap(5) describes.
fn present(pagemap: &fs::File, start: usize, length: usize) -> Option<Vec<bool>> {
    const ENTRY: usize = 8;
    const PRESENT: u64 = 1 << 63;
    let mut entries = vec![0; length / page_bytes() * ENTRY];
    let place = (start / page_bytes() * ENTRY) as u64;
    pagemap.read_exact_at(&mut entries, place).ok()?;
    let entries = entries.as_chunks::<ENTRY>().0.iter();
    Some(
        entries
            .map(|entry| u64::from_ne_bytes(*entry) & PRESENT != 0)
            .collect(),
    )
}

fn page_bytes() -> usize {
    let bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(4096)
}

#[derive(Debug, PartialEq)]
struct Range {
    start: usize,
    length: NonZero<usize>,
}

/// The read-only private mappings of files of which no page was ever written, from the text of
/// `/proc/PID/smaps`.
fn untouched_file_ranges(smaps: &str) -> Vec<Range> {
    let mut ranges = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(header) = header(line) {
            current = header;
        } else if let Some(amount) = line.strip_prefix("Anonymous:")
            && amount.trim() == "0 kB"
        {
            ranges.extend(current.take());
        }
    }
    ranges
}

/// None for a line that begins no mapping; Some(None) for one that begins a mapping to leave alone.
fn header(line: &str) -> Option<Option<Range>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    );
    let permissions = fields.next()?;
    let file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    let safe = file && matches!(permissions, "r--p" | "r-xp");
    Some(
        NonZero::new(end.saturating_sub(start))
            .filter(|_| safe)
            .map(|length| Range { start, length }),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn only_unwritten_read_only_file_mappings_are_chosen() {
        let smaps = "\
7f10a000-7f10c000 r-xp 00001000 fe:00 812 /usr/lib/libtorch_cpu.so.2.6.0
Rss:                   8 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
7f10c000-7f10e000 r--p 00003000 fe:00 812 /usr/lib/libtorch_cpu.so.2.6.0
Anonymous:             8 kB
7f10e000-7f10f000 rw-p 00005000 fe:00 812 /usr/lib/libtorch_cpu.so.2.6.0
Anonymous:             0 kB
7f10f000-7f110000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffd0000-7ffd1000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7f200000-7f201000 r--s 00000000 fe:00 9 /usr/lib/gconv-modules.cache
Anonymous:             0 kB
7f300000-7f303000 r--p 00000000 fe:00 9 /usr/lib/a name with spaces.so
Anonymous:             0 kB
";
        let range = |start, length| Range {
            start,
            length: NonZero::new(length).unwrap(),
        };
        assert_eq!(
            untouched_file_ranges(smaps),
            [range(0x7f10_a000, 0x2000), range(0x7f30_0000, 0x3000)]
        );
    }

    #[test]
    fn what_runs_is_present_and_stays_what_it_was() {
        let pages = fs::File::open("/proc/self/pagemap").unwrap();
        let here = what_runs_is_present_and_stays_what_it_was as fn() as usize;
        let page = here / page_bytes() * page_bytes();
        assert_eq!(present(&pages, page, page_bytes()), Some(vec![true]));
        map_in_small_pieces();
        drop_file_pages();
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }

    #[test]
    fn a_touch_brings_its_piece_and_no_more() {
        const PAGES: usize = 64;
        let length = PAGES * page_bytes();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        // SAFETY: a new mapping at a place that the kernel chooses, of a file that is as long, and that
        // nobody cuts; it is unmapped nowhere.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        let touch = || {
            // SAFETY: within the mapping, which is readable.
            let byte = unsafe { start.cast::<u8>().add(33 * page_bytes()).read_volatile() };
            assert_eq!(byte, 7);
            let pages = fs::File::open("/proc/self/pagemap").unwrap();
            let present = present(&pages, start.addr(), length).unwrap();
            present.into_iter().filter(|present| *present).count()
        };
        let before = touch();
        map_in_small_pieces();
        drop_file_pages();
        let after = touch();
        assert!((1..=PIECE_PAGES).contains(&after), "{after}");
        // Where the kernel brings no page along there is nothing to be gained.
        assert!(after <= before, "{after} of {before}");
    }
}
