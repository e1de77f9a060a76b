//! The plant's 51 sensors: names, units, noise, resolution and transmitter ranges. Imports nothing.

/// What a sensor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorKind {
    /// A measured quantity with noise and a resolution.
    Measure,
    /// A pump or lamp: 1 stopped, 2 running.
    Drive,
    /// A valve: 0 travelling, 1 closed, 2 open.
    Valve,
}

/// One sensor of the plant.
#[derive(Debug, Clone, Copy)]
pub struct SensorSpec {
    /// The tag, such as `LIT101`.
    pub name: &'static str,
    /// The unit of its values; `state` for drives and valves.
    pub unit: &'static str,
    /// What it is, in a few words.
    pub meaning: &'static str,
    pub kind: SensorKind,
    /// Standard deviation of the white measurement noise, in `unit`.
    pub noise: f64,
    /// Values are whole multiples of this, in `unit`.
    pub resolution: f64,
    /// Decimals that write a value without loss.
    pub decimals: u8,
    /// The transmitter's range, in `unit`: readings are clipped to it.
    pub low: f64,
    pub high: f64,
    /// Usual peak-to-peak swing in normal operation, in `unit`; sizes the faults.
    pub swing: f64,
    /// Standard deviation of a slow calibration wander, in `unit`; 0 for a steady sensor.
    pub wander: f64,
    /// Correlation time of that wander, in hours.
    pub wander_hours: f64,
}

macro_rules! measure {
    ($tag:ident, $unit:literal, $meaning:literal, $noise:literal, $resolution:literal, $decimals:literal,
     $low:literal .. $high:literal, $swing:literal) => {
        measure!(
            $tag,
            $unit,
            $meaning,
            $noise,
            $resolution,
            $decimals,
            $low..$high,
            $swing,
            0.0,
            1.0
        )
    };
    ($tag:ident, $unit:literal, $meaning:literal, $noise:literal, $resolution:literal, $decimals:literal,
     $low:literal .. $high:literal, $swing:literal, $wander:literal, $hours:literal) => {
        SensorSpec {
            name: stringify!($tag),
            unit: $unit,
            meaning: $meaning,
            kind: SensorKind::Measure,
            noise: $noise,
            resolution: $resolution,
            decimals: $decimals,
            low: $low,
            high: $high,
            swing: $swing,
            wander: $wander,
            wander_hours: $hours,
        }
    };
}

const fn state(name: &'static str, kind: SensorKind, meaning: &'static str) -> SensorSpec {
    SensorSpec {
        name,
        unit: "state",
        meaning,
        kind,
        noise: 0.0,
        resolution: 1.0,
        decimals: 0,
        low: 0.0,
        high: 2.0,
        swing: 1.0,
        wander: 0.0,
        wander_hours: 1.0,
    }
}

/// Number of sensors.
pub const COUNT: usize = 51;

/// All sensors, in the order of the columns.
#[rustfmt::skip]
pub const SENSORS: &[SensorSpec; COUNT] = &[
    state("MV101", SensorKind::Valve, "raw water inlet valve"),
    measure!(FIT101, "m3/h", "raw water inflow", 0.012, 0.001, 3, 0.0..6.0, 3.1),
    measure!(TIT101, "degC", "raw water temperature", 0.02, 0.01, 2, -5.0..45.0, 3.0),
    measure!(LIT101, "mm", "raw water tank level", 0.5, 0.1, 1, 0.0..1250.0, 320.0),
    state("P101", SensorKind::Drive, "raw water transfer pump"),
    state("P102", SensorKind::Drive, "raw water transfer pump, standby"),
    measure!(FIT201, "m3/h", "transfer flow", 0.010, 0.001, 3, 0.0..5.0, 2.5),
    state("MV201", SensorKind::Valve, "ultrafiltration feed tank inlet valve"),
    measure!(AIT201, "uS/cm", "raw water conductivity", 0.25, 0.1, 1, 0.0..1000.0, 25.0, 2.5, 4.0),
    measure!(AIT202, "pH", "pH after acid dosing", 0.008, 0.01, 2, 0.0..14.0, 0.4),
    measure!(AIT203, "mV", "oxidation potential after chlorination", 1.2, 0.1, 1, -500.0..1200.0, 90.0),
    state("P203", SensorKind::Drive, "acid dosing pump"),
    state("P204", SensorKind::Drive, "acid dosing pump, standby"),
    state("P205", SensorKind::Drive, "hypochlorite dosing pump"),
    state("P206", SensorKind::Drive, "hypochlorite dosing pump, standby"),
    measure!(LIT301, "mm", "ultrafiltration feed tank level", 0.5, 0.1, 1, 0.0..1250.0, 220.0),
    state("P301", SensorKind::Drive, "ultrafiltration feed pump"),
    state("P302", SensorKind::Drive, "ultrafiltration feed pump, standby"),
    measure!(FIT301, "m3/h", "ultrafiltration flow", 0.010, 0.001, 3, 0.0..5.0, 2.2),
    measure!(DPIT301, "kPa", "ultrafiltration differential pressure", 0.12, 0.01, 2, 0.0..100.0, 25.0),
    state("MV301", SensorKind::Valve, "backwash inlet valve"),
    state("MV302", SensorKind::Valve, "ultrafiltration outlet valve"),
    state("MV303", SensorKind::Valve, "ultrafiltration drain valve"),
    measure!(LIT401, "mm", "reverse osmosis feed tank level", 0.5, 0.1, 1, 0.0..1250.0, 220.0),
    state("P401", SensorKind::Drive, "reverse osmosis feed pump"),
    state("P402", SensorKind::Drive, "reverse osmosis feed pump, standby"),
    measure!(FIT401, "m3/h", "reverse osmosis feed flow", 0.008, 0.001, 3, 0.0..4.0, 1.8),
    measure!(AIT401, "ppm", "hardness of the reverse osmosis feed", 0.2, 0.1, 1, 0.0..500.0, 10.0, 1.2, 5.0),
    measure!(AIT402, "mV", "oxidation potential after dechlorination", 1.0, 0.1, 1, -500.0..1200.0, 120.0),
    state("UV401", SensorKind::Drive, "ultraviolet dechlorination lamp"),
    state("P403", SensorKind::Drive, "bisulphite dosing pump"),
    state("P404", SensorKind::Drive, "bisulphite dosing pump, standby"),
    state("P501", SensorKind::Drive, "reverse osmosis high-pressure pump"),
    state("P502", SensorKind::Drive, "reverse osmosis high-pressure pump, standby"),
    measure!(FIT501, "m3/h", "membrane feed flow", 0.008, 0.001, 3, 0.0..5.0, 2.2),
    measure!(FIT502, "m3/h", "permeate flow", 0.006, 0.001, 3, 0.0..3.0, 1.25),
    measure!(FIT503, "m3/h", "reject flow", 0.005, 0.001, 3, 0.0..3.0, 0.6),
    measure!(FIT504, "m3/h", "recirculation flow", 0.004, 0.001, 3, 0.0..2.0, 0.4),
    measure!(PIT501, "kPa", "membrane feed pressure", 1.5, 0.5, 1, 0.0..1600.0, 900.0),
    measure!(PIT502, "kPa", "permeate pressure", 0.15, 0.05, 2, 0.0..200.0, 35.0),
    measure!(PIT503, "kPa", "reject pressure", 1.5, 0.5, 1, 0.0..1600.0, 850.0),
    measure!(AIT501, "pH", "membrane feed pH", 0.008, 0.01, 2, 0.0..14.0, 0.1),
    measure!(AIT502, "mV", "membrane feed oxidation potential", 1.0, 0.1, 1, -500.0..1200.0, 60.0, 4.0, 3.0),
    measure!(AIT503, "uS/cm", "membrane feed conductivity", 0.4, 0.1, 1, 0.0..2000.0, 90.0),
    measure!(AIT504, "uS/cm", "permeate conductivity", 0.04, 0.01, 2, 0.0..200.0, 8.0),
    measure!(LIT601, "mm", "product tank level", 0.5, 0.1, 1, 0.0..1250.0, 180.0),
    state("P601", SensorKind::Drive, "distribution pump"),
    measure!(FIT601, "m3/h", "distribution flow", 0.008, 0.001, 3, 0.0..3.0, 0.6),
    measure!(LIT602, "mm", "backwash tank level", 0.5, 0.1, 1, 0.0..1250.0, 100.0),
    state("P602", SensorKind::Drive, "backwash pump"),
    measure!(FIT602, "m3/h", "backwash flow", 0.012, 0.001, 3, 0.0..6.0, 3.0),
];

/// A sensor's column, by the name it has in [`SENSORS`]; the two are in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::upper_case_acronyms)]
#[rustfmt::skip]
pub enum Tag {
    MV101, FIT101, TIT101, LIT101, P101, P102, FIT201, MV201, AIT201, AIT202, AIT203, P203, P204,
    P205, P206, LIT301, P301, P302, FIT301, DPIT301, MV301, MV302, MV303, LIT401, P401, P402,
    FIT401, AIT401, AIT402, UV401, P403, P404, P501, P502, FIT501, FIT502, FIT503, FIT504, PIT501,
    PIT502, PIT503, AIT501, AIT502, AIT503, AIT504, LIT601, P601, FIT601, LIT602, P602, FIT602,
}

impl Tag {
    /// Column in [`SENSORS`].
    pub fn column(self) -> usize {
        self as usize
    }

    pub fn name(self) -> &'static str {
        SENSORS[self.column()].name
    }
}

/// Column of the sensor called `name`.
pub fn column_of(name: &str) -> Option<usize> {
    SENSORS.iter().position(|sensor| sensor.name == name)
}

impl SensorSpec {
    /// `value` as the transmitter gives it: within the range, a multiple of the resolution.
    pub fn digitise(&self, value: f64) -> f64 {
        // The decimal digits, not the resolution, are divided by last: 7.05 must be the double
        // nearest to 7.05, so that a recording reads back to the very same values.
        let scale = f64::from(10_u32.pow(u32::from(self.decimals)));
        let steps = (value.clamp(self.low, self.high) / self.resolution).round();
        (steps * self.resolution * scale).round() / scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_specifications_are_in_the_same_order() {
        assert_eq!(Tag::FIT602.column() + 1, COUNT);
        assert_eq!(format!("{:?}", Tag::AIT401), Tag::AIT401.name());
        // Every name must occur once, and the derived Debug name of each tag is its own.
        for (tag, name) in [
            (Tag::MV101, "MV101"),
            (Tag::P206, "P206"),
            (Tag::DPIT301, "DPIT301"),
            (Tag::MV303, "MV303"),
            (Tag::P501, "P501"),
            (Tag::PIT503, "PIT503"),
            (Tag::FIT602, "FIT602"),
        ] {
            assert_eq!(column_of(name), Some(tag.column()));
        }
        let mut names: Vec<_> = SENSORS.iter().map(|sensor| sensor.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNT);
    }

    #[test]
    fn a_reading_is_clipped_and_a_multiple_of_the_resolution() {
        let level = &SENSORS[Tag::LIT101.column()];
        assert_eq!(level.digitise(812.3456), 812.3);
        assert_eq!(level.digitise(-3.0), 0.0);
        assert_eq!(level.digitise(9999.0), 1250.0);
        let pressure = &SENSORS[Tag::PIT502.column()];
        assert_eq!(pressure.digitise(34.97), 34.95);
    }
}
