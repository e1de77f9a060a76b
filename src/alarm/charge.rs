//! What each notice has raised flood control's levels by, and how much of that is left.
//!
//! A level leaks its oldest part first: a notice that is confirmed soon is taken back whole, and
//! what had leaked of it by then was credit that later notices did not need
//! (docs/decisions/0014-feedback.md). Imports its siblings only.

use serde::{Deserialize, Serialize};

use super::flood::CHARGED_SENSORS;

/// One notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Charge {
    pub alarm: String,
    /// Left of the 1 in the level.
    pub level: f64,
    /// Charged sensors, and what is left of the 1 of each.
    pub sensors: Vec<(usize, f32)>,
    /// The alarm was confirmed: the levels are without this.
    pub taken_back: bool,
}

impl Charge {
    pub fn new(alarm: &str) -> Self {
        Charge {
            alarm: alarm.to_owned(),
            level: 1.0,
            sensors: Vec::with_capacity(CHARGED_SENSORS),
            taken_back: false,
        }
    }

    /// The sensors are those of another model.
    pub fn forget_sensors(&mut self) {
        self.sensors.clear();
    }

    /// Whether a saved charge can be one of ours, of `sensors` sensors.
    pub fn is_sound(&self, sensors: usize) -> bool {
        let sound = |(sensor, left): &(usize, f32)| *sensor < sensors && (0.0..=1.0).contains(left);
        self.sensors.len() <= CHARGED_SENSORS
            && self.sensors.iter().all(sound)
            && (0.0..=1.0).contains(&self.level)
    }
}

/// Takes from `charges` (oldest first) what has leaked: what is left of them cannot be more than
/// the `level`, and of each sensor's no more than its `attenuation` `[F]`.
pub(super) fn trim(charges: &mut [Charge], level: f64, attenuation: &[f32]) {
    let standing = |charges: &[Charge]| -> f64 {
        let standing = charges.iter().filter(|charge| !charge.taken_back);
        standing.map(|charge| charge.level).sum()
    };
    let mut leaked = standing(charges) - level;
    for charge in charges.iter_mut().filter(|charge| !charge.taken_back) {
        if leaked <= 0.0 {
            break;
        }
        let part = charge.level.min(leaked);
        charge.level -= part;
        leaked -= part;
    }
    for (sensor, &v) in attenuation.iter().enumerate() {
        let parts = |charge: &Charge| {
            let of_sensor = charge.sensors.iter().filter(|(of, _)| *of == sensor);
            of_sensor.map(|(_, left)| *left).sum::<f32>()
        };
        let standing = charges.iter().filter(|charge| !charge.taken_back);
        let mut leaked = standing.map(parts).sum::<f32>() - v;
        for charge in charges.iter_mut().filter(|charge| !charge.taken_back) {
            for (_, left) in charge.sensors.iter_mut().filter(|(of, _)| *of == sensor) {
                if leaked <= 0.0 {
                    break;
                }
                let part = left.min(leaked);
                *left -= part;
                leaked -= part;
            }
        }
    }
}
