//! What comes from outside the plant: consumers, weather, raw water, and the operators who change
//! set-points. Imports nothing.

use super::random::{Random, Wander, lag};

const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// Consumers, weather and raw water at one moment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    random: Random,
    demand_hours: Wander,
    demand_minutes: Wander,
    weather: Wander,
    supply_pressure: Wander,
    salt: Wander,
    acidity: Wander,
    turbidity: Wander,
    /// What the consumers draw, m3/h.
    pub demand: f64,
    /// Raw water temperature, degC.
    pub temperature: f64,
    /// Flow of raw water through the fully open inlet valve, m3/h.
    pub supply: f64,
    /// Conductivity of the raw water, uS/cm.
    pub conductivity: f64,
    /// pH of the raw water.
    pub ph: f64,
    /// How fast the raw water fouls the filters, 1 on an average day.
    pub fouling: f64,
}

/// A hump of height 1 at `centre` hours, `width` hours wide, over a clock of 24 hours.
fn hump(hour: f64, centre: f64, width: f64) -> f64 {
    let distance = (hour - centre + 12.0).rem_euclid(24.0) - 12.0;
    (-0.5 * (distance / width).powi(2)).exp()
}

impl Surroundings {
    /// The day of `seed`, at `second` seconds after midnight.
    pub fn new(seed: u64, second: f64) -> Self {
        let mut random = Random::new(seed, 1);
        let mut surroundings = Surroundings {
            demand_hours: Wander::new(0.06, 1.5 * HOUR, &mut random),
            demand_minutes: Wander::new(0.025, 90.0, &mut random),
            weather: Wander::new(0.8, 12.0 * HOUR, &mut random),
            supply_pressure: Wander::new(0.04, 0.3 * HOUR, &mut random),
            salt: Wander::new(11.0, 6.0 * HOUR, &mut random),
            acidity: Wander::new(0.10, 5.0 * HOUR, &mut random),
            turbidity: Wander::new(0.25, 8.0 * HOUR, &mut random),
            random,
            demand: 0.6,
            temperature: 15.0,
            supply: 3.1,
            conductivity: 265.0,
            ph: 7.9,
            fouling: 1.0,
        };
        surroundings.step(second, 1.0);
        surroundings.demand = surroundings.wanted(second / HOUR);
        surroundings
    }

    /// Daily pattern of consumption: low at night, high before work and after it, m3/h.
    fn wanted(&self, hour: f64) -> f64 {
        let pattern = 0.58
            + 0.42 * hump(hour, 7.5, 1.2)
            + 0.15 * hump(hour, 12.5, 1.5)
            + 0.38 * hump(hour, 19.2, 1.8)
            - 0.18 * hump(hour, 3.0, 2.0);
        (pattern * (1.0 + self.demand_hours.value)).clamp(0.3, 1.15) + self.demand_minutes.value
    }

    /// Moves on by `dt` seconds to `second` seconds after the midnight before the first frame.
    pub fn step(&mut self, second: f64, dt: f64) {
        let random = &mut self.random;
        let daily = (std::f64::consts::TAU * (second / DAY - 10.0 / 24.0)).sin();
        self.demand_hours.step(dt, random);
        self.demand_minutes.step(dt, random);
        self.temperature = 15.0 + 1.0 * daily + self.weather.step(dt, random);
        self.supply = 3.1 * (1.0 + self.supply_pressure.step(dt, random));
        self.conductivity = 265.0 + 5.0 * daily + self.salt.step(dt, random);
        self.ph = 7.9 + 0.05 * daily + self.acidity.step(dt, random);
        self.fouling = self.turbidity.step(dt, random).exp();
        let wanted = self.wanted(second / HOUR);
        self.demand = lag(self.demand, wanted, 20.0, dt);
    }
}

/// What the operators want.
#[derive(Debug, Clone)]
pub struct SetPoints {
    random: Random,
    /// Seconds to the operators' next change.
    next_change: f64,
    /// Switching levels (start filling, stop filling) of the four controlled tanks, mm.
    pub raw_level: (f64, f64),
    pub filter_feed_level: (f64, f64),
    pub osmosis_feed_level: (f64, f64),
    pub product_level: (f64, f64),
    /// Permeate flow, m3/h.
    pub permeate: f64,
    /// Acid dosing starts above the second and stops below the first, pH.
    pub ph: (f64, f64),
    /// Filtration time between backwashes and length of one, s.
    pub backwash_every: f64,
    pub backwash_length: f64,
}

impl SetPoints {
    /// The usual set-points, with each of them already changed once by the operators of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut set_points = SetPoints {
            random: Random::new(seed, 2),
            next_change: 0.0,
            raw_level: (500.0, 800.0),
            filter_feed_level: (700.0, 900.0),
            osmosis_feed_level: (750.0, 950.0),
            product_level: (700.0, 860.0),
            permeate: 1.25,
            ph: (6.9, 7.2),
            backwash_every: 1_800.0,
            backwash_length: 50.0,
        };
        for which in 0..8 {
            set_points.change(which);
        }
        set_points.next_change = set_points.random.between(1.0, 5.0) * HOUR;
        set_points
    }

    /// Moves on by `dt` seconds; every 2 to 6 hours one set-point gets a new value.
    pub fn step(&mut self, dt: f64) {
        self.next_change -= dt;
        if self.next_change <= 0.0 {
            let which = self.random.below(8);
            self.change(which);
            self.next_change = self.random.between(2.0, 6.0) * HOUR;
        }
    }

    fn change(&mut self, which: usize) {
        let random = &mut self.random;
        let mut band = |low: f64, width: f64, play: f64| {
            let low = low + random.between(-play, play);
            (low, low + width)
        };
        match which {
            0 => self.raw_level = band(500.0, 300.0, 50.0),
            1 => self.filter_feed_level = band(700.0, 200.0, 40.0),
            2 => self.osmosis_feed_level = band(750.0, 200.0, 40.0),
            3 => self.product_level = band(700.0, 160.0, 40.0),
            4 => self.ph = band(6.9, 0.3, 0.08),
            5 => self.permeate = random.between(1.22, 1.32),
            6 => self.backwash_every = random.between(1_500.0, 2_100.0).round(),
            _ => self.backwash_length = random.between(45.0, 60.0).round(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_draw_more_in_the_morning_than_at_night() {
        let mut surroundings = Surroundings::new(5, 0.0);
        let mut mean_at = |from_hour: f64| {
            let mut sum = 0.0;
            for second in 0..3_600 {
                surroundings.step(from_hour * HOUR + f64::from(second), 1.0);
                sum += surroundings.demand;
            }
            sum / 3_600.0
        };
        let (night, morning) = (mean_at(2.5), mean_at(7.0));
        assert!(morning > 1.5 * night, "night {night}, morning {morning}");
    }

    #[test]
    fn operators_change_a_set_point_several_times_a_day() {
        let mut set_points = SetPoints::new(5);
        let mut changes = 0;
        let mut before = format!("{set_points:?}");
        for _ in 0..24 * 60 {
            let due = set_points.next_change <= 60.0;
            set_points.step(60.0);
            let after = format!("{set_points:?}");
            if due {
                changes += usize::from(before != after);
            }
            before = after;
        }
        assert!((4..=12).contains(&changes), "{changes} changes");
    }
}
