//! The clock of the processor: `/sys/devices/system/cpu/cpu0/cpufreq`. Imports `tree` only.
//!
//! The cores of a Raspberry Pi share one clock, so the first one's stands for all.

use std::path::Path;

use super::tree;

const FOLDER: &str = "sys/devices/system/cpu/cpu0/cpufreq";

/// MHz now.
pub fn current(root: &Path) -> Option<f64> {
    megahertz(root, "scaling_cur_freq")
}

/// MHz at most.
pub fn most(root: &Path) -> Option<f64> {
    megahertz(root, "cpuinfo_max_freq")
}

fn megahertz(root: &Path, file: &str) -> Option<f64> {
    let kilohertz: u32 = tree::number(root, Path::new(FOLDER).join(file))?;
    (kilohertz > 0).then(|| f64::from(kilohertz) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::{made_up, put};

    #[test]
    fn kilohertz_become_megahertz() {
        let root = made_up(&[
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                "600000\n",
            ),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
                "1800000\n",
            ),
        ]);
        assert_eq!(current(root.path()), Some(600.0));
        assert_eq!(most(root.path()), Some(1800.0));
        assert_eq!(current(Path::new("/nowhere")), None);
    }

    proptest::proptest! {
        // Each case writes files.
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn whatever_the_file_holds_is_a_reading_or_none(bytes: Vec<u8>) {
            let root = made_up(&[]);
            put(root.path(), "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", &bytes);
            proptest::prop_assert!(current(root.path()).is_none_or(|mhz| mhz > 0.0));
        }
    }
}
