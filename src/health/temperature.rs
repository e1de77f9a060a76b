//! The temperature of the SoC: `/sys/class/thermal/thermal_zone*`. Imports `tree` only.

use std::path::{Path, PathBuf};

use super::tree;

const FOLDER: &str = "sys/class/thermal";

/// Names that kernels give the zone of the processor; the Raspberry Pi's is the first.
const PROCESSOR: [&str; 5] = [
    "cpu-thermal",
    "soc-thermal",
    "soc_thermal",
    "x86_pkg_temp",
    "cpu_thermal",
];

/// The zone of the processor by its type, else the first that has a temperature.
pub fn find_zone(root: &Path) -> Option<PathBuf> {
    let zones: Vec<PathBuf> = tree::names(root, FOLDER)
        .into_iter()
        .filter(|name| name.starts_with("thermal_zone"))
        .map(|name| Path::new(FOLDER).join(name))
        .filter(|zone| read(root, zone).is_some())
        .collect();
    let of_processor = zones.iter().find(|zone| {
        tree::text(root, zone.join("type")).is_some_and(|kind| PROCESSOR.contains(&kind.as_str()))
    });
    of_processor.or(zones.first()).cloned()
}

/// Degrees Celsius of a zone that [`find_zone`] gave.
pub fn read(root: &Path, zone: &Path) -> Option<f64> {
    parse(&tree::text(root, zone.join("temp"))?)
}

fn parse(millidegrees: &str) -> Option<f64> {
    let celsius = f64::from(millidegrees.parse::<i32>().ok()?) / 1000.0;
    // A sensor that is not powered says -273 or a number of its own.
    (-60.0..=200.0).contains(&celsius).then_some(celsius)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::made_up;

    #[test]
    fn the_processors_zone_is_taken_wherever_it_stands() {
        let root = made_up(&[
            ("sys/class/thermal/thermal_zone0/temp", "30000\n"),
            ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
            ("sys/class/thermal/thermal_zone1/temp", "61345\n"),
            ("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n"),
            ("sys/class/thermal/cooling_device0/type", "fan\n"),
        ]);
        let zone = find_zone(root.path()).unwrap();
        assert!(zone.ends_with("thermal_zone1"));
        assert_eq!(read(root.path(), &zone), Some(61.345));
    }

    #[test]
    fn a_zone_without_a_sensible_temperature_is_none() {
        let root = made_up(&[
            ("sys/class/thermal/thermal_zone0/temp", "-273000\n"),
            ("sys/class/thermal/thermal_zone1/temp", "hot\n"),
            ("sys/class/thermal/thermal_zone2/temp", "40000\n"),
        ]);
        let zone = find_zone(root.path()).unwrap();
        assert_eq!(read(root.path(), &zone), Some(40.0));
        assert_eq!(find_zone(Path::new("/nowhere")), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_file_holds_is_a_reading_or_none(bytes: Vec<u8>) {
            let text = String::from_utf8_lossy(&bytes);
            let read = parse(&text);
            proptest::prop_assert!(read.is_none_or(|c| c.abs() <= 200.0));
        }
    }
}
