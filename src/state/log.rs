//! `alarms.jsonl`: the last thousand alarms, one JSON object a line.
//!
//! A change appends the whole alarm again; of several lines of one alarm the last counts. Twice the
//! lines that are needed and the file is written anew. A line that was torn by a power cut is cut
//! off when the file is opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::StateError;
use crate::alarm::{AlarmEvent, AlarmRecord, Transition, Verdict};
use crate::durable;
use crate::frame::Timestamp;
use crate::message::Message;

/// The name of the file in the state folder.
pub const ALARMS: &str = "alarms.jsonl";
/// Alarms that are kept.
pub const MOST_ALARMS: usize = 1_000;
/// Lines up to which changes are appended.
const MOST_LINES: usize = 2 * MOST_ALARMS;
/// An alarm of 1024 silent sensors with long names; no line of ours is longer.
const LONGEST_LINE: usize = 1024 * 1024;

/// Alarms of some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub raised: usize,
    /// Of these: confirmed as real.
    pub confirmed: usize,
    /// Of these: said to be normal.
    pub normal: usize,
}

#[derive(Debug)]
pub struct AlarmLog {
    path: PathBuf,
    lines: usize,
    /// Alarms that stand, as far as the log knows.
    open: Vec<AlarmRecord>,
    /// What could not be written so far.
    owed: Vec<AlarmRecord>,
}

impl AlarmLog {
    /// Opens the log in `folder`, which need not be there yet. What is damaged in it is left out and
    /// journaled; the service starts all the same.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(ALARMS);
        let mut log = AlarmLog {
            lines: 0,
            open: Vec::new(),
            owed: Vec::new(),
            path,
        };
        let trouble = match log.begin() {
            Ok(0) => return log,
            Ok(damaged) => format!("{damaged} damaged lines are left out"),
            Err(error) => format!("cannot be read: {error}"),
        };
        log::warn!(
            target: "state",
            MESSAGE_ID = Message::StateUnreadable.id();
            "{}: {trouble}; `anomalyd explain` does not know the alarms in question",
            log.path.display()
        );
        log
    }

    fn begin(&mut self) -> io::Result<usize> {
        cut_torn_end(&self.path)?;
        let read = read(&self.path)?;
        self.lines = read.lines;
        self.open = read.records;
        self.open.retain(|record| record.cleared_at.is_none());
        Ok(read.damaged)
    }

    /// Takes an event of an alarm.
    ///
    /// # Errors
    /// The file cannot be written; what it held is still there, and what is missing is written with
    /// the next event.
    pub fn take(&mut self, event: &AlarmEvent) -> Result<(), StateError> {
        let known = |record: &AlarmRecord| record.is_same(&event.id, event.raised_at);
        let place = match self.open.iter().position(known) {
            Some(place) => {
                self.open[place].take(event);
                place
            }
            None => {
                self.open.push(AlarmRecord::new(event));
                self.open.len() - 1
            }
        };
        let record = match event.transition {
            Transition::Cleared => self.open.swap_remove(place),
            Transition::Raised | Transition::Updated => self.open[place].clone(),
        };
        self.append(record)
    }

    /// After a resume: ends the alarms whose end nobody told, as the state that knew them was lost.
    ///
    /// # Errors
    /// As for [`AlarmLog::take`].
    pub fn end_all_but(&mut self, open: &[String], time: Timestamp) -> Result<(), StateError> {
        let (stand, lost) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|record: &AlarmRecord| open.contains(&record.id));
        self.open = stand;
        for mut record in lost {
            record.cleared_at = Some(time.max(record.raised_at));
            self.append(record)?;
        }
        Ok(())
    }

    /// Notes what a person said of the newest alarm of that id; gives the alarm, or none where the
    /// log does not know it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn set_verdict(
        &mut self,
        id: &str,
        verdict: Verdict,
    ) -> Result<Option<AlarmRecord>, StateError> {
        let standing = self.open.iter_mut().find(|record| record.id == id);
        let record = match standing {
            Some(record) => {
                record.verdict = Some(verdict);
                Some(record.clone())
            }
            None => self.find(id)?.map(|record| AlarmRecord {
                verdict: Some(verdict),
                ..record
            }),
        };
        if let Some(record) = &record {
            self.append(record.clone())?;
        }
        Ok(record)
    }

    /// The newest alarm of that id.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<AlarmRecord>, StateError> {
        let mut records = self.records()?;
        let place = records.iter().rposition(|record| record.id == id);
        Ok(place.map(|place| records.swap_remove(place)))
    }

    /// Alarms raised after `from` and up to `to`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn span(&self, from: Timestamp, to: Timestamp) -> Result<Span, StateError> {
        let mut span = Span::default();
        for record in self.records()? {
            if record.raised_at > from && record.raised_at <= to {
                span.raised += 1;
                span.confirmed += usize::from(record.verdict == Some(Verdict::Real));
                span.normal += usize::from(record.verdict == Some(Verdict::Normal));
            }
        }
        Ok(span)
    }

    /// All that are kept, in the order in which they were raised.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(&self) -> Result<Vec<AlarmRecord>, StateError> {
        AlarmLog::read(&self.path)
    }

    /// All that the file `path` holds, without changing anything: for commands.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(path: &Path) -> Result<Vec<AlarmRecord>, StateError> {
        read(path)
            .map(|read| read.records)
            .map_err(StateError::unreadable(path))
    }

    fn append(&mut self, record: AlarmRecord) -> Result<(), StateError> {
        if self.owed.len() >= MOST_ALARMS {
            self.owed.remove(0);
        }
        self.owed.push(record);
        self.append_owed()
            .map_err(StateError::unwritable(&self.path))
    }

    fn append_owed(&mut self) -> io::Result<()> {
        while let Some(record) = self.owed.first() {
            self.append_line(record)?;
            self.owed.remove(0);
            self.lines += 1;
        }
        match self.lines > MOST_LINES {
            true => self.compact(),
            false => Ok(()),
        }
    }

    fn append_line(&self, record: &AlarmRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let exists = self.path.exists();
        if !exists && let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a line would spoil the next one.
            let _ = file.set_len(before);
        }
        written?;
        match exists {
            true => Ok(()),
            false => durable::sync_folder(&self.path),
        }
    }

    fn compact(&mut self) -> io::Result<()> {
        let records = read(&self.path)?.records;
        let mut content = Vec::new();
        for record in &records {
            serde_json::to_writer(&mut content, record)?;
            content.push(b'\n');
        }
        durable::replace(&self.path, &content)?;
        self.lines = records.len();
        Ok(())
    }
}

struct Read {
    records: Vec<AlarmRecord>,
    lines: usize,
    damaged: usize,
}

/// The newest alarms of the file; none where there is no file.
fn read(path: &Path) -> io::Result<Read> {
    let mut read = Read {
        records: Vec::new(),
        lines: 0,
        damaged: 0,
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(read),
        opened => opened?,
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line)? {
        read.lines += 1;
        let Ok(record) = serde_json::from_slice::<AlarmRecord>(&line) else {
            read.damaged += 1;
            continue;
        };
        let known = |kept: &AlarmRecord| kept.is_same(&record.id, record.raised_at);
        match read.records.iter().rposition(known) {
            Some(place) => read.records[place] = record,
            None => {
                if read.records.len() >= MOST_ALARMS {
                    read.records.remove(0);
                }
                read.records.push(record);
            }
        }
    }
    Ok(read)
}

/// Reads the next whole line, of which no more is kept than the longest of ours; false at the end,
/// and at a line that is still being written.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(available.len(), |end| end + 1);
        if line.len() < LONGEST_LINE {
            line.extend_from_slice(&available[..length]);
        }
        reader.consume(length);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Cuts off what stands behind the last line feed.
fn cut_torn_end(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut end = file.seek(SeekFrom::End(0))?;
    let length = end;
    let mut block = [0u8; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        file.seek(SeekFrom::Start(start))?;
        let part = &mut block[..(end - start) as usize];
        io::Read::read_exact(&mut file, part)?;
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + place as u64 + 1;
            break;
        }
        end = start;
    }
    match end < length {
        true => file.set_len(end),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
