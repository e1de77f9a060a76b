//! Writes frames and their labels: CSV, JSON lines, `labels.csv`, `events.json`. Imports the sensor
//! table and `frame`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::faults::FaultKind;
use super::{FaultEvent, SENSORS, SensorKind};
use crate::frame::Timestamp;

/// How a frame becomes a line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// `time,value,value,…`, after [`header`].
    Csv,
    /// `{"time":"…","MV101":2,…}`
    Json,
}

/// First line of a CSV recording.
pub fn header() -> String {
    let names = SENSORS.iter().map(|sensor| sensor.name);
    let mut line = "time".to_owned();
    for name in names {
        line.push(',');
        line.push_str(name);
    }
    line.push('\n');
    line
}

/// The file that `anomalyd train --units` reads: `sensor,unit`. A state has no unit: "seen 1" says
/// it all.
pub fn units() -> String {
    let mut text = "sensor,unit\n".to_owned();
    for sensor in SENSORS {
        let unit = match sensor.kind {
            SensorKind::Measure => sensor.unit,
            SensorKind::Drive | SensorKind::Valve => "",
        };
        text.push_str(&format!("{},{unit}\n", sensor.name));
    }
    text
}

/// Appends the frame at `time` with `values` (`[51]`, in the order of [`SENSORS`]) to `line`.
pub fn push_frame(line: &mut Vec<u8>, format: LineFormat, time: Timestamp, values: &[f64]) {
    // A Vec never refuses to be written to.
    let _ = match format {
        LineFormat::Csv => write!(line, "{time}"),
        LineFormat::Json => write!(line, "{{\"time\":\"{time}\""),
    };
    for (value, spec) in values.iter().zip(SENSORS) {
        line.push(b',');
        if format == LineFormat::Json {
            line.push(b'"');
            line.extend_from_slice(spec.name.as_bytes());
            line.extend_from_slice(b"\":");
        }
        push_decimal(line, *value, spec.decimals);
    }
    if format == LineFormat::Json {
        line.push(b'}');
    }
    line.push(b'\n');
}

/// Appends `value` with `decimals` places. The values are multiples of their resolution, so nothing
/// is lost; done in integers because `format!` takes longer than the plant.
fn push_decimal(line: &mut Vec<u8>, value: f64, decimals: u8) {
    let scale = 10_u64.pow(u32::from(decimals));
    let scaled = (value.abs() * scale as f64).round() as u64;
    if value < 0.0 && scaled != 0 {
        line.push(b'-');
    }
    push_integer(line, scaled / scale, 1);
    if decimals > 0 {
        line.push(b'.');
        push_integer(line, scaled % scale, usize::from(decimals));
    }
}

/// Appends `number` with at least `places` digits.
fn push_integer(line: &mut Vec<u8>, mut number: u64, places: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while number > 0 || first > digits.len() - places {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    line.extend_from_slice(&digits[first..]);
}

/// A file that appears under its name only when it is complete; an unfinished one is removed.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    partial: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl Draft {
    /// Begins the file that will be `path`, beside it as `path.partial`.
    ///
    /// # Errors
    /// The folder cannot be written, or `path` is there and no file (a device, which the rename at
    /// the end would take away from the whole system).
    pub fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let reason = "exists and is not a file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let writer = BufWriter::with_capacity(1 << 16, File::create(&partial)?);
        Ok(Draft {
            path: path.to_owned(),
            partial,
            writer: Some(writer),
        })
    }

    /// Completes the file and gives it its name, replacing what had it.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer = None;
        fs::rename(&self.partial, &self.path)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(writer) => writer.write(bytes),
            None => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.writer.is_some() {
            // Best effort: the error that led here matters more.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Writes `time,label` for the frames at `times`: 1 while a fault can be noticed, else 0.
pub fn write_labels(
    out: &mut impl Write,
    times: impl Iterator<Item = Timestamp>,
    events: &[FaultEvent],
) -> io::Result<()> {
    out.write_all(b"time,label\n")?;
    for (row, time) in (0..).zip(times) {
        let faulty = events.iter().any(|event| event.rows.contains(&row));
        writeln!(out, "{time},{}", u8::from(faulty))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct EventsFile {
    dt_seconds: f64,
    events: Vec<EventEntry>,
    breaks: [u64; 1],
}

#[derive(Serialize)]
struct EventEntry {
    start: u64,
    end: u64,
    r#type: FaultKind,
    targets: Vec<&'static str>,
}

/// Writes `events.json`: the seconds between rows, the rows `start..end` of each fault with its
/// kind and targets, and the rows where a separate recording starts (the first one only).
pub fn write_events(
    out: &mut impl Write,
    period: Duration,
    events: &[FaultEvent],
) -> io::Result<()> {
    let entry = |event: &FaultEvent| EventEntry {
        start: event.rows.start,
        end: event.rows.end,
        r#type: event.kind,
        targets: event.targets.iter().map(|&c| SENSORS[c].name).collect(),
    };
    let file = EventsFile {
        dt_seconds: period.as_secs_f64(),
        events: events.iter().map(entry).collect(),
        breaks: [0],
    };
    serde_json::to_writer_pretty(&mut *out, &file)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulate::{Plant, Tag};

    #[test]
    fn a_frame_is_written_with_each_sensors_decimals() {
        let mut values = vec![0.0; SENSORS.len()];
        values[Tag::FIT101.column()] = 3.05;
        values[Tag::TIT101.column()] = -0.04;
        values[Tag::LIT101.column()] = 812.3;
        let time = Timestamp::from_seconds(1);
        let mut line = Vec::new();
        push_frame(&mut line, LineFormat::Csv, time, &values);
        let text = String::from_utf8(line).unwrap();
        assert!(text.starts_with("1970-01-01T00:00:01Z,0,3.050,-0.04,812.3,0,0,0.000,"));
        assert_eq!(text.matches(',').count(), SENSORS.len());

        let mut line = Vec::new();
        push_frame(&mut line, LineFormat::Json, time, &values);
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["time"], "1970-01-01T00:00:01Z");
        assert_eq!(object["LIT101"], 812.3);
        assert_eq!(object.as_object().unwrap().len(), SENSORS.len() + 1);
    }

    #[test]
    fn what_is_written_reads_back_to_the_same_values() {
        let mut plant = Plant::new(11, Duration::from_secs(1));
        for _ in 0..500 {
            let values = plant.step().to_vec();
            let mut line = Vec::new();
            push_frame(&mut line, LineFormat::Csv, Timestamp::EPOCH, &values);
            let text = String::from_utf8(line).unwrap();
            let read: Vec<f64> = text
                .trim()
                .split(',')
                .skip(1)
                .map(|field| field.parse().unwrap())
                .collect();
            assert_eq!(read, values);
        }
    }

    #[test]
    fn a_draft_appears_only_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plant.csv");
        let mut draft = Draft::create(&path).unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut draft = Draft::create(&path).unwrap();
        draft.write_all(b"whole").unwrap();
        draft.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn labels_and_events_say_the_same() {
        let events = [FaultEvent {
            kind: FaultKind::Stuck,
            rows: 2..4,
            targets: vec![Tag::LIT101.column()],
        }];
        let period = Duration::from_millis(500);
        let mut labels = Vec::new();
        let times = (0..5).map(Timestamp::from_seconds);
        write_labels(&mut labels, times, &events).unwrap();
        let text = String::from_utf8(labels).unwrap();
        assert_eq!(text.lines().nth(1), Some("1970-01-01T00:00:00Z,0"));
        let flags: Vec<_> = text.lines().skip(1).map(|l| l.ends_with(",1")).collect();
        assert_eq!(flags, [false, false, true, true, false]);
        let mut json = Vec::new();
        write_events(&mut json, period, &events).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let expected = serde_json::json!({
            "dt_seconds": 0.5,
            "events": [{"start": 2, "end": 4, "type": "stuck", "targets": ["LIT101"]}],
            "breaks": [0],
        });
        assert_eq!(file, expected);
    }

    proptest! {
        #[test]
        fn decimals_match_the_standard_library(steps in -2_000_000_i64..2_000_000, decimals in 0_u8..4) {
            let value = steps as f64 / 10_f64.powi(i32::from(decimals));
            let mut ours = Vec::new();
            push_decimal(&mut ours, value, decimals);
            let theirs = format!("{value:.places$}", places = usize::from(decimals));
            prop_assert_eq!(String::from_utf8(ours).unwrap(), theirs);
        }
    }
}
