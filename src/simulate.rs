//! A simulated water-treatment plant with 51 sensors, and faults to test a detector with. May
//! import `frame`; nothing that detects.
//!
//! Raw water is dosed with acid and hypochlorite, ultrafiltered, dechlorinated and pressed through
//! reverse osmosis into a product tank that the consumers empty; the reject fills a backwash tank.
//! Controllers see nothing but the sensors. `docs/simulator.md` describes plant and faults.
//!
//! ```text
//! surroundings ─► hydraulics ─► quality ─► measurement ─► faults ─► frame
//!                     ▲                                     │
//!                 equipment ◄──────── control ◄─────────────┘
//! ```

mod control;
mod equipment;
pub mod faults;
mod hydraulics;
mod quality;
mod random;
pub mod record;
mod sensors;
mod surroundings;

use std::ops::Range;
use std::time::Duration;

use crate::frame::Timestamp;
use control::{Control, Readings};
use equipment::Equipment;
use faults::{Fault, FaultKind, Injector};
use hydraulics::Hydraulics;
use quality::Quality;
use random::{Random, Wander};
use surroundings::{SetPoints, Surroundings};

pub use sensors::{COUNT, SENSORS, SensorKind, SensorSpec, Tag, column_of};

/// The longest step of the physics; longer frame periods are divided.
const LONGEST_STEP_NANOS: i64 = 1_000_000_000;
/// Seconds that the plant has run before its first frame, so that nothing is just starting.
const WARM_UP_SECONDS: i64 = 7_200;
const DAY_NANOS: i64 = 86_400_000_000_000;

/// When a fault could be noticed in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultEvent {
    pub kind: FaultKind,
    /// Rows of the recording, half-open.
    pub rows: Range<u64>,
    /// Columns that an explanation may name.
    pub targets: Vec<usize>,
}

/// The plant. Equal arguments give equal frames on one machine; seeds are different days.
#[derive(Debug, Clone)]
pub struct Plant {
    period: i64,
    steps_per_frame: i64,
    /// Steps since the first frame; that one is step 0.
    step: i64,
    /// Second of the day of the first frame.
    start_second: f64,
    surroundings: Surroundings,
    set_points: SetPoints,
    equipment: Equipment,
    water: Hydraulics,
    quality: Quality,
    control: Control,
    noise: Random,
    wander: Vec<(usize, Wander)>,
    injector: Injector,
    sensed: Readings,
    recorded: Readings,
}

impl Plant {
    /// The day of `seed` from midnight on, a frame each `period`, without faults. Periods below
    /// 1 ms count as 1 ms.
    pub fn new(seed: u64, period: Duration) -> Self {
        Plant::with_faults(seed, period, Timestamp::EPOCH, Vec::new())
    }

    /// The same with its first frame at `start` (only the time of day matters) and with `faults`.
    /// Until a fault begins, the frames are those of the plant without it.
    pub fn with_faults(seed: u64, period: Duration, start: Timestamp, faults: Vec<Fault>) -> Self {
        let period = i64::try_from(period.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1_000_000);
        let steps_per_frame = (period - 1) / LONGEST_STEP_NANOS + 1;
        let start_second = start.nanos().rem_euclid(DAY_NANOS) as f64 / 1e9;
        let mut noise = Random::new(seed, 6);
        let wander = (0..COUNT)
            .filter(|&column| SENSORS[column].wander > 0.0)
            .map(|column| {
                let spec = &SENSORS[column];
                let seconds = 3_600.0 * spec.wander_hours;
                (column, Wander::new(spec.wander, seconds, &mut noise))
            })
            .collect();
        let surroundings = Surroundings::new(seed, start_second - WARM_UP_SECONDS as f64);
        let mut plant = Plant {
            period,
            steps_per_frame,
            step: -steps_per_frame,
            start_second,
            set_points: SetPoints::new(seed),
            equipment: Equipment::new(),
            water: Hydraulics::new(seed),
            quality: Quality::new(&surroundings),
            surroundings,
            control: Control::new(),
            noise,
            wander,
            injector: Injector::new(faults, seed),
            sensed: [0.0; COUNT],
            recorded: [0.0; COUNT],
        };
        plant.measure(i64::MIN);
        for second in 0..WARM_UP_SECONDS {
            plant.advance(i64::MIN, (second - WARM_UP_SECONDS) as f64, 1.0);
        }
        plant
    }

    /// The next frame: `[51]` values in the order and units of [`SENSORS`]. The first call gives
    /// the frame at the start.
    pub fn step(&mut self) -> &[f64] {
        let dt = self.period as f64 / self.steps_per_frame as f64 / 1e9;
        for _ in 0..self.steps_per_frame {
            self.step += 1;
            let whole = i128::from(self.step) * i128::from(self.period);
            let nanos = (whole / i128::from(self.steps_per_frame)) as i64;
            self.advance(nanos, nanos as f64 / 1e9, dt);
        }
        &self.recorded
    }

    /// Rows in which the faults could be noticed, within the first `rows`. A broken pump counts
    /// from the moment it is called for; see [`Plant::unnoticed`] for those that never were.
    pub fn events(&self, rows: u64) -> Vec<FaultEvent> {
        let first_row_at = |nanos: i64| {
            let nanos = u64::try_from(nanos).unwrap_or(0);
            nanos.div_ceil(self.period.unsigned_abs()).min(rows)
        };
        let mut events: Vec<FaultEvent> = self
            .injector
            .noticeable()
            .map(|(fault, start, end)| FaultEvent {
                kind: fault.kind,
                rows: first_row_at(start)..first_row_at(end),
                targets: fault.targets(),
            })
            .filter(|event| !event.rows.is_empty())
            .collect();
        events.sort_by_key(|event| (event.rows.start, event.rows.end));
        events
    }

    /// Faults of equipment that made no difference so far, because nothing called for it.
    pub fn unnoticed(&self) -> impl Iterator<Item = &Fault> {
        self.injector.unnoticed()
    }

    /// One step of `dt` seconds to `nanos` (for faults) and `second` (for everything else) after
    /// the first frame.
    fn advance(&mut self, nanos: i64, second: f64, dt: f64) {
        self.surroundings.step(self.start_second + second, dt);
        self.set_points.step(dt);
        self.control
            .step(&self.sensed, &self.set_points, &mut self.equipment, dt);
        self.injector.break_equipment(nanos, &mut self.equipment);
        self.equipment.step(dt);
        self.injector.watch(nanos, &self.equipment);
        self.water.step(
            &self.equipment,
            &self.surroundings,
            self.control.speed,
            self.quality.membrane,
            dt,
        );
        self.quality
            .step(&self.water, &self.equipment, &self.surroundings, dt);
        for (_, wander) in &mut self.wander {
            wander.step(dt, &mut self.noise);
        }
        self.measure(nanos);
    }

    /// Reads all sensors at `nanos` after the first frame.
    fn measure(&mut self, nanos: i64) {
        let mut analogue = self.true_values();
        for (value, spec) in analogue.iter_mut().zip(SENSORS) {
            if spec.kind == SensorKind::Measure {
                *value += spec.noise * self.noise.normal();
            }
        }
        for (column, wander) in &self.wander {
            analogue[*column] += wander.value;
        }
        self.injector.distort(nanos, &mut analogue);
        for ((sensed, value), spec) in self.sensed.iter_mut().zip(analogue).zip(SENSORS) {
            *sensed = match spec.kind {
                SensorKind::Measure => spec.digitise(value),
                SensorKind::Drive | SensorKind::Valve => value,
            };
        }
        self.recorded = self.sensed;
        self.injector.falsify(nanos, &mut self.recorded);
    }

    /// What perfect sensors would read.
    fn true_values(&self) -> Readings {
        let mut values = [0.0; COUNT];
        for (column, spec) in SENSORS.iter().enumerate() {
            if spec.kind != SensorKind::Measure {
                values[column] = self.equipment.status(column);
            }
        }
        let (water, quality) = (&self.water, &self.quality);
        let (membrane_ph, membrane_potential) = quality.membrane_feed();
        for (tag, value) in [
            (Tag::FIT101, water.inflow),
            (Tag::TIT101, self.surroundings.temperature),
            (Tag::LIT101, water.raw.level),
            (Tag::FIT201, water.transfer),
            (Tag::AIT201, quality.raw_conductivity()),
            (Tag::AIT202, quality.dosed_ph()),
            (Tag::AIT203, quality.chlorinated_potential()),
            (Tag::LIT301, water.filter_feed.level),
            (Tag::FIT301, water.filtered),
            (Tag::DPIT301, water.filter_pressure),
            (Tag::LIT401, water.osmosis_feed.level),
            (Tag::FIT401, water.osmosis_feed_flow),
            (Tag::AIT401, quality.hardness()),
            (Tag::AIT402, quality.dechlorinated_potential()),
            (Tag::FIT501, water.membrane_feed),
            (Tag::FIT502, water.permeate),
            (Tag::FIT503, water.reject),
            (Tag::FIT504, water.recirculation),
            (Tag::PIT501, water.feed_pressure),
            (Tag::PIT502, water.permeate_pressure),
            (Tag::PIT503, water.reject_pressure),
            (Tag::AIT501, membrane_ph),
            (Tag::AIT502, membrane_potential),
            (Tag::AIT503, quality.membrane),
            (Tag::AIT504, quality.permeate()),
            (Tag::LIT601, water.product.level),
            (Tag::FIT601, water.distribution),
            (Tag::LIT602, water.backwash.level),
            (Tag::FIT602, water.backwash_flow),
        ] {
            values[tag.column()] = value;
        }
        values
    }
}

#[cfg(test)]
mod tests;
