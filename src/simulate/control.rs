//! The plant's controllers. They see nothing but sensors, faulty ones too, and command equipment.
//! Imports equipment, the sensor table and the set-points.

use super::equipment::Equipment;
use super::sensors::{COUNT, Tag};
use super::surroundings::SetPoints;

/// Readings as the controllers get them, one for each column of the sensor table.
pub type Readings = [f64; COUNT];

/// On below `low`, off above `high`, otherwise as before.
fn switch_between(on: bool, reading: f64, low: f64, high: f64) -> bool {
    reading < low || (on && reading <= high)
}

/// A duty pump and its standby. When the duty is called for and its effect does not show, the
/// standby takes over; at its next stop after ten minutes the duty is tried again.
#[derive(Debug, Clone)]
struct Pair {
    duty: Tag,
    standby: Tag,
    on_standby: bool,
    unproven: f64,
    since_change: f64,
}

impl Pair {
    /// Seconds before the duty is tried again: the two must not take turns when a dead flow meter,
    /// not a pump, is to blame.
    const REST: f64 = 600.0;

    fn new(duty: Tag, standby: Tag) -> Self {
        Pair {
            duty,
            standby,
            on_standby: false,
            unproven: 0.0,
            since_change: Self::REST,
        }
    }

    /// Commands the pair; `proven` says that the effect shows, `patience` for how many seconds it
    /// may be missing.
    fn run(
        &mut self,
        equipment: &mut Equipment,
        wanted: bool,
        proven: bool,
        patience: f64,
        dt: f64,
    ) {
        self.since_change += dt;
        self.unproven = if wanted && !proven {
            self.unproven + dt
        } else {
            0.0
        };
        let rested = self.since_change > Self::REST;
        let failed = self.unproven > patience;
        let change = if self.on_standby {
            rested && (failed || !wanted)
        } else {
            failed
        };
        if change {
            self.on_standby = !self.on_standby;
            self.since_change = 0.0;
            self.unproven = 0.0;
        }
        equipment.command(self.duty, wanted && !self.on_standby);
        equipment.command(self.standby, wanted && self.on_standby);
    }
}

/// Where the ultrafiltration is in its cycle; each step but the first lasts a fixed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterStep {
    Filter,
    Isolate,
    Open,
    Wash,
    Close,
}

/// All control loops.
#[derive(Debug, Clone)]
pub struct Control {
    filling: bool,
    transferring: bool,
    filtering: bool,
    producing: bool,
    raw_dry: bool,
    filter_feed_dry: bool,
    osmosis_feed_dry: bool,
    product_dry: bool,
    acid: bool,
    hypochlorite: bool,
    bisulphite: bool,
    step: FilterStep,
    step_seconds: f64,
    filtered_seconds: f64,
    clogged_seconds: f64,
    booster_seconds: f64,
    stopping_seconds: f64,
    pressure_seconds: f64,
    /// Speed of the high-pressure pump, set by the permeate flow controller.
    pub speed: f64,
    transfer: Pair,
    acid_pair: Pair,
    hypochlorite_pair: Pair,
    filter: Pair,
    booster: Pair,
    bisulphite_pair: Pair,
    high_pressure: Pair,
}

impl Control {
    /// Controllers just switched on.
    pub fn new() -> Self {
        Control {
            filling: false,
            transferring: false,
            filtering: false,
            producing: false,
            raw_dry: false,
            filter_feed_dry: false,
            osmosis_feed_dry: false,
            product_dry: false,
            acid: false,
            hypochlorite: false,
            bisulphite: false,
            step: FilterStep::Filter,
            step_seconds: 0.0,
            filtered_seconds: 0.0,
            clogged_seconds: 0.0,
            booster_seconds: 0.0,
            stopping_seconds: 60.0,
            pressure_seconds: 0.0,
            speed: 0.86,
            transfer: Pair::new(Tag::P101, Tag::P102),
            acid_pair: Pair::new(Tag::P203, Tag::P204),
            hypochlorite_pair: Pair::new(Tag::P205, Tag::P206),
            filter: Pair::new(Tag::P301, Tag::P302),
            booster: Pair::new(Tag::P401, Tag::P402),
            bisulphite_pair: Pair::new(Tag::P403, Tag::P404),
            high_pressure: Pair::new(Tag::P501, Tag::P502),
        }
    }

    /// One scan of `dt` seconds.
    pub fn step(
        &mut self,
        readings: &Readings,
        set_points: &SetPoints,
        equipment: &mut Equipment,
        dt: f64,
    ) {
        let read = |tag: Tag| readings[tag.column()];
        self.protect(read);
        self.intake(read, set_points, equipment, dt);
        self.ultrafiltration(read, set_points, equipment, dt);
        self.reverse_osmosis(read, set_points, equipment, dt);
        equipment.command(Tag::P601, !self.product_dry);
    }

    /// Pumps must not run dry.
    fn protect(&mut self, read: impl Fn(Tag) -> f64) {
        for (dry, level) in [
            (&mut self.raw_dry, Tag::LIT101),
            (&mut self.filter_feed_dry, Tag::LIT301),
            (&mut self.osmosis_feed_dry, Tag::LIT401),
            (&mut self.product_dry, Tag::LIT601),
        ] {
            *dry = switch_between(*dry, read(level), 200.0, 300.0);
        }
    }

    fn intake(
        &mut self,
        read: impl Fn(Tag) -> f64,
        set_points: &SetPoints,
        equipment: &mut Equipment,
        dt: f64,
    ) {
        let (low, high) = set_points.raw_level;
        self.filling = switch_between(self.filling, read(Tag::LIT101), low, high);
        equipment.command(Tag::MV101, self.filling);

        let (low, high) = set_points.filter_feed_level;
        self.transferring = switch_between(self.transferring, read(Tag::LIT301), low, high);
        let wanted = self.transferring && !self.raw_dry;
        equipment.command(Tag::MV201, wanted);
        let flows = read(Tag::FIT201) > 0.5;
        let run = wanted && read(Tag::MV201) == 2.0;
        self.transfer.run(equipment, run, flows, 20.0, dt);

        // Acid lowers the pH, so its band works the other way round than the others.
        let (low, high) = set_points.ph;
        self.acid = switch_between(self.acid, -read(Tag::AIT202), -high, -low);
        let in_reach = read(Tag::AIT202) < high + 0.3;
        // Not while the pump runs down: a dose into the last of the flow would be far too strong.
        let dose = run && flows;
        self.acid_pair
            .run(equipment, dose && self.acid, in_reach, 180.0, dt);
        let potential = read(Tag::AIT203);
        self.hypochlorite = switch_between(self.hypochlorite, potential, 680.0, 740.0);
        self.hypochlorite_pair.run(
            equipment,
            dose && self.hypochlorite,
            potential > 620.0,
            180.0,
            dt,
        );
    }

    fn ultrafiltration(
        &mut self,
        read: impl Fn(Tag) -> f64,
        set_points: &SetPoints,
        equipment: &mut Equipment,
        dt: f64,
    ) {
        let (low, high) = set_points.osmosis_feed_level;
        self.filtering = switch_between(self.filtering, read(Tag::LIT401), low, high);
        let wanted = self.filtering && !self.filter_feed_dry && self.step == FilterStep::Filter;
        let run = wanted && read(Tag::MV302) == 2.0;
        let flows = read(Tag::FIT301) > 0.5;
        equipment.command(Tag::MV302, wanted);
        self.filter.run(equipment, run, flows, 20.0, dt);

        if flows {
            self.filtered_seconds += dt;
        }
        self.clogged_seconds = if read(Tag::DPIT301) > 42.0 {
            self.clogged_seconds + dt
        } else {
            0.0
        };
        self.step_seconds += dt;
        let due = self.filtered_seconds >= set_points.backwash_every || self.clogged_seconds > 10.0;
        let next = match self.step {
            FilterStep::Filter if due && read(Tag::LIT602) > 400.0 => Some(FilterStep::Isolate),
            FilterStep::Isolate if self.step_seconds >= 12.0 => Some(FilterStep::Open),
            FilterStep::Open if self.step_seconds >= 10.0 => Some(FilterStep::Wash),
            FilterStep::Wash if self.step_seconds >= set_points.backwash_length => {
                Some(FilterStep::Close)
            }
            FilterStep::Close if self.step_seconds >= 12.0 => {
                self.filtered_seconds = 0.0;
                self.clogged_seconds = 0.0;
                Some(FilterStep::Filter)
            }
            _ => None,
        };
        if let Some(next) = next {
            self.step = next;
            self.step_seconds = 0.0;
        }
        let open = matches!(self.step, FilterStep::Open | FilterStep::Wash);
        equipment.command(Tag::MV301, open);
        equipment.command(Tag::MV303, open);
        equipment.command(Tag::P602, self.step == FilterStep::Wash);
    }

    /// Starts with the booster, then the high-pressure pump; stops in the opposite order.
    fn reverse_osmosis(
        &mut self,
        read: impl Fn(Tag) -> f64,
        set_points: &SetPoints,
        equipment: &mut Equipment,
        dt: f64,
    ) {
        let (low, high) = set_points.product_level;
        self.producing = switch_between(self.producing, read(Tag::LIT601), low, high);
        let wanted = self.producing && !self.osmosis_feed_dry;
        self.stopping_seconds = if wanted {
            0.0
        } else {
            self.stopping_seconds + dt
        };
        let feed = read(Tag::FIT401) > 0.9;
        let boost = self.stopping_seconds < 5.0;
        self.booster.run(equipment, boost, feed, 20.0, dt);
        equipment.command(Tag::UV401, boost && feed);

        self.booster_seconds = if boost && feed {
            self.booster_seconds + dt
        } else {
            0.0
        };
        let press = wanted && self.booster_seconds > 6.0;
        let permeates = read(Tag::FIT502) > 0.5;
        self.high_pressure
            .run(equipment, press, permeates, 20.0, dt);
        self.pressure_seconds = if press && permeates {
            self.pressure_seconds + dt
        } else {
            0.0
        };
        if self.pressure_seconds > 10.0 {
            let missing = set_points.permeate - read(Tag::FIT502);
            self.speed = (self.speed + 0.015 * missing * dt.min(5.0)).clamp(0.6, 1.05);
        }

        let potential = read(Tag::AIT402);
        self.bisulphite = switch_between(self.bisulphite, -potential, -300.0, -200.0);
        self.bisulphite_pair.run(
            equipment,
            boost && feed && self.bisulphite,
            potential < 345.0,
            180.0,
            dt,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_keeps_its_state_between_the_two_levels() {
        assert!(switch_between(false, 400.0, 500.0, 800.0));
        assert!(switch_between(true, 700.0, 500.0, 800.0));
        assert!(!switch_between(false, 700.0, 500.0, 800.0));
        assert!(!switch_between(true, 801.0, 500.0, 800.0));
    }

    #[test]
    fn the_standby_takes_over_when_no_flow_shows_and_the_duty_returns() {
        let mut equipment = Equipment::new();
        let mut pair = Pair::new(Tag::P101, Tag::P102);
        let states = |equipment: &Equipment| {
            [Tag::P101, Tag::P102].map(|tag| equipment.status(tag.column()))
        };
        for _ in 0..20 {
            pair.run(&mut equipment, true, false, 20.0, 1.0);
            assert_eq!(states(&equipment), [2.0, 1.0]);
        }
        pair.run(&mut equipment, true, false, 20.0, 1.0);
        assert_eq!(states(&equipment), [1.0, 2.0]);
        // No second change at once, even when the standby shows no flow either.
        for _ in 0..300 {
            pair.run(&mut equipment, true, false, 20.0, 1.0);
        }
        assert_eq!(states(&equipment), [1.0, 2.0]);
        for _ in 0..600 {
            pair.run(&mut equipment, false, false, 20.0, 1.0);
        }
        pair.run(&mut equipment, true, true, 20.0, 1.0);
        assert_eq!(states(&equipment), [2.0, 1.0]);
    }
}
