//! Keeps the worker small, and lets the kernel take it first when memory runs out.

use std::fs;
use std::num::NonZero;

use nix::libc;

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
/// 90 MB will never run again, and what does (16 MB) comes back from the page cache.
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
    fn this_process_survives_it() {
        drop_file_pages();
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
