//! Normal data on the command line: what `train` and `model wrap` share about the recording that is
//! learnt from, and about the model that comes of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use super::print::{few, tell};
use super::recording::{Unfit, seconds_text, units};
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::ingest::csv::{BadValues, CsvError, CsvOptions, Table, read_table};
use crate::learn::{self, Recording};
use crate::train::{
    AutoencoderConfig, EachRow, NormalData, NormalRows, Topology, TrainConfig, TrainError,
};

#[derive(Debug, Args)]
pub struct NormalArgs {
    /// Recording of normal operation: CSV, a time column and one column a sensor; or the folder
    /// that the service recorded to learn from
    #[arg(long, value_name = "RECORDING")]
    pub data: PathBuf,
    /// Where to write the model
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Which sensors may explain each other, a file of edges and groups (docs/cli.md)
    #[arg(long, value_name = "TOML")]
    pub graph: Option<PathBuf>,
    /// The promise: at most this many false alarms a week
    #[arg(long, value_name = "N", default_value = "7", value_parser = super::budget)]
    pub max_false_alarms_per_week: f64,
    /// Name of the plant or line [default: that of the recording]
    #[arg(long, value_parser = super::not_empty)]
    pub name: Option<String>,
    /// Version of the model, free text
    #[arg(long, value_name = "TEXT", default_value = "1", value_parser = super::not_empty)]
    pub model_version: String,
    /// The torch worker [default: beside this program, or on PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub torch_worker: Option<PathBuf>,

    /// Sampling period, such as 5s [default: the median step of the recording]
    #[arg(long, value_parser = super::period, help_heading = "How the recording is read")]
    period: Option<Duration>,
    /// Units of the sensors, CSV with columns sensor,unit
    #[arg(long, value_name = "CSV", help_heading = "How the recording is read")]
    units: Option<PathBuf>,
    /// Zone of times without an offset
    #[arg(
        long,
        default_value = "UTC",
        value_parser = super::time_zone,
        help_heading = "How the recording is read"
    )]
    zone: TimeZone,
    /// Take values that are not numbers as missing, instead of refusing the recording
    #[arg(long, help_heading = "How the recording is read")]
    skip_bad_values: bool,
}

/// A recording with its sensors' units.
pub struct Normal {
    sensors: Vec<String>,
    units: Vec<String>,
    rows: Rows,
    align: AlignConfig,
}

enum Rows {
    /// A CSV file, read whole.
    Table(Table),
    /// The service's own recording, which is read row by row: those of a day take less memory so
    /// than the training itself.
    Recorded(Box<EachRow<'static>>),
}

impl Normal {
    pub fn data(&self) -> NormalData<'_> {
        NormalData {
            sensors: &self.sensors,
            units: &self.units,
            rows: match &self.rows {
                Rows::Table(table) => NormalRows::Table(&table.times, &table.values),
                Rows::Recorded(each) => NormalRows::Each(each),
            },
        }
    }
}

impl NormalArgs {
    /// The files that are read.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        let inputs = [Some(&self.data), self.graph.as_ref(), self.units.as_ref()];
        inputs.into_iter().flatten().map(PathBuf::as_path)
    }

    /// Reads the recording. `all_columns`: also those without any value.
    ///
    /// # Errors
    /// The recording or the units are unusable.
    pub fn read(&self, all_columns: bool) -> anyhow::Result<Normal> {
        let (sensors, count, rows, align) = match self.data.is_dir() {
            true => self.recorded(all_columns)?,
            false => self.csv(all_columns)?,
        };
        tell(format_args!(
            "learning from {}: {count} rows, {}, one frame each {}",
            self.data.display(),
            super::counted(sensors.len(), "sensor"),
            seconds_text(align.period_nanos as f64 / 1e9),
        ));
        Ok(Normal {
            units: units(self.units.as_deref(), &sensors)?,
            sensors,
            rows,
            align,
        })
    }

    fn csv(&self, all_columns: bool) -> anyhow::Result<(Vec<String>, usize, Rows, AlignConfig)> {
        let table = self.table()?;
        let table = match all_columns {
            true => table,
            false => without_empty_columns(table)?,
        };
        let period_nanos = match self.period {
            Some(period) => super::nanos(period),
            None => table.median_step().ok_or_else(|| Unfit::Untrainable {
                path: table.path.clone(),
                reason: "no two rows have different times".to_owned(),
            })?,
        };
        let align = AlignConfig::new(period_nanos);
        let (sensors, rows) = (table.sensors.clone(), table.rows());
        Ok((sensors, rows, Rows::Table(table), align))
    }

    /// The recording of the service.
    fn recorded(
        &self,
        all_columns: bool,
    ) -> anyhow::Result<(Vec<String>, usize, Rows, AlignConfig)> {
        let untrainable = |reason: String| Unfit::Untrainable {
            path: self.data.clone(),
            reason,
        };
        let recording = Recording::load(&self.data)?
            .filter(|recording| recording.rows > 0)
            .ok_or_else(|| {
                untrainable("no recording of the service is in this folder".to_owned())
            })?;
        let period = recording.period_nanos;
        if self
            .period
            .is_some_and(|other| super::nanos(other) != period)
        {
            return Err(untrainable(format!(
                "it was recorded at a period of {}; leave --period out",
                seconds_text(period as f64 / 1e9)
            ))
            .into());
        }
        for (path, reason) in &recording.damaged {
            let path = path.display();
            tell(format_args!("warning: {path}: left out, {reason}"));
        }
        let (mut wanted, left_out) = recording.learnable();
        if all_columns {
            wanted = (0..recording.sensors.len()).collect();
        } else if wanted.is_empty() {
            return Err(untrainable("no sensor has reported often enough".to_owned()).into());
        } else if !left_out.is_empty() {
            tell(format_args!(
                "warning: {}: left out, for they reported too few values: {}",
                self.data.display(),
                few(&left_out)
            ));
        }
        let sensors = wanted.iter().map(|&i| recording.sensors[i].clone());
        let sensors = sensors.collect();
        let align = learn::fit::align(&recording);
        let rows = recording.rows as usize;
        let each = move |take: &mut dyn FnMut(_, &[f64])| recording.each(&wanted, take);
        Ok((sensors, rows, Rows::Recorded(Box::new(each)), align))
    }

    fn table(&self) -> anyhow::Result<Table> {
        let options = CsvOptions {
            zone: self.zone.clone(),
            bad: match self.skip_bad_values {
                true => BadValues::Missing,
                false => BadValues::Reject,
            },
        };
        let table = read_table(&self.data, options).map_err(|error| {
            // What a person can do about a bad row is different for `train` than for `replay`; a bad
            // value says so itself, and no option helps with a bad header.
            let mendable = error.is_row() && !matches!(error, CsvError::BadValue { .. });
            match mendable && error.place().is_some_and(|place| place.line > 1) {
                true => anyhow::Error::new(error).context(
                    "training data must be sound: mend the row, or give --skip-bad-values",
                ),
                false => anyhow::Error::new(error),
            }
        })?;
        for line in table.rejected.lines() {
            tell(format_args!("warning: {line}"));
        }
        Ok(table)
    }

    /// What is common to `train` and `wrap`; heads, window and autoencoder are theirs to set.
    ///
    /// # Errors
    /// The topology is unusable.
    pub fn config(&self, normal: &Normal) -> anyhow::Result<TrainConfig> {
        let stem = self.data.file_stem();
        let stem = stem.map(|stem| stem.to_string_lossy().into_owned());
        let name = self.name.clone().or(stem);
        // Where the program lies is no part of what was done.
        let words = std::env::args().skip(1);
        let command: Vec<String> = std::iter::once("anomalyd".to_owned())
            .chain(words)
            .collect();
        Ok(TrainConfig {
            name: name.unwrap_or_else(|| "plant".to_owned()),
            version: self.model_version.clone(),
            command: command.join(" "),
            heads: Vec::new(),
            window: 0,
            max_false_alarms_per_week: self.max_false_alarms_per_week,
            align: normal.align,
            topology: self.graph.as_deref().map(Topology::load).transpose()?,
            autoencoder: AutoencoderConfig::default(),
            torch: TorchConfig {
                worker: self.torch_worker.clone(),
                ..TorchConfig::default()
            },
            golden_by_torch: true,
        })
    }

    /// Names the recording where it is to blame.
    pub fn in_context(&self, error: TrainError) -> anyhow::Error {
        let of_data = matches!(
            error,
            TrainError::TooFewRows { .. }
                | TrainError::NoWindows { .. }
                | TrainError::TooManySensors { .. }
                | TrainError::TooLarge { .. }
                | TrainError::OtherWidth { .. }
        );
        match of_data {
            true => anyhow::Error::new(error).context(self.data.display().to_string()),
            false => error.into(),
        }
    }
}

/// Leaves out the sensors that never have a value: there is nothing to learn about them, and their
/// first value ever would be an alarm.
fn without_empty_columns(table: Table) -> anyhow::Result<Table> {
    let width = table.sensors.len();
    let mut seen = vec![false; width];
    for row in table.values.chunks_exact(width.max(1)) {
        for (seen, value) in seen.iter_mut().zip(row) {
            *seen |= !value.is_nan();
        }
    }
    let empty: Vec<String> = names(&table, |i| !seen[i]);
    if empty.is_empty() {
        return Ok(table);
    }
    if empty.len() == width {
        return Err(Unfit::Untrainable {
            path: table.path,
            reason: "not one value in the whole recording".to_owned(),
        }
        .into());
    }
    tell(format_args!(
        "warning: {}: left out, for they have no value in the whole recording: {}",
        table.path.display(),
        few(&empty)
    ));
    let kept = table.values.iter().zip(seen.iter().cycle());
    let values = kept.filter(|(_, seen)| **seen).map(|(value, _)| *value);
    Ok(Table {
        values: values.collect(),
        sensors: names(&table, |i| seen[i]),
        ..table
    })
}

fn names(table: &Table, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let names = table.sensors.iter().enumerate();
    names
        .filter(|(i, _)| wanted(*i))
        .map(|(_, name)| name.clone())
        .collect()
}
