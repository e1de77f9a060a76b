//! Pressure stall information: how much of the time tasks wait for memory or a processor
//! (`/proc/pressure`, and a cgroup's own `memory.pressure`, `cpu.pressure`). Imports `tree` only.
//!
//! The Raspberry Pi's kernel has it but switched off: `psi=1` on its command line switches it on.

use std::path::Path;

use serde::Serialize;

use super::tree;

/// How much was waited for one resource; shares are of the last 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pressure {
    /// Share of the time in which at least one task waited.
    pub some_avg10_percent: f64,
    pub some_total_us: u64,
    /// Share of the time in which all tasks waited at once; older kernels have none for the
    /// processor.
    pub full_avg10_percent: Option<f64>,
    pub full_total_us: Option<u64>,
}

/// Reads a pressure file, such as `proc/pressure/memory`.
pub fn read(root: &Path, path: impl AsRef<Path>) -> Option<Pressure> {
    parse(&tree::text(root, path)?)
}

fn parse(text: &str) -> Option<Pressure> {
    let line = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let value = |key: &str| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let percent: f64 = value("avg10")?.parse().ok()?;
        let total: u64 = value("total")?.parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some((percent, total))
    };
    let some = line("some ")?;
    let full = line("full ");
    Some(Pressure {
        some_avg10_percent: some.0,
        some_total_us: some.1,
        full_avg10_percent: full.map(|full| full.0),
        full_total_us: full.map(|full| full.1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read() {
        let text = "some avg10=12.50 avg60=3.00 avg300=0.10 total=23490207\n\
                    full avg10=1.25 avg60=0.00 avg300=0.00 total=5065329";
        let pressure = parse(text).unwrap();
        assert_eq!(pressure.some_avg10_percent, 12.5);
        assert_eq!(pressure.some_total_us, 23_490_207);
        assert_eq!(pressure.full_avg10_percent, Some(1.25));
        assert_eq!(pressure.full_total_us, Some(5_065_329));
    }

    #[test]
    fn older_kernels_have_no_full_line_for_the_processor() {
        let pressure = parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=5").unwrap();
        assert_eq!(pressure.full_avg10_percent, None);
    }

    #[test]
    fn what_makes_no_sense_is_no_reading() {
        for text in [
            "",
            "some",
            "some avg10=x total=1",
            "some avg10=101.0 total=1",
            "some avg10=NaN total=1",
            "full avg10=1.0 total=1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn shares_are_shares_whatever_the_file_holds(bytes: Vec<u8>, tail in ".*") {
            let _ = parse(&String::from_utf8_lossy(&bytes));
            let pressure = parse(&format!("some avg10={tail} total=1"));
            let share = |p: Pressure| (0.0..=100.0).contains(&p.some_avg10_percent);
            proptest::prop_assert!(pressure.is_none_or(share));
        }
    }
}
