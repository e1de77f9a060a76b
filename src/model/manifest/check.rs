//! Whether a manifest makes sense in itself.

use std::collections::HashSet;

use super::{Manifest, SCHEMA};
use crate::model::MAX_DIMENSION;

impl Manifest {
    /// Whether every number is in its range and every list has the length that others demand.
    ///
    /// # Errors
    /// Names the first key, sensor or edge that is wrong, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema is {}, must be {SCHEMA}", self.schema));
        }
        positive("period_seconds", self.period_seconds)?;
        positive("max_false_alarms_per_week", self.max_false_alarms_per_week)?;
        count("window", self.window)?;
        count("number of sensors", self.sensors.len())?;
        if self.hidden > MAX_DIMENSION {
            return Err(format!(
                "hidden is {}, at most {MAX_DIMENSION}",
                self.hidden
            ));
        }
        self.check_heads()?;
        let mut names = HashSet::new();
        for sensor in &self.sensors {
            let name = &sensor.name;
            if name.is_empty() || !names.insert(name) {
                return Err(format!(
                    "the sensor name {name:?} is empty or given twice; each needs its own"
                ));
            }
            let key = |key: &str| format!("{key} of sensor {name}");
            finite(&key("mean"), sensor.mean)?;
            positive(&key("deviation"), sensor.deviation)?;
            if sensor.residual.len() != self.heads.len() {
                return Err(format!(
                    "sensor {name} has {} residual spreads where {} heads are scored",
                    sensor.residual.len(),
                    self.heads.len()
                ));
            }
            for (head, residual) in self.heads.iter().zip(&sensor.residual) {
                let key = |key: &str| format!("{key} of sensor {name}, head {}", head.name());
                finite(&key("median"), residual.median)?;
                positive(&key("spread"), residual.spread)?;
                positive(&key("fast"), residual.fast)?;
                positive(&key("slow"), residual.slow)?;
            }
        }
        for (index, edge) in self.edges.iter().enumerate() {
            let sensors = self.sensors.len();
            if edge.target >= sensors || edge.source >= sensors || edge.target == edge.source {
                return Err(format!(
                    "edge {index} leads from sensor {} to {}; they must be two of 0 to {}",
                    edge.source,
                    edge.target,
                    sensors - 1
                ));
            }
            finite(&format!("weight of edge {index}"), edge.weight)?;
        }
        self.check_numbers()
    }

    fn check_heads(&self) -> Result<(), String> {
        let mut seen = Vec::new();
        for head in &self.heads {
            if seen.contains(head) {
                return Err(format!("the head {} is given twice", head.name()));
            }
            seen.push(*head);
        }
        if seen.is_empty() {
            return Err(
                "heads is empty; at least one of reconstruction, neighbour and raw must \
                        be scored"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), String> {
        let training = &self.training;
        finite("training.span_seconds", training.span_seconds)?;
        if !(0.0..=1.0).contains(&training.missing) {
            return Err(format!(
                "training.missing is {}, must be a share from 0 to 1",
                training.missing
            ));
        }
        if let Some(loss) = training.loss {
            finite("training.loss", loss)?;
        }
        for (name, tail) in [("a", &self.charts.a), ("b", &self.charts.b)] {
            for (key, value) in [
                ("quantile", tail.quantile),
                ("mean_excess", tail.mean_excess),
                ("peaks_per_week", tail.peaks_per_week),
                ("largest", tail.largest),
            ] {
                let key = format!("charts.{name}.{key}");
                finite(&key, value)?;
                if value < 0.0 {
                    return Err(format!("{key} is {value}, must not be negative"));
                }
            }
        }
        Ok(())
    }
}

fn finite(key: &str, value: f64) -> Result<(), String> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(format!("{key} is {value}, must be a finite number"))
    }
}

fn positive(key: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(format!("{key} is {value}, must be a number above 0"))
    }
}

fn count(key: &str, value: usize) -> Result<(), String> {
    if (1..=MAX_DIMENSION).contains(&value) {
        Ok(())
    } else {
        Err(format!("{key} is {value}, must be 1 to {MAX_DIMENSION}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::{Edge, example};

    /// What is done to a manifest, and how the complaint begins.
    type Case<'a> = (&'a dyn Fn(&mut Manifest), &'a str);

    #[test]
    fn each_mistake_is_named() {
        let mistake = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = example();
            assert_eq!(manifest.check(), Ok(()));
            change(&mut manifest);
            manifest.check().unwrap_err()
        };
        let cases: [Case; 14] = [
            (&|m| m.schema = 2, "schema is 2, must be 1"),
            (
                &|m| m.period_seconds = 0.0,
                "period_seconds is 0, must be a number above 0",
            ),
            (
                &|m| m.max_false_alarms_per_week = f64::NAN,
                "max_false_alarms_per_week is NaN, must be a number above 0",
            ),
            (&|m| m.window = 0, "window is 0, must be 1 to 1024"),
            (&|m| m.hidden = 4096, "hidden is 4096, at most 1024"),
            (
                &|m| m.sensors.clear(),
                "number of sensors is 0, must be 1 to 1024",
            ),
            (&|m| m.heads.clear(), "heads is empty"),
            (
                &|m| m.heads[1] = m.heads[0],
                "the head reconstruction is given twice",
            ),
            (
                &|m| m.sensors[1].name = m.sensors[0].name.clone(),
                "the sensor name \"FIT401\" is empty or given twice",
            ),
            (
                &|m| m.sensors[1].deviation = -1.0,
                "deviation of sensor P401 is -1, must be a number above 0",
            ),
            (
                &|m| m.sensors[0].residual[2].fast = 0.0,
                "fast of sensor FIT401, head raw is 0, must be a number above 0",
            ),
            (
                &|m| m.sensors[0].residual.truncate(1),
                "sensor FIT401 has 1 residual spreads where 3 heads are scored",
            ),
            (
                &|m| {
                    m.edges.push(Edge {
                        target: 1,
                        source: 1,
                        weight: 1.0,
                    })
                },
                "edge 2 leads from sensor 1 to 1; they must be two of 0 to 1",
            ),
            (
                &|m| m.charts.b.quantile = -0.5,
                "charts.b.quantile is -0.5, must not be negative",
            ),
        ];
        for (change, message) in cases {
            let found = mistake(change);
            assert!(found.starts_with(message), "{found}");
        }
    }
}
