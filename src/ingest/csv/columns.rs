//! Which column feeds which sensor of the model.

use std::collections::HashMap;

/// The model expects sensors that a recording does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} of the model's {expected} sensors {} no column in the recording: {names}", if *count == 1 { "has" } else { "have" })]
pub struct AbsentSensors {
    pub count: usize,
    pub expected: usize,
    /// The first few of them.
    pub names: String,
}

/// The columns of a recording (or of any other row source) laid over the sensors of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMap {
    /// `[columns]`
    sensor: Vec<Option<usize>>,
    sensors: usize,
    unknown: Vec<String>,
    absent: Vec<String>,
}

impl ColumnMap {
    /// `sensors` are the model's, `columns` the recording's; names must agree to the letter.
    pub fn new(sensors: &[String], columns: &[String]) -> Self {
        let index: HashMap<&str, usize> = sensors.iter().map(String::as_str).zip(0..).collect();
        let find = |column: &String| index.get(column.as_str()).copied();
        let sensor: Vec<Option<usize>> = columns.iter().map(find).collect();
        let mut present = vec![false; sensors.len()];
        for &found in sensor.iter().flatten() {
            present[found] = true;
        }
        let unknown = columns.iter().zip(&sensor);
        let unknown = unknown.filter(|(_, found)| found.is_none());
        let absent = sensors.iter().zip(&present);
        let absent = absent.filter(|(_, present)| !**present);
        ColumnMap {
            sensors: sensors.len(),
            unknown: unknown.map(|(name, _)| name.clone()).collect(),
            absent: absent.map(|(name, _)| name.clone()).collect(),
            sensor,
        }
    }

    /// The sensor that `column` feeds.
    pub fn sensor(&self, column: usize) -> Option<usize> {
        self.sensor.get(column).copied().flatten()
    }

    /// Columns that the model does not know, in column order; they are ignored.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Sensors without a column, in the model's order.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// For commands that need every sensor.
    ///
    /// # Errors
    /// A sensor has no column.
    pub fn require_all(&self) -> Result<(), AbsentSensors> {
        const NAMED: usize = 8;
        if self.absent.is_empty() {
            return Ok(());
        }
        let mut names = self.absent[..self.absent.len().min(NAMED)].join(", ");
        if self.absent.len() > NAMED {
            names.push_str(", ...");
        }
        Err(AbsentSensors {
            count: self.absent.len(),
            expected: self.sensors,
            names,
        })
    }

    /// Lays the columns' values `row` `[columns]` out in the model's order in `out` `[F]`; absent
    /// sensors are missing. Surplus values on either side are left alone.
    pub fn apply(&self, row: &[f64], out: &mut [f64]) {
        out.fill(f64::NAN);
        for (&value, sensor) in row.iter().zip(&self.sensor) {
            if let Some(slot) = sensor.and_then(|sensor| out.get_mut(sensor)) {
                *slot = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_are_laid_over_sensors_by_name() {
        let map = ColumnMap::new(&names(&["a", "b", "c"]), &names(&["c", "note", "a"]));
        assert_eq!(map.unknown(), ["note"]);
        assert_eq!(map.absent(), ["b"]);
        assert_eq!((map.sensor(0), map.sensor(1)), (Some(2), None));
        let mut out = [0.0; 3];
        map.apply(&[3.0, 9.0, 1.0], &mut out);
        assert_eq!((out[0], out[2]), (1.0, 3.0));
        assert!(out[1].is_nan());
    }

    #[test]
    fn absent_sensors_are_named() {
        let sensors = names(&["a", "b"]);
        let map = ColumnMap::new(&sensors, &names(&["a"]));
        assert_eq!(
            map.require_all().unwrap_err().to_string(),
            "1 of the model's 2 sensors has no column in the recording: b"
        );
        assert!(ColumnMap::new(&sensors, &sensors).require_all().is_ok());
    }
}
