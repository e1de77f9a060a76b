//! Levels, flows and pressures from mass balances. Imports equipment and surroundings.

use super::equipment::Equipment;
use super::random::{Random, lag};
use super::sensors::Tag;
use super::surroundings::Surroundings;

/// Floor areas of the tanks, m2.
const RAW_AREA: f64 = 1.6;
const FILTER_FEED_AREA: f64 = 1.2;
const OSMOSIS_FEED_AREA: f64 = 1.2;
const PRODUCT_AREA: f64 = 1.2;
const BACKWASH_AREA: f64 = 0.4;
/// Height of the rims: what is above runs over, mm.
pub const RIM: f64 = 1_200.0;
/// Overflow weir of the backwash tank, mm.
const WEIR: f64 = 900.0;

/// A tank with vertical walls.
#[derive(Debug, Clone, Copy)]
pub struct Tank {
    /// mm above the floor, 0 to [`RIM`].
    pub level: f64,
    area: f64,
}

impl Tank {
    /// Water in it, m3; never 0, so that concentrations stay defined.
    pub fn volume(&self) -> f64 {
        self.area * self.level.max(20.0) / 1_000.0
    }

    /// `net` m3/h in (out, if negative) during `dt` seconds.
    fn fill(&mut self, net: f64, dt: f64) {
        self.level = (self.level + net * dt / (3.6 * self.area)).clamp(0.0, RIM);
    }

    /// 1 when a pump can draw freely, falling to 0 as the tank runs empty.
    fn suction(&self) -> f64 {
        (self.level / 40.0).min(1.0)
    }
}

/// Water in the plant: tanks, flows (m3/h) and pressures (kPa).
#[derive(Debug, Clone)]
pub struct Hydraulics {
    pub raw: Tank,
    pub filter_feed: Tank,
    pub osmosis_feed: Tank,
    pub product: Tank,
    pub backwash: Tank,
    pub inflow: f64,
    pub transfer: f64,
    pub filtered: f64,
    pub filter_pressure: f64,
    /// Added resistance of the filter cake, 0 when clean.
    pub cake: f64,
    pub osmosis_feed_flow: f64,
    pub membrane_feed: f64,
    pub permeate: f64,
    pub reject: f64,
    pub recirculation: f64,
    pub feed_pressure: f64,
    pub permeate_pressure: f64,
    pub reject_pressure: f64,
    pub distribution: f64,
    pub backwash_flow: f64,
}

impl Hydraulics {
    /// Standing water at levels that the day of `seed` may begin with.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 3);
        let mut tank = |area, low, high| Tank {
            level: random.between(low, high),
            area,
        };
        Hydraulics {
            raw: tank(RAW_AREA, 500.0, 800.0),
            filter_feed: tank(FILTER_FEED_AREA, 700.0, 900.0),
            osmosis_feed: tank(OSMOSIS_FEED_AREA, 750.0, 950.0),
            product: tank(PRODUCT_AREA, 700.0, 860.0),
            backwash: tank(BACKWASH_AREA, 850.0, 900.0),
            cake: random.between(0.1, 0.9),
            inflow: 0.0,
            transfer: 0.0,
            filtered: 0.0,
            filter_pressure: 0.0,
            osmosis_feed_flow: 0.0,
            membrane_feed: 0.0,
            permeate: 0.0,
            reject: 0.0,
            recirculation: 0.0,
            feed_pressure: 40.0,
            permeate_pressure: 5.0,
            reject_pressure: 40.0,
            distribution: 0.0,
            backwash_flow: 0.0,
        }
    }

    /// Moves on by `dt` seconds. `speed` is the high-pressure pump's speed (0 to about 1), and
    /// `membrane_conductivity` (uS/cm) sets the osmotic pressure it works against.
    pub fn step(
        &mut self,
        equipment: &Equipment,
        surroundings: &Surroundings,
        speed: f64,
        membrane_conductivity: f64,
        dt: f64,
    ) {
        self.filtration(equipment, surroundings, dt);
        self.osmosis(
            equipment,
            surroundings.temperature,
            speed,
            membrane_conductivity,
            dt,
        );
        self.distribution =
            surroundings.demand.max(0.0) * equipment.effect(Tag::P601) * self.product.suction();
        // A weir's flow grows with the depth over its crest to the power of 3/2 (Poleni).
        let over = (self.backwash.level - WEIR).max(0.0);
        let weir = 0.016 * over * over.sqrt();

        self.raw.fill(self.inflow - self.transfer, dt);
        self.filter_feed.fill(self.transfer - self.filtered, dt);
        self.osmosis_feed
            .fill(self.filtered - self.osmosis_feed_flow, dt);
        self.product.fill(self.permeate - self.distribution, dt);
        self.backwash
            .fill(self.reject - self.backwash_flow - weir, dt);
    }

    /// Intake, transfer, ultrafiltration and its backwash.
    fn filtration(&mut self, equipment: &Equipment, surroundings: &Surroundings, dt: f64) {
        let effect = |tag| equipment.effect(tag);
        let either = |duty, standby| (effect(duty) + effect(standby)).min(1.0);
        let viscosity = 1.0 - 0.025 * (surroundings.temperature - 15.0);

        self.inflow = surroundings.supply * effect(Tag::MV101);
        // The pump pushes against the difference of the two levels.
        let lift = 1.0 + 0.05 * (self.raw.level - self.filter_feed.level) / 500.0;
        self.transfer =
            2.55 * either(Tag::P101, Tag::P102) * effect(Tag::MV201) * lift * self.raw.suction();
        self.filtered =
            2.35 * either(Tag::P301, Tag::P302) * effect(Tag::MV302) * self.filter_feed.suction()
                / (1.0 + 0.08 * self.cake);
        self.backwash_flow = 3.0
            * effect(Tag::P602)
            * effect(Tag::MV301)
            * effect(Tag::MV303)
            * self.backwash.suction();

        self.cake += 0.8 * surroundings.fouling * self.filtered * dt / 3_600.0;
        // 3 m3/h loosen 63 % of the cake in 14 s.
        let loosened = self.backwash_flow / 3.0 * dt / 14.0;
        self.cake = 0.06 + (self.cake - 0.06).max(0.0) / (1.0 + loosened);

        let across = viscosity
            * (16.0 * self.filtered / 2.2 * (1.0 + self.cake)
                + 10.0 * self.backwash_flow / 3.0 * (1.0 + 0.5 * self.cake));
        self.filter_pressure = lag(self.filter_pressure, across, 2.0, dt);
    }

    /// Reverse osmosis: permeate = permeability * (pressure - osmotic pressure).
    fn osmosis(
        &mut self,
        equipment: &Equipment,
        temperature: f64,
        speed: f64,
        membrane_conductivity: f64,
        dt: f64,
    ) {
        let effect = |tag| equipment.effect(tag);
        let booster = (effect(Tag::P401) + effect(Tag::P402)).min(1.0);
        let high = (effect(Tag::P501) + effect(Tag::P502)).min(1.0);
        let suction = self.osmosis_feed.suction();

        self.osmosis_feed_flow = booster * suction * (1.32 + 0.50 * high * speed);
        // Pressures rise with the square of the speed; without feed water there is none.
        let pressure =
            40.0 + 120.0 * booster * booster + 1_000.0 * high * (speed * booster * suction).powi(2);
        self.feed_pressure = lag(self.feed_pressure, pressure, 1.5, dt);
        self.recirculation = 0.46 * high * speed * booster;

        // 2.5 % more permeate a degree, and 0.07 kPa of osmotic pressure per uS/cm, concentrated
        // twofold along the membrane (rules of thumb of membrane makers' design guides).
        let permeability = 0.00168 * (1.0 + 0.025 * (temperature - 20.0));
        let driving = self.feed_pressure
            - 40.0
            - self.permeate_pressure
            - 0.14 * membrane_conductivity * booster;
        let limit = 0.85 * self.osmosis_feed_flow;
        self.permeate = (permeability * driving).clamp(0.0, limit);
        self.reject = self.osmosis_feed_flow - self.permeate;
        self.membrane_feed = self.osmosis_feed_flow + self.recirculation;

        let back = 5.0 + 20.0 * (self.permeate / 1.25).powi(2) + 8.0 * self.permeate;
        self.permeate_pressure = lag(self.permeate_pressure, back, 2.0, dt);
        let friction = 42.0 * (self.membrane_feed / 2.2).powi(2);
        self.reject_pressure = lag(
            self.reject_pressure,
            (self.feed_pressure - friction).max(0.0),
            1.0,
            dt,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs pumps and valves `on` for `seconds` and returns the water.
    fn run(on: &[Tag], seconds: u32) -> Hydraulics {
        let mut equipment = Equipment::new();
        for &tag in on {
            equipment.command(tag, true);
        }
        let surroundings = Surroundings::new(1, 0.0);
        let mut water = Hydraulics::new(1);
        for _ in 0..seconds {
            equipment.step(1.0);
            water.step(&equipment, &surroundings, 0.86, 400.0, 1.0);
        }
        water
    }

    #[test]
    fn a_tank_rises_by_the_volume_that_enters() {
        let mut tank = Tank {
            level: 500.0,
            area: 2.0,
        };
        tank.fill(3.6, 100.0);
        // 3.6 m3/h for 100 s are 0.1 m3, on 2 m2 50 mm.
        assert!((tank.level - 550.0).abs() < 1e-9);
        tank.fill(1e6, 100.0);
        assert_eq!(tank.level, RIM);
    }

    #[test]
    fn the_osmosis_balances() {
        let water = run(&[Tag::P401, Tag::P501], 60);
        assert!((1.0..1.5).contains(&water.permeate), "{water:?}");
        assert!((700.0..1_100.0).contains(&water.feed_pressure));
        assert!(water.reject_pressure < water.feed_pressure);
        let (feed, split) = (
            water.membrane_feed,
            water.permeate + water.reject + water.recirculation,
        );
        assert!((feed - split).abs() < 1e-9);
    }

    #[test]
    fn a_backwash_loosens_the_cake_and_a_dry_pump_moves_nothing() {
        let before = run(&[], 1).cake;
        let washed = run(&[Tag::MV301, Tag::MV303, Tag::P602], 60);
        assert!(washed.cake < 0.3 * before, "{before} -> {}", washed.cake);
        let drained = run(&[Tag::P301, Tag::MV302], 7_200);
        assert!(drained.filter_feed.level < 40.0 && drained.filtered < 0.1);
    }
}
