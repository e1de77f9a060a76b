//! What is dissolved in the water: salt, pH, chlorine, and what the analysers make of it. Imports
//! hydraulics, equipment and surroundings.
//!
//! pH is mixed linearly, which holds in the narrow buffered range that the plant works in.

use super::equipment::Equipment;
use super::hydraulics::Hydraulics;
use super::random::lag;
use super::sensors::Tag;
use super::surroundings::Surroundings;

/// Flow below which a line counts as standing, m3/h.
const STANDING: f64 = 0.2;

/// Salt and pH of one body of water.
#[derive(Debug, Clone, Copy)]
struct Mixture {
    /// uS/cm
    conductivity: f64,
    ph: f64,
    /// Free chlorine, mg/L.
    chlorine: f64,
}

impl Mixture {
    /// `inflow` m3/h of `other` enter a well-stirred `volume` m3 during `dt` seconds.
    fn blend(&mut self, other: Mixture, inflow: f64, volume: f64, dt: f64) {
        let share = (inflow * dt / 3_600.0 / volume).min(1.0);
        self.conductivity += (other.conductivity - self.conductivity) * share;
        self.ph += (other.ph - self.ph) * share;
        self.chlorine += (other.chlorine - self.chlorine) * share;
    }

    /// Chlorine is used up, half of it in about 4 hours.
    fn decay(&mut self, dt: f64) {
        self.chlorine /= 1.0 + dt / 21_000.0;
    }
}

/// The dissolved matter of the whole plant.
#[derive(Debug, Clone)]
pub struct Quality {
    raw: Mixture,
    /// In the transfer line, after dosing.
    dosed: Mixture,
    filter_feed: Mixture,
    osmosis_feed: Mixture,
    /// Chlorine less bisulphite after dechlorination, mg/L: negative when bisulphite is in excess.
    oxidant: f64,
    membrane_ph: f64,
    membrane_potential: f64,
    /// In front of the membrane, and in the reject, uS/cm.
    pub membrane: f64,
    concentrate: f64,
    /// Share of the salt that passes the membrane.
    passage: f64,
    permeate: f64,
}

impl Quality {
    /// Water as it has been for some hours.
    pub fn new(surroundings: &Surroundings) -> Self {
        let raw = Mixture {
            conductivity: surroundings.conductivity,
            ph: surroundings.ph,
            chlorine: 0.0,
        };
        let treated = Mixture {
            ph: 7.05,
            chlorine: 1.7,
            ..raw
        };
        Quality {
            raw,
            dosed: treated,
            filter_feed: treated,
            osmosis_feed: treated,
            oxidant: 0.0,
            membrane_ph: 7.0,
            membrane_potential: 250.0,
            membrane: 330.0,
            concentrate: 700.0,
            passage: 0.02,
            permeate: 8.0,
        }
    }

    /// Moves on by `dt` seconds with the flows of `water`.
    pub fn step(
        &mut self,
        water: &Hydraulics,
        equipment: &Equipment,
        surroundings: &Surroundings,
        dt: f64,
    ) {
        let dosing = |duty, standby| (equipment.effect(duty) + equipment.effect(standby)).min(1.0);
        let inlet = Mixture {
            conductivity: surroundings.conductivity,
            ph: surroundings.ph,
            chlorine: 0.0,
        };
        self.raw.blend(inlet, water.inflow, water.raw.volume(), dt);

        // Dosing pumps give a fixed dose an hour, so the effect falls with the flow. In a standing
        // line nothing is carried to the analyser, which drifts towards the tank beyond.
        let (target, seconds) = if water.transfer > STANDING {
            let share = 2.55 / water.transfer;
            let acid = dosing(Tag::P203, Tag::P204) * share;
            let hypochlorite = dosing(Tag::P205, Tag::P206) * share;
            let target = Mixture {
                conductivity: self.raw.conductivity + 6.0 * acid,
                ph: self.raw.ph - 1.7 * acid + 0.1 * hypochlorite,
                chlorine: 4.0 * hypochlorite,
            };
            (target, 45.0)
        } else {
            (self.filter_feed, 2_400.0)
        };
        self.dosed.conductivity = lag(self.dosed.conductivity, target.conductivity, seconds, dt);
        self.dosed.ph = lag(self.dosed.ph, target.ph, seconds, dt);
        self.dosed.chlorine = lag(self.dosed.chlorine, target.chlorine, seconds, dt);
        self.filter_feed
            .blend(self.dosed, water.transfer, water.filter_feed.volume(), dt);
        self.filter_feed.decay(dt);
        self.osmosis_feed.blend(
            self.filter_feed,
            water.filtered,
            water.osmosis_feed.volume(),
            dt,
        );
        self.osmosis_feed.decay(dt);

        self.dechlorination(water, equipment, dosing(Tag::P403, Tag::P404), dt);
        self.osmosis(water, surroundings.temperature, dt);
    }

    fn dechlorination(
        &mut self,
        water: &Hydraulics,
        equipment: &Equipment,
        bisulphite: f64,
        dt: f64,
    ) {
        if water.osmosis_feed_flow > STANDING {
            let lamp = 1.0 - 0.15 * equipment.effect(Tag::UV401);
            let dose = 3.2 * bisulphite * 1.78 / water.osmosis_feed_flow;
            let target = self.osmosis_feed.chlorine * lamp - dose;
            self.oxidant = lag(self.oxidant, target, 120.0, dt);
            self.membrane_ph = lag(self.membrane_ph, self.osmosis_feed.ph - 0.05, 60.0, dt);
        } else {
            self.oxidant = lag(self.oxidant, 0.0, 7_200.0, dt);
        }
        let potential = self.dechlorinated_potential() - 8.0;
        self.membrane_potential = lag(self.membrane_potential, potential, 90.0, dt);
    }

    fn osmosis(&mut self, water: &Hydraulics, temperature: f64, dt: f64) {
        if water.osmosis_feed_flow > STANDING {
            let mixed = (water.osmosis_feed_flow * self.osmosis_feed.conductivity
                + water.recirculation * self.concentrate)
                / water.membrane_feed;
            self.membrane = lag(self.membrane, mixed, 20.0, dt);
            let salt_out = water.permeate * self.permeate;
            let concentrated = (water.membrane_feed * self.membrane - salt_out)
                / (water.reject + water.recirculation).max(0.1);
            self.concentrate = lag(self.concentrate, concentrated.min(3_000.0), 40.0, dt);
        }
        // Salt creeps through a standing membrane: each start begins with a peak that is rinsed.
        let (passage, seconds) = if water.permeate > 0.6 {
            (0.018 * (1.0 + 0.03 * (temperature - 15.0)), 90.0)
        } else {
            (0.06, 1_800.0)
        };
        self.passage = lag(self.passage, passage, seconds, dt);
        let mean = 0.5 * (self.membrane + self.concentrate);
        self.permeate = lag(self.permeate, mean * self.passage, 15.0, dt);
    }

    /// Oxidation potential of chlorinated water, mV: logarithmic in the chlorine (Nernst), the
    /// factor as analysers in waterworks show it.
    pub fn chlorinated_potential(&self) -> f64 {
        300.0 + 160.0 * (1.0 + self.dosed.chlorine / 0.15).ln()
    }

    /// Oxidation potential after dechlorination, mV; symmetric around the point without oxidant.
    pub fn dechlorinated_potential(&self) -> f64 {
        250.0 + 45.0 * (self.oxidant / 0.1).asinh()
    }

    /// Conductivity before dosing, uS/cm.
    pub fn raw_conductivity(&self) -> f64 {
        self.raw.conductivity
    }

    /// pH after acid dosing.
    pub fn dosed_ph(&self) -> f64 {
        self.dosed.ph
    }

    /// Hardness of the osmosis feed, ppm of calcium carbonate: a fixed share of the salt.
    pub fn hardness(&self) -> f64 {
        0.42 * self.osmosis_feed.conductivity
    }

    /// pH and oxidation potential (mV) in front of the membrane.
    pub fn membrane_feed(&self) -> (f64, f64) {
        (self.membrane_ph, self.membrane_potential)
    }

    /// Conductivity of the permeate, uS/cm.
    pub fn permeate(&self) -> f64 {
        self.permeate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_conserves_salt() {
        let mut tank = Mixture {
            conductivity: 200.0,
            ph: 7.0,
            chlorine: 0.0,
        };
        let salty = Mixture {
            conductivity: 400.0,
            ph: 8.0,
            chlorine: 1.0,
        };
        // 3.6 m3/h for 10 s are 10 L into 1 m3 that overflows as much: 1 % of the difference.
        tank.blend(salty, 3.6, 1.0, 10.0);
        assert!((tank.conductivity - 202.0).abs() < 1e-9);
        assert!((tank.ph - 7.01).abs() < 1e-9);
        assert!((tank.chlorine - 0.01).abs() < 1e-9);
    }

    #[test]
    fn without_bisulphite_the_potential_rises() {
        let surroundings = Surroundings::new(2, 0.0);
        let mut quality = Quality::new(&surroundings);
        let mut equipment = Equipment::new();
        let mut water = Hydraulics::new(2);
        for tag in [Tag::P401, Tag::P501] {
            equipment.command(tag, true);
        }
        let before = quality.dechlorinated_potential();
        for _ in 0..300 {
            equipment.step(1.0);
            water.step(&equipment, &surroundings, 0.86, quality.membrane, 1.0);
            quality.step(&water, &equipment, &surroundings, 1.0);
        }
        assert!(quality.dechlorinated_potential() > before + 100.0);
        assert!(quality.permeate() < 0.05 * quality.membrane);
    }
}
