//! Pumps, valves and the lamp: what is commanded, what the status contact says, what the water
//! feels. Imports the sensor table only.

use super::random::lag;
use super::sensors::{COUNT, SENSORS, SensorKind, Tag};

/// Seconds a valve takes from closed to open.
pub const VALVE_TRAVEL_SECONDS: f64 = 8.0;
/// Seconds in which a pump gains or loses 63 % of its speed.
const PUMP_SECONDS: f64 = 2.5;

/// A pump, valve or lamp.
#[derive(Debug, Clone, Copy, Default)]
struct Actuator {
    command: bool,
    /// Speed of a pump's motor or position of a valve's motor, 0 to 1.
    motor: f64,
    /// What reaches the water, 0 to 1: equal to `motor` unless the mechanics have failed.
    effect: f64,
    /// The mechanics have failed: a pump keeps this fraction of its flow, a valve goes to this
    /// position, whatever the motor does.
    failed_at: Option<f64>,
}

/// All actuators, each addressed by the tag of its status.
#[derive(Debug, Clone)]
pub struct Equipment {
    actuators: [Actuator; COUNT],
}

impl Equipment {
    /// Everything stopped and closed.
    pub fn new() -> Self {
        Equipment {
            actuators: [Actuator::default(); COUNT],
        }
    }

    pub fn command(&mut self, tag: Tag, on: bool) {
        self.actuators[tag.column()].command = on;
    }

    /// Delivered fraction of a pump's flow or free opening of a valve, 0 to 1.
    pub fn effect(&self, tag: Tag) -> f64 {
        self.actuators[tag.column()].effect
    }

    /// Breaks (or, with `None`, repairs) the mechanics of the actuator in `column`.
    pub fn fail(&mut self, column: usize, failed_at: Option<f64>) {
        self.actuators[column].failed_at = failed_at;
    }

    /// Whether a failure makes any difference at this moment: a broken pump that is not called for
    /// harms nobody.
    pub fn failure_shows(&self, column: usize) -> bool {
        let actuator = &self.actuators[column];
        actuator.failed_at.is_some() && (actuator.effect - actuator.motor).abs() > 0.05
    }

    /// Whether the actuator `tag` is a drive that runs; never true of a valve or a measurement.
    pub fn runs(&self, tag: Tag) -> bool {
        let column = tag.column();
        SENSORS[column].kind == SensorKind::Drive && self.actuators[column].command
    }

    /// Moves all motors on by `dt` seconds.
    pub fn step(&mut self, dt: f64) {
        for (actuator, spec) in self.actuators.iter_mut().zip(SENSORS) {
            let target = f64::from(u8::from(actuator.command));
            match spec.kind {
                SensorKind::Measure => {}
                SensorKind::Drive => {
                    actuator.motor = lag(actuator.motor, target, PUMP_SECONDS, dt);
                    actuator.effect = actuator.motor * actuator.failed_at.unwrap_or(1.0);
                }
                SensorKind::Valve => {
                    let travel = dt / VALVE_TRAVEL_SECONDS;
                    let moved = |from: f64, to: f64| from + (to - from).clamp(-travel, travel);
                    actuator.motor = moved(actuator.motor, target);
                    let free = actuator.failed_at.unwrap_or(actuator.motor);
                    actuator.effect = moved(actuator.effect, free);
                }
            }
        }
    }

    /// The status contact of the actuator in `column`, coded as [`SensorKind`] says. It sits on the
    /// motor: a pump with a broken coupling still reports 2. Only the lamp reports its own current.
    pub fn status(&self, column: usize) -> f64 {
        let actuator = &self.actuators[column];
        match SENSORS[column].kind {
            SensorKind::Measure => f64::NAN,
            SensorKind::Drive if column == Tag::UV401.column() => {
                1.0 + f64::from(u8::from(actuator.effect > 0.5))
            }
            SensorKind::Drive => 1.0 + f64::from(u8::from(actuator.command)),
            SensorKind::Valve if actuator.motor < 0.001 => 1.0,
            SensorKind::Valve if actuator.motor > 0.999 => 2.0,
            SensorKind::Valve => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valve_travels_and_says_so() {
        let mut equipment = Equipment::new();
        let column = Tag::MV101.column();
        assert_eq!(equipment.status(column), 1.0);
        equipment.command(Tag::MV101, true);
        equipment.step(4.0);
        assert_eq!(equipment.status(column), 0.0);
        assert!((equipment.effect(Tag::MV101) - 0.5).abs() < 1e-9);
        equipment.step(4.0);
        assert_eq!(equipment.status(column), 2.0);
    }

    #[test]
    fn a_broken_pump_reports_that_it_runs_and_moves_nothing() {
        let mut equipment = Equipment::new();
        let column = Tag::P101.column();
        equipment.fail(column, Some(0.0));
        equipment.step(10.0);
        assert!(!equipment.failure_shows(column), "it is not called for yet");
        equipment.command(Tag::P101, true);
        equipment.step(10.0);
        assert_eq!(equipment.status(column), 2.0);
        assert_eq!(equipment.effect(Tag::P101), 0.0);
        assert!(equipment.failure_shows(column));
    }
}
