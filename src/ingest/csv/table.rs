//! A whole recording in memory, for training and evaluation.

use std::path::{Path, PathBuf};

use super::CsvOptions;
use super::error::CsvError;
use super::reader::CsvReader;
use super::row::Rejected;
use crate::frame::Timestamp;

#[derive(Debug)]
pub struct Table {
    pub path: PathBuf,
    /// `[F]`, in column order.
    pub sensors: Vec<String>,
    /// `[rows]`; never decreasing unless read with [`super::BadValues::Missing`].
    pub times: Vec<Timestamp>,
    /// `[rows, F]`; NaN is missing.
    pub values: Vec<f64>,
    /// What was left out; empty unless read with [`super::BadValues::Missing`].
    pub rejected: Rejected,
}

impl Table {
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// `[F]`; empty beyond the last row.
    pub fn row(&self, row: usize) -> &[f64] {
        let width = self.sensors.len();
        let start = row.saturating_mul(width);
        self.values
            .get(start..start.saturating_add(width))
            .unwrap_or_default()
    }

    /// Share of values that are missing, 0 to 1.
    pub fn missing(&self) -> f64 {
        let missing = self.values.iter().filter(|value| value.is_nan()).count();
        missing as f64 / self.values.len().max(1) as f64
    }

    /// The median of the steps from row to row that go forward, in nanoseconds: the period of the
    /// recording, whatever gaps and repeated rows it has. `None` when the time never moves on.
    pub fn median_step(&self) -> Option<i64> {
        let steps = self.times.windows(2);
        let mut steps: Vec<i64> = steps
            .map(|pair| pair[1].nanos_since(pair[0]))
            .filter(|&step| step > 0)
            .collect();
        if steps.is_empty() {
            return None;
        }
        let middle = (steps.len() - 1) / 2;
        let (_, median, _) = steps.select_nth_unstable(middle);
        Some(*median)
    }
}

/// Reads the recording at `path` to its end.
///
/// # Errors
/// The file cannot be read, its header is unusable, it has no row, or (under
/// [`super::BadValues::Reject`]) one of its rows is unusable: the first such row ends the reading.
/// When rows may be left out and none is left, the first row's error is returned.
pub fn read_table(path: &Path, options: CsvOptions) -> Result<Table, CsvError> {
    let mut reader = CsvReader::open(path, options)?;
    let sensors = reader.sensors().to_vec();
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let mut row = Vec::with_capacity(sensors.len());
    while let Some(time) = reader.next_row(&mut row)? {
        times.push(time);
        values.extend_from_slice(&row);
    }
    let mut rejected = reader.into_rejected();
    if times.is_empty() && !rejected.examples.is_empty() {
        return Err(rejected.examples.swap_remove(0));
    }
    Ok(Table {
        path: path.to_owned(),
        sensors,
        times,
        values,
        rejected,
    })
}
