//! Reads the recording as a whole: which sensors reported, and their rows in order. Changes nothing
//! on the disk but by [`Recording::set_damaged_aside`]. Imports `frame` and its siblings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::LearnError;
use super::block::{BlockError, BlockReader, Header};
use crate::frame::Timestamp;

/// A longer step than this between two blocks says that the clock was set.
const LONGEST_STEP: i64 = 30 * 86_400 * 1_000_000_000;
/// Where a clock was set, this many periods part the rows: a gap in any case.
const GAP_PERIODS: i64 = 100;
/// The block that was damaged last.
const DAMAGED: &str = "damaged.bad";

/// A block that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub number: u64,
    pub header: Header,
    pub rows: u64,
    /// Of what is whole.
    pub bytes: u64,
}

/// What a recording holds, without its rows.
#[derive(Debug)]
pub struct Recording {
    pub folder: PathBuf,
    /// In order.
    pub blocks: Vec<Block>,
    /// Blocks that cannot be read, and why.
    pub damaged: Vec<(PathBuf, String)>,
    pub period_nanos: i64,
    /// `[F]` in the order in which they came
    pub sensors: Vec<String>,
    /// `[F]` rows in which the sensor has a value
    pub present: Vec<u64>,
    /// In the blocks.
    pub rows: u64,
    /// Frames that were recorded, those that were thinned out among them.
    pub frames: u64,
    /// Of the last row.
    pub last: Option<Timestamp>,
}

/// The file of a block.
pub fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.rec"))
}

impl Recording {
    /// Looks through the recording in `folder`; nothing where there is none. Of blocks of different
    /// periods (a changed configuration) only those of the newest one count.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, LearnError> {
        let mut recording = Recording {
            folder: folder.to_owned(),
            blocks: Vec::new(),
            damaged: Vec::new(),
            period_nanos: 0,
            sensors: Vec::new(),
            present: Vec::new(),
            rows: 0,
            frames: 0,
            last: None,
        };
        let mut numbers = numbers(folder)?;
        numbers.sort_unstable();
        for number in &numbers {
            recording.add(*number)?;
        }
        let found = !recording.blocks.is_empty() || !recording.damaged.is_empty();
        Ok(found.then_some(recording))
    }

    fn add(&mut self, number: u64) -> Result<(), LearnError> {
        let path = path_of(&self.folder, number);
        let mut reader = match BlockReader::open(&path) {
            Ok(reader) => reader,
            Err(BlockError::Io(error)) => return Err(LearnError::at(&path)(error)),
            Err(error) => {
                self.damaged.push((path, error.to_string()));
                return Ok(());
            }
        };
        let header = reader.header().clone();
        if header.period_nanos != self.period_nanos {
            self.blocks.clear();
            self.present.fill(0);
            self.rows = 0;
            self.period_nanos = header.period_nanos;
        }
        let columns = self.columns(&header.sensors);
        let mut values = vec![f32::NAN; columns.len()];
        let mut rows = 0;
        while let Some(time) = reader
            .next_row(&mut values)
            .map_err(LearnError::at(&path))?
        {
            for (column, value) in columns.iter().zip(&values) {
                self.present[*column] += u64::from(!value.is_nan());
            }
            self.last = Some(time);
            rows += 1;
        }
        self.rows += rows;
        self.frames = header.before + rows;
        self.blocks.push(Block {
            number,
            header,
            rows,
            bytes: reader.bytes(),
        });
        Ok(())
    }

    /// Places of `sensors` among all; new ones get the next.
    fn columns(&mut self, sensors: &[String]) -> Vec<usize> {
        if self.sensors.starts_with(sensors) {
            return (0..sensors.len()).collect();
        }
        let mut columns = Vec::with_capacity(sensors.len());
        for name in sensors {
            let known = self.sensors.iter().position(|sensor| sensor == name);
            columns.push(known.unwrap_or(self.sensors.len()));
            if known.is_none() {
                self.sensors.push(name.clone());
                self.present.push(0);
            }
        }
        columns
    }

    /// Share of values that are missing, 0 to 1, of those sensors that reported at all.
    pub fn missing(&self) -> f64 {
        let reported = self.present.iter().filter(|count| **count > 0).count() as u64;
        let all = reported * self.rows;
        match all {
            0 => 0.0,
            all => 1.0 - self.present.iter().sum::<u64>() as f64 / all as f64,
        }
    }

    /// Hands each row to `take`: its time, and the values of the sensors `wanted` in that order,
    /// NaN where missing. Times go up also where the clock was set back.
    ///
    /// # Errors
    /// A block cannot be read any more.
    pub fn each(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(Timestamp, &[f64]),
    ) -> io::Result<()> {
        let mut row = vec![f64::NAN; wanted.len()];
        let mut last: Option<(Timestamp, Timestamp)> = None;
        for block in &self.blocks {
            let mut reader = match BlockReader::open(&path_of(&self.folder, block.number)) {
                Ok(reader) => reader,
                Err(BlockError::Io(error)) => return Err(error),
                Err(damaged) => return Err(io::Error::other(damaged.to_string())),
            };
            let place = |wanted: &usize| {
                let name = &self.sensors[*wanted];
                block.header.sensors.iter().position(|n| n == name)
            };
            let places: Vec<Option<usize>> = wanted.iter().map(place).collect();
            let mut values = vec![f32::NAN; block.header.sensors.len()];
            for _ in 0..block.rows {
                let Some(time) = reader.next_row(&mut values)? else {
                    return Err(io::Error::other("the recording changed meanwhile"));
                };
                for (value, place) in row.iter_mut().zip(&places) {
                    *value = place.map_or(f64::NAN, |place| f64::from(values[place]));
                }
                let told = match last {
                    None => time,
                    Some((read, told)) => {
                        let step = match time.nanos_since(read) {
                            step if (1..=LONGEST_STEP).contains(&step) => step,
                            _ => self.period_nanos.saturating_mul(GAP_PERIODS),
                        };
                        told.add_nanos(step)
                    }
                };
                last = Some((time, told));
                take(told, &row);
            }
        }
        Ok(())
    }

    /// Renames what is damaged, so that it is not looked at again, and says so. Only the last one is
    /// kept.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn set_damaged_aside(&self) -> Result<Vec<String>, LearnError> {
        let mut told = Vec::new();
        let aside = self.folder.join(DAMAGED);
        for (path, reason) in &self.damaged {
            fs::rename(path, &aside).map_err(LearnError::at(path))?;
            told.push(format!(
                "{}: {reason}; set aside as {DAMAGED}, the rest of the recording stays",
                path.display()
            ));
        }
        Ok(told)
    }
}

/// Numbers of the blocks in `folder`, in no order.
fn numbers(folder: &Path) -> Result<Vec<u64>, LearnError> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LearnError::at(folder)(error)),
    };
    let mut numbers = Vec::new();
    for entry in listing {
        let name = entry.map_err(LearnError::at(folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".rec"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// Removes the recording in `folder`, if there is one.
///
/// # Errors
/// A block cannot be removed.
pub fn remove(folder: &Path) -> Result<(), LearnError> {
    for number in numbers(folder)? {
        let path = path_of(folder, number);
        fs::remove_file(&path).map_err(LearnError::at(&path))?;
    }
    Ok(())
}
