//! Throttling and under-voltage of a Raspberry Pi. Imports `mailbox` and `tree` only.
//!
//! The firmware's bits, from the first of these that answers: its mailbox; the deprecated
//! `get_throttled` in sysfs; the alarm of the `rpi_volt` sensor, which knows under-voltage only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mailbox::{Mailbox, hexadecimal};
use super::tree;

const SYSFS: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
const HWMON: &str = "sys/class/hwmon";

/// What the firmware says of power and heat; `None` where the source does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Throttle {
    pub under_voltage: Option<bool>,
    pub frequency_capped: Option<bool>,
    pub throttled: Option<bool>,
    /// The soft temperature limit is reached.
    pub temperature_limited: Option<bool>,
    pub under_voltage_since_boot: Option<bool>,
    pub frequency_capped_since_boot: Option<bool>,
    pub throttled_since_boot: Option<bool>,
    pub temperature_limited_since_boot: Option<bool>,
}

impl Throttle {
    /// The bits of `get_throttled`, as the firmware's documentation numbers them.
    pub fn from_bits(bits: u32) -> Self {
        let bit = |number: u32| Some(bits >> number & 1 == 1);
        Throttle {
            under_voltage: bit(0),
            frequency_capped: bit(1),
            throttled: bit(2),
            temperature_limited: bit(3),
            under_voltage_since_boot: bit(16),
            frequency_capped_since_boot: bit(17),
            throttled_since_boot: bit(18),
            temperature_limited_since_boot: bit(19),
        }
    }

    /// Slowed down now, for heat or want of power.
    pub fn slowed(&self) -> Option<bool> {
        any(&[
            self.frequency_capped,
            self.throttled,
            self.temperature_limited,
        ])
    }

    /// Slowed down since boot, or now.
    pub fn slowed_since_boot(&self) -> Option<bool> {
        any(&[
            self.frequency_capped_since_boot,
            self.throttled_since_boot,
            self.temperature_limited_since_boot,
            self.slowed(),
        ])
    }
}

/// Whether one of those that are known holds.
fn any(bits: &[Option<bool>]) -> Option<bool> {
    let known = bits.iter().flatten();
    known.copied().reduce(|one, other| one | other)
}

/// Where the bits come from on this machine.
#[derive(Debug)]
pub struct ThrottleSource {
    root: PathBuf,
    mailbox: Option<Mailbox>,
    /// `in0_lcrit_alarm` of the supply's sensor.
    alarm: Option<PathBuf>,
}

impl ThrottleSource {
    pub fn find(root: &Path) -> Self {
        ThrottleSource {
            root: root.to_owned(),
            mailbox: Mailbox::open(root),
            alarm: supply_alarm(root),
        }
    }

    pub fn read(&self) -> Option<Throttle> {
        let bits = self.mailbox.as_ref().and_then(Mailbox::throttled);
        let bits = bits.or_else(|| hexadecimal(&tree::text(&self.root, SYSFS)?));
        bits.map(Throttle::from_bits).or_else(|| {
            let alarm: u8 = tree::number(&self.root, self.alarm.as_ref()?)?;
            Some(Throttle {
                under_voltage: Some(alarm != 0),
                ..Throttle::default()
            })
        })
    }
}

fn supply_alarm(root: &Path) -> Option<PathBuf> {
    tree::names(root, HWMON)
        .into_iter()
        .map(|name| Path::new(HWMON).join(name))
        .find(|sensor| {
            tree::text(root, sensor.join("name")).is_some_and(|name| name.starts_with("rpi_volt"))
        })
        .map(|sensor| sensor.join("in0_lcrit_alarm"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::{made_up, put};

    #[test]
    fn the_bits_are_where_the_firmware_puts_them() {
        let throttle = Throttle::from_bits(0x5_0005);
        assert_eq!(throttle.under_voltage, Some(true));
        assert_eq!(throttle.frequency_capped, Some(false));
        assert_eq!(throttle.throttled, Some(true));
        assert_eq!(throttle.under_voltage_since_boot, Some(true));
        assert_eq!(throttle.throttled_since_boot, Some(true));
        assert_eq!(throttle.temperature_limited_since_boot, Some(false));
        assert_eq!(throttle.slowed(), Some(true));
        let before = Throttle::from_bits(0x8_0000);
        assert_eq!(before.slowed(), Some(false));
        assert_eq!(before.slowed_since_boot(), Some(true));
        assert_eq!(Throttle::default().slowed_since_boot(), None);
    }

    #[test]
    fn the_best_source_that_answers_is_taken() {
        let root = made_up(&[
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ]);
        let by_alarm = ThrottleSource::find(root.path()).read().unwrap();
        assert_eq!(by_alarm.under_voltage, Some(true));
        assert_eq!(by_alarm.slowed(), None, "the sensor does not tell");

        put(root.path(), SYSFS, "4\n");
        let by_sysfs = ThrottleSource::find(root.path()).read().unwrap();
        assert_eq!(by_sysfs, Throttle::from_bits(4));

        put(root.path(), "dev/vcio", "0x20002");
        let source = ThrottleSource::find(root.path());
        assert_eq!(source.read(), Some(Throttle::from_bits(0x2_0002)));
        // A mailbox that falls silent leaves the next source.
        put(root.path(), "dev/vcio", "?");
        assert_eq!(source.read(), Some(Throttle::from_bits(4)));

        assert_eq!(ThrottleSource::find(Path::new("/nowhere")).read(), None);
    }

    proptest::proptest! {
        // Each case writes files.
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn whatever_the_files_hold_is_a_reading_or_none(bytes: Vec<u8>, file in 0..3usize) {
            let root = made_up(&[("sys/class/hwmon/hwmon1/name", "rpi_volt\n")]);
            let paths = ["dev/vcio", SYSFS, "sys/class/hwmon/hwmon1/in0_lcrit_alarm"];
            put(root.path(), paths[file], &bytes);
            let _ = ThrottleSource::find(root.path()).read();
        }
    }
}
