//! Writes frames to the recording: a folder of blocks, bounded in size, that survives restarts and
//! power cuts. Imports `frame` and its siblings.
//!
//! - A block holds up to 1024 rows of the same sensors. What is damaged costs one block.
//! - Rows are written a chunk at a time: once a minute, or 64 KiB. Only a finished block is waited
//!   for (`fsync`), so a power cut costs what the kernel had not written yet, half a minute as a
//!   rule, and the minute before.
//! - When the folder is full, every second block is dropped, and from then on only every second
//!   one is written, and so on: what is kept is spread evenly over the whole time, and within a
//!   block rows follow each other as they did, which single rows that were picked would not.

use std::fs;
use std::path::{Path, PathBuf};

use super::LearnError;
use super::block::{BlockWriter, Header, row_bytes};
use super::recording::{Recording, path_of};
use crate::frame::Timestamp;

/// How much is kept and when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderConfig {
    /// Of all blocks together.
    pub most_bytes: u64,
    /// In a block.
    pub most_rows: u64,
    pub chunk_bytes: usize,
    pub chunk_nanos: i64,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        RecorderConfig {
            // A day of 51 sensors at 1 s is 18.7 MB; the fit takes three times this in memory.
            most_bytes: 20 << 20,
            most_rows: 1024,
            chunk_bytes: 64 << 10,
            chunk_nanos: 60_000_000_000,
        }
    }
}

/// Blocks that must fit into the folder, so that dropping every second one makes room.
const FEWEST_BLOCKS: u64 = 16;
/// What a header takes beside its names, at most.
const HEADER_BYTES: usize = 200;

#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    config: RecorderConfig,
    period_nanos: i64,
    sensors: Vec<String>,
    /// Finished blocks: number and bytes.
    kept: Vec<(u64, u64)>,
    /// Of the block at hand, which may be one that is not kept.
    number: u64,
    rows: u64,
    writer: Option<BlockWriter>,
    stride: u64,
    last: Option<Timestamp>,
    chunk_rows: i64,
    frames: u64,
}

impl Recorder {
    /// Begins a recording in `folder`, which has none.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn begin(
        folder: &Path,
        config: RecorderConfig,
        period_nanos: i64,
        sensors: Vec<String>,
    ) -> Result<Self, LearnError> {
        fs::create_dir_all(folder).map_err(LearnError::at(folder))?;
        Ok(Recorder {
            folder: folder.to_owned(),
            config,
            period_nanos,
            sensors,
            kept: Vec::new(),
            number: 0,
            rows: 0,
            writer: None,
            stride: 1,
            last: None,
            chunk_rows: 0,
            frames: 0,
        })
    }

    /// Goes on with what was recorded before: the last block, when it has room.
    ///
    /// # Errors
    /// The last block cannot be written.
    pub fn go_on(recording: &Recording, config: RecorderConfig) -> Result<Self, LearnError> {
        let mut recorder = Recorder::begin(
            &recording.folder,
            config,
            recording.period_nanos,
            recording.sensors.clone(),
        )?;
        recorder.frames = recording.frames;
        recorder.last = recording.last;
        let blocks = recording.blocks.iter();
        recorder.kept = blocks.map(|block| (block.number, block.bytes)).collect();
        let Some(last) = recording.blocks.last() else {
            return Ok(recorder);
        };
        recorder.stride = last.header.stride;
        recorder.number = last.number;
        if last.rows >= recorder.most_rows() || last.header.sensors != recorder.sensors {
            recorder.number += 1;
            return Ok(recorder);
        }
        let path = path_of(&recorder.folder, last.number);
        let writer = BlockWriter::go_on(&path, &last.header, last.bytes);
        recorder.writer = Some(writer.map_err(LearnError::at(&path))?);
        recorder.rows = last.rows;
        recorder.kept.pop();
        Ok(recorder)
    }

    pub fn period_nanos(&self) -> i64 {
        self.period_nanos
    }

    pub fn sensors(&self) -> &[String] {
        &self.sensors
    }

    /// Frames recorded since the beginning, those that were thinned out among them.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// One block in this many is kept.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// Of all blocks.
    pub fn bytes(&self) -> u64 {
        let finished: u64 = self.kept.iter().map(|(_, bytes)| bytes).sum();
        finished + self.writer.as_ref().map_or(0, BlockWriter::bytes)
    }

    /// Further sensors from now on: `sensors` begins with those of before.
    ///
    /// # Errors
    /// The block of before cannot be written.
    pub fn widen(&mut self, sensors: Vec<String>) -> Result<(), LearnError> {
        debug_assert!(sensors.starts_with(&self.sensors));
        let ended = self.end_block();
        self.sensors = sensors;
        ended
    }

    /// Records a frame `[F]`, NaN where missing. The frame counts in any case.
    ///
    /// # Errors
    /// The disk is full or broken; rows are lost, but what was recorded stays as it is.
    pub fn push(&mut self, time: Timestamp, values: &[f64]) -> Result<(), LearnError> {
        let mut result = Ok(());
        // A block's times go up: a clock that was set back begins another one.
        let back = self.last.is_some_and(|last| time <= last);
        if self.rows > 0 && (back || self.rows >= self.most_rows()) {
            result = self.end_block();
        }
        let kept = self.number.is_multiple_of(self.stride);
        if kept && self.writer.is_none() {
            result = result.and(self.begin_block());
        }
        if let Some(writer) = &mut self.writer {
            writer.push(time, values);
            self.chunk_rows += 1;
            let chunk_nanos = self.chunk_rows.saturating_mul(self.period_nanos);
            if writer.waiting() >= self.config.chunk_bytes || chunk_nanos >= self.config.chunk_nanos
            {
                result = result.and(self.flush());
            }
        }
        self.rows += 1;
        self.frames += 1;
        self.last = Some(time);
        result
    }

    /// Writes what waits; at the end of the service.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn flush(&mut self) -> Result<(), LearnError> {
        self.chunk_rows = 0;
        let path = path_of(&self.folder, self.number);
        match &mut self.writer {
            Some(writer) => writer.flush().map_err(LearnError::at(&path)),
            None => Ok(()),
        }
    }

    fn most_rows(&self) -> u64 {
        let share = self.config.most_bytes / FEWEST_BLOCKS;
        let fitting = share / row_bytes(self.sensors.len()) as u64;
        self.config.most_rows.min(fitting).max(1)
    }

    fn begin_block(&mut self) -> Result<(), LearnError> {
        let names: usize = self.sensors.iter().map(|name| name.len() + 4).sum();
        let header = (HEADER_BYTES + names) as u64;
        let block = row_bytes(self.sensors.len()) as u64 * self.most_rows() + header;
        while self.bytes() + block > self.config.most_bytes && self.kept.len() > 1 {
            self.thin()?;
        }
        if !self.number.is_multiple_of(self.stride) {
            return Ok(());
        }
        let header = Header {
            period_nanos: self.period_nanos,
            before: self.frames,
            stride: self.stride,
            sensors: self.sensors.clone(),
        };
        let path = path_of(&self.folder, self.number);
        let writer = BlockWriter::create(&path, &header).map_err(LearnError::at(&path))?;
        self.chunk_rows = 0;
        self.writer = Some(writer);
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), LearnError> {
        let path = path_of(&self.folder, self.number);
        let number = self.number;
        self.number += 1;
        self.rows = 0;
        let Some(mut writer) = self.writer.take() else {
            return Ok(());
        };
        let synced = writer.sync().map_err(LearnError::at(&path));
        self.kept.push((number, writer.bytes()));
        synced
    }

    /// Drops every second of the blocks that are kept.
    fn thin(&mut self) -> Result<(), LearnError> {
        self.stride = self.stride.saturating_mul(2);
        let stride = self.stride;
        let (kept, dropped) = self
            .kept
            .iter()
            .partition(|(number, _)| number.is_multiple_of(stride));
        self.kept = kept;
        let dropped: Vec<(u64, u64)> = dropped;
        for (number, _) in dropped {
            let path = path_of(&self.folder, number);
            fs::remove_file(&path).map_err(LearnError::at(&path))?;
        }
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn small() -> RecorderConfig {
        RecorderConfig {
            most_bytes: 16 * 1024,
            most_rows: 40,
            ..RecorderConfig::default()
        }
    }

    fn begun(folder: &Path) -> Recorder {
        Recorder::begin(folder, small(), SECOND, names(&["a", "b"])).unwrap()
    }

    fn record(recorder: &mut Recorder, seconds: std::ops::Range<i64>) {
        for second in seconds {
            let row = [second as f64, f64::NAN];
            recorder
                .push(
                    Timestamp::from_seconds(second),
                    &row[..recorder.sensors().len().min(2)],
                )
                .unwrap();
        }
    }

    fn values(folder: &Path) -> Vec<f64> {
        let recording = Recording::load(folder).unwrap().unwrap();
        let mut values = Vec::new();
        recording
            .each(&[0], &mut |_, row| values.push(row[0]))
            .unwrap();
        values
    }

    #[test]
    fn a_minute_is_written_at_once_and_all_of_it_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let config = RecorderConfig::default();
        let sensors = names(&["a", "b"]);
        let mut recorder = Recorder::begin(folder.path(), config, SECOND, sensors).unwrap();
        let size = || fs::metadata(path_of(folder.path(), 0)).map_or(0, |file| file.len());
        record(&mut recorder, 0..1);
        let empty = size();
        record(&mut recorder, 1..59);
        assert_eq!(size(), empty);
        record(&mut recorder, 59..61);
        assert_eq!(size(), empty + 60 * 20);
        drop(recorder);
        assert_eq!(size(), empty + 61 * 20);
    }

    #[test]
    fn it_goes_on_after_a_restart_also_with_a_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        record(&mut begun(folder.path()), 0..50);
        let last = path_of(folder.path(), 1);
        let bytes = fs::read(&last).unwrap();
        fs::write(&last, &bytes[..bytes.len() - 3]).unwrap();
        let recording = Recording::load(folder.path()).unwrap().unwrap();
        assert_eq!((recording.frames, recording.sensors.len()), (49, 2));
        let mut recorder = Recorder::go_on(&recording, small()).unwrap();
        record(&mut recorder, 60..100);
        assert_eq!(recorder.frames(), 89);
        drop(recorder);
        let expected: Vec<f64> = (0..49).chain(60..100).map(f64::from).collect();
        assert_eq!(values(folder.path()), expected);
    }

    #[test]
    fn a_full_folder_keeps_every_second_block_of_the_whole_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = begun(folder.path());
        for second in 0..10_000 {
            record(&mut recorder, second..second + 1);
            assert!(recorder.bytes() <= small().most_bytes);
        }
        assert_eq!(recorder.frames(), 10_000);
        let stride = recorder.stride();
        drop(recorder);
        let on_disk: u64 = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(on_disk <= small().most_bytes && on_disk > small().most_bytes / 3);
        let values = values(folder.path());
        assert!(values.contains(&0.0) && values.iter().any(|v| *v > 9_000.0));
        let steps: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let most = steps.iter().copied().fold(0.0, f64::max);
        assert_eq!(most, (40 * (stride - 1) + 1) as f64, "evenly spread");
        // The count survives a restart up to the blocks that are not kept.
        let recording = Recording::load(folder.path()).unwrap().unwrap();
        let recorder = Recorder::go_on(&recording, small()).unwrap();
        assert!(10_000 - recorder.frames() < 40 * stride);
        assert_eq!(recorder.stride(), stride);
    }

    #[test]
    fn later_sensors_are_missing_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = begun(folder.path());
        record(&mut recorder, 0..10);
        recorder.widen(names(&["a", "b", "c"])).unwrap();
        recorder
            .push(Timestamp::from_seconds(10), &[1.0, 2.0, 3.0])
            .unwrap();
        drop(recorder);
        let recording = Recording::load(folder.path()).unwrap().unwrap();
        assert_eq!(recording.sensors, ["a", "b", "c"]);
        assert_eq!(recording.present, [11, 1, 1]);
        let mut last = Vec::new();
        let mut take = |_, row: &[f64]| last.push(row[0]);
        recording.each(&[2], &mut take).unwrap();
        assert!(last[..10].iter().all(|value| value.is_nan()));
        assert_eq!(last[10], 3.0);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_row() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = begun(folder.path());
        record(&mut recorder, 1000..1010);
        record(&mut recorder, 0..10);
        drop(recorder);
        let recording = Recording::load(folder.path()).unwrap().unwrap();
        let mut times = Vec::new();
        let mut take = |time: Timestamp, _: &[f64]| times.push(time);
        recording.each(&[0], &mut take).unwrap();
        assert_eq!(times.len(), 20);
        assert!(times.is_sorted());
    }

    #[test]
    fn a_damaged_block_is_set_aside_and_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        record(&mut begun(folder.path()), 0..120);
        fs::write(path_of(folder.path(), 1), "rubbish").unwrap();
        let recording = Recording::load(folder.path()).unwrap().unwrap();
        assert_eq!(recording.damaged.len(), 1);
        let aside = recording.set_damaged_aside().unwrap();
        assert!(aside[0].contains("damaged.bad"), "{aside:?}");
        assert_eq!(values(folder.path()).len(), 80);
        assert!(folder.path().join("damaged.bad").exists());
        let again = Recording::load(folder.path()).unwrap().unwrap();
        assert!(again.damaged.is_empty());
    }

    #[test]
    fn a_full_disk_is_an_error_and_what_was_recorded_stays() {
        // Every write to it fails for want of room.
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = begun(folder.path());
        record(&mut recorder, 0..40);
        std::os::unix::fs::symlink("/dev/full", path_of(folder.path(), 1)).unwrap();
        let error = recorder
            .push(Timestamp::from_seconds(40), &[1.0, 2.0])
            .unwrap_err()
            .to_string();
        assert!(error.contains("No space left"), "{error}");
        assert_eq!(recorder.frames(), 41);
        fs::remove_file(path_of(folder.path(), 1)).unwrap();
        record(&mut recorder, 41..60);
        drop(recorder);
        assert_eq!(values(folder.path()).len(), 59);
    }
}
