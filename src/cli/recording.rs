//! What the commands on recordings share: a file's columns as the model's sensors, and what makes
//! a recording unfit.

use std::path::{Path, PathBuf};

use super::print::{few, tell};
use crate::frame::{Timestamp, format_span};
use crate::ingest::csv::{ColumnMap, CsvOptions, CsvReader};
use crate::model::Manifest;

/// Rows this many periods apart are told of: what lies between is carried on, not seen.
const SPARSE: f64 = 1.5;

/// A recording that cannot be what the model watches.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("{path}: has none of the model's sensors ({example} ...): is it another plant's?")]
    NoSensor { path: PathBuf, example: String },
    #[error("{path}: {absent}")]
    Absent {
        path: PathBuf,
        absent: crate::ingest::csv::AbsentSensors,
    },
    #[error(
        "{path}: nothing could be scored: it has {rows}, and the model (one frame each {period}) \
         needs {window} in a row"
    )]
    TooShort {
        path: PathBuf,
        rows: String,
        window: usize,
        period: String,
    },
    #[error(
        "{path}: nothing could be scored: its rows are {found} apart, but should be {period} apart \
         (the model's period, or --period); give a recording like that, or train a model on rows \
         like these"
    )]
    OtherPeriod {
        path: PathBuf,
        period: String,
        found: String,
    },
    #[error(
        "{path}: nothing could be scored: nowhere are there {window} rows in a row, {period} apart, \
         with any value in them"
    )]
    NoWindow {
        path: PathBuf,
        window: usize,
        period: String,
    },
    #[error(
        "{path}: {}, so that labels and events, which count rows, would not fit; mend the rows \
         named above",
        if *.rows == 1 { "1 row is unusable".to_owned() } else { format!("{rows} rows are unusable") }
    )]
    RowsLost { path: PathBuf, rows: u64 },
    #[error("{path}: {reason}")]
    Units { path: PathBuf, reason: String },
    #[error("{path}: {reason}")]
    Untrainable { path: PathBuf, reason: String },
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
        let names = manifest.sensor_names();
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
            map.require_all().map_err(|absent| Unfit::Absent {
                path: path.to_owned(),
                absent,
            })?;
        } else if !map.absent().is_empty() {
            tell(format_args!(
                "warning: {}: without {}; absent sensors count as silent",
                path.display(),
                few(map.absent())
            ));
        }
        if !map.unknown().is_empty() {
            tell(format_args!(
                "note: {}: ignored, for the model does not know them: {}",
                path.display(),
                few(map.unknown())
            ));
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
                tell(format_args!("warning: {line}"));
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

    /// Time of the first row.
    pub fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Time from the first to the last row, in seconds.
    pub fn span_seconds(&self) -> f64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.seconds_since(first),
            _ => 0.0,
        }
    }

    /// Fails where rows were left out: their number in the file would be lost.
    ///
    /// # Errors
    /// A row was unusable.
    pub fn require_every_row(&self) -> Result<(), Unfit> {
        match self.reader.rejected().rows {
            0 => Ok(()),
            rows => Err(Unfit::RowsLost {
                path: self.path.clone(),
                rows,
            }),
        }
    }

    /// Says so where the rows are further apart than `period_seconds`; gaps do not count.
    pub fn tell_if_sparse(&self, period_seconds: f64, scored_frames: u64) {
        // Frames between the rows are made by carrying values on, so there are more than rows.
        if scored_frames as f64 > SPARSE * self.rows as f64 {
            tell(format_args!(
                "warning: {}: its rows are further apart than the model's {}; values in between \
                 were carried on",
                self.path.display(),
                seconds_text(period_seconds)
            ));
        }
    }

    /// Says why nothing was scored by a model of windows of `window` frames, `period_seconds` apart.
    pub fn nothing_scored(&self, window: usize, period_seconds: f64) -> Unfit {
        let path = self.path.clone();
        let period = seconds_text(period_seconds);
        let step = self.span_seconds() / self.rows.saturating_sub(1).max(1) as f64;
        if self.rows < window {
            let rows = super::counted(self.rows, "row");
            Unfit::TooShort {
                path,
                rows,
                window,
                period,
            }
        } else if step > SPARSE * period_seconds {
            Unfit::OtherPeriod {
                path,
                period,
                found: seconds_text(step),
            }
        } else {
            Unfit::NoWindow {
                path,
                window,
                period,
            }
        }
    }
}

/// A period as people write it; spans that are not whole milliseconds are rounded.
pub fn seconds_text(seconds: f64) -> String {
    match std::time::Duration::try_from_secs_f64((seconds * 1e3).round() / 1e3) {
        Ok(duration) if !duration.is_zero() => humantime::format_duration(duration).to_string(),
        _ => format_span(seconds),
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
    let header = reader.headers().map_err(|error| bad(error.to_string()))?;
    if header.iter().take(2).ne(["sensor", "unit"]) {
        return Err(bad("must start with the line sensor,unit".to_owned()).into());
    }
    let mut unknown = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(error.to_string()))?;
        let (name, unit) = (&record[0], record.get(1).unwrap_or_default());
        match sensors.iter().position(|sensor| sensor == name) {
            Some(i) => unit.clone_into(&mut units[i]),
            None => unknown.push(name.to_owned()),
        }
    }
    if !unknown.is_empty() {
        tell(format_args!(
            "note: {}: ignored, for the recording has no such column: {}",
            path.display(),
            few(&unknown)
        ));
    }
    Ok(units)
}
