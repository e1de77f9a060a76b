//! What the commands on recordings share: a file's columns as the model's sensors, and what a
//! model would have raised.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::frame::Timestamp;
use crate::ingest::csv::{ColumnMap, CsvOptions, CsvReader};
use crate::model::Manifest;
use crate::score::calibrate::Calibration;
use crate::score::threshold::Thresholds;

/// A recording that cannot be what the model watches.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("{path}: has none of the model's sensors ({example} ...): is it another plant's?")]
    NoSensor { path: PathBuf, example: String },
    #[error(
        "{path}: nothing could be scored: the model wants {window} rows without a gap, {period} \
         apart, and the recording's rows are {found} apart; give --period, or a recording as the \
         model was trained on"
    )]
    NothingScored {
        path: PathBuf,
        window: usize,
        period: String,
        found: String,
    },
    #[error("{path}: {reason}")]
    Units { path: PathBuf, reason: String },
}

/// Rows of a CSV file in the order of the model's sensors.
pub struct Recording {
    reader: CsvReader,
    map: ColumnMap,
    row: Vec<f64>,
    path: PathBuf,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    rows: usize,
}

impl Recording {
    /// Opens `path`. `complete`: every sensor of the model must be there; otherwise an absent one
    /// is stale throughout, as for the daemon.
    ///
    /// # Errors
    /// The file is unusable, or its columns are not the model's sensors.
    pub fn open(
        path: &Path,
        manifest: &Manifest,
        options: CsvOptions,
        complete: bool,
    ) -> anyhow::Result<Self> {
        let reader = CsvReader::open(path, options)?;
        let names: Vec<String> = manifest.sensors.iter().map(|s| s.name.clone()).collect();
        let map = ColumnMap::new(&names, reader.sensors());
        if map.absent().len() == names.len() {
            let example = names.into_iter().next().unwrap_or_default();
            return Err(Unfit::NoSensor {
                path: path.to_owned(),
                example,
            }
            .into());
        }
        if complete {
            map.require_all()
                .with_context(|| path.display().to_string())?;
        } else if !map.absent().is_empty() {
            eprintln!(
                "warning: {}: without {}; they count as silent",
                path.display(),
                map.absent().join(", ")
            );
        }
        if !map.unknown().is_empty() {
            eprintln!(
                "note: {}: columns that the model does not know are ignored: {}",
                path.display(),
                map.unknown().join(", ")
            );
        }
        Ok(Recording {
            reader,
            map,
            row: Vec::new(),
            path: path.to_owned(),
            first: None,
            last: None,
            rows: 0,
        })
    }

    /// The next row, its values `[F]` in the model's order into `values`. `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read further or a row is unusable.
    pub fn next_row(&mut self, values: &mut [f64]) -> anyhow::Result<Option<Timestamp>> {
        let Some(time) = self.reader.next_row(&mut self.row)? else {
            for line in self.reader.rejected().lines() {
                eprintln!("warning: {line}");
            }
            return Ok(None);
        };
        self.map.apply(&self.row, values);
        self.first.get_or_insert(time);
        self.last = Some(time);
        self.rows += 1;
        Ok(Some(time))
    }

    /// Rows read so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Time from the first to the last row, in seconds.
    pub fn span_seconds(&self) -> f64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.seconds_since(first),
            _ => 0.0,
        }
    }

    /// Says why nothing was scored.
    pub fn nothing_scored(&self, manifest: &Manifest) -> Unfit {
        let step = self.span_seconds() / self.rows.saturating_sub(1).max(1) as f64;
        Unfit::NothingScored {
            path: self.path.clone(),
            window: manifest.window,
            period: seconds_text(manifest.period_seconds),
            found: seconds_text(step),
        }
    }
}

fn seconds_text(seconds: f64) -> String {
    match std::time::Duration::try_from_secs_f64((seconds * 1e3).round() / 1e3) {
        Ok(duration) => humantime::format_duration(duration).to_string(),
        Err(_) => format!("{seconds} s"),
    }
}

/// Units of `sensors` `[F]` from a CSV file with columns `sensor,unit`; empty text where unknown.
///
/// # Errors
/// The file cannot be read or has not these columns.
pub fn units(path: Option<&Path>, sensors: &[String]) -> anyhow::Result<Vec<String>> {
    let mut units = vec![String::new(); sensors.len()];
    let Some(path) = path else { return Ok(units) };
    let bad = |reason: String| Unfit::Units {
        path: path.to_owned(),
        reason,
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| bad(error.to_string()))?;
    for record in reader.records() {
        let record = record.map_err(|error| bad(error.to_string()))?;
        let (Some(name), Some(unit)) = (record.get(0), record.get(1)) else {
            return Err(bad("wants two columns: sensor,unit".to_owned()).into());
        };
        if let Some(i) = sensors.iter().position(|sensor| sensor == name) {
            unit.clone_into(&mut units[i]);
        }
    }
    Ok(units)
}

/// How many alarms the out-of-sample scores of training would have raised, without flood control.
pub fn preview(calibration: &Calibration, thresholds: Thresholds) -> usize {
    calibration.alarms(thresholds)
}
