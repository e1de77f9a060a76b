//! One lane of the queue: its files, what of them is delivered, and where sending stands.
//! Imports `durable`, `files` and `record`.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::files;
use super::record::{self, Kind, Record};
use crate::durable;

/// A file of which all is delivered is emptied from this size on.
const SPENT_BYTES: u64 = 32 * 1024;

/// What was found in the files of a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    pub files: usize,
    /// Files that were, or would be, set aside.
    pub damaged: usize,
    pub lost_bytes: usize,
}

/// One file.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    bytes: u64,
    /// Numbers of the messages that are not delivered, first and last; nothing where all are.
    waiting: VecDeque<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    number: u64,
    at: u32,
    bytes: u32,
}

#[derive(Debug)]
pub struct Lane {
    /// Without one nothing can be written.
    folder: Option<PathBuf>,
    name: &'static str,
    /// Oldest first; the last is written to.
    parts: VecDeque<Part>,
    part_bytes: u64,
    /// All up to this one is delivered.
    delivered: u64,
    /// All up to this one was given to be sent.
    sent: u64,
    last: u64,
    note: Vec<u8>,
    file: Option<File>,
    /// A write failed half way: its part must go first.
    torn: bool,
}

impl Lane {
    /// Opens the files `NAME-*.q` of `folder`. Of a damaged one what is whole is kept, and the file as
    /// it was is set aside as `….bad-1` (to 3).
    pub fn open(folder: &Path, name: &'static str, part_bytes: u64) -> io::Result<(Lane, Found)> {
        let mut lane = Lane::nowhere(name);
        lane.folder = Some(folder.to_owned());
        lane.part_bytes = part_bytes;
        let mut found = Found::default();
        for path in files::list(folder, name)? {
            lane.take_file(path, &mut found)?;
        }
        let delivered = lane.delivered;
        for part in &mut lane.parts {
            part.waiting.retain(|place| place.number > delivered);
        }
        lane.sent = delivered;
        lane.last = lane.last.max(delivered);
        Ok((lane, found))
    }

    /// A lane without files: whatever is pushed is refused.
    pub fn nowhere(name: &'static str) -> Lane {
        Lane {
            folder: None,
            name,
            parts: VecDeque::new(),
            part_bytes: 0,
            delivered: 0,
            sent: 0,
            last: 0,
            note: Vec::new(),
            file: None,
            torn: false,
        }
    }

    /// Looks at the files without changing any.
    pub fn check(folder: &Path, name: &str) -> io::Result<(Found, usize)> {
        let mut found = Found::default();
        let (mut delivered, mut numbers) = (0, Vec::new());
        for path in files::list(folder, name)? {
            let bytes = files::read(&path)?;
            let (records, lost) = record::read_all(&bytes);
            found.files += 1;
            found.damaged += usize::from(lost > 0);
            found.lost_bytes += lost;
            for (_, record) in records {
                match record.kind {
                    Kind::Message => numbers.push(record.number),
                    Kind::Delivered => delivered = record.number.max(delivered),
                    Kind::Note => {}
                }
            }
        }
        numbers.retain(|number| *number > delivered);
        Ok((found, numbers.len()))
    }

    fn take_file(&mut self, path: PathBuf, found: &mut Found) -> io::Result<()> {
        let mut bytes = files::read(&path)?;
        found.files += 1;
        let (records, lost) = record::read_all(&bytes);
        if lost > 0 {
            let mut whole = Vec::with_capacity(bytes.len());
            for (_, record) in &records {
                record.write(&mut whole);
            }
            files::set_aside(&path, &whole)?;
            found.damaged += 1;
            found.lost_bytes += lost;
            bytes = whole;
        }
        let mut waiting = VecDeque::new();
        for (at, record) in record::read_all(&bytes).0 {
            match record.kind {
                // Numbers only rise; another order is no file of ours.
                Kind::Message if record.number > self.last => {
                    self.last = record.number;
                    waiting.push_back(Place {
                        number: record.number,
                        at: at as u32,
                        bytes: record.bytes() as u32,
                    });
                }
                Kind::Message => {}
                Kind::Delivered => self.delivered = self.delivered.max(record.number),
                Kind::Note => self.note = record.content.to_vec(),
            }
        }
        self.parts.push_back(Part {
            path,
            bytes: bytes.len() as u64,
            waiting,
        });
        Ok(())
    }

    /// The newest note.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    /// All up to this one was given to be sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Another place than the files has sent up to this one.
    pub fn set_sent(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    pub fn waiting(&self) -> usize {
        self.parts.iter().map(|part| part.waiting.len()).sum()
    }

    /// Adds messages and a note, and waits until the disk has them where `sync`.
    pub fn push(
        &mut self,
        messages: &[(u64, &[u8])],
        note: Option<&[u8]>,
        sync: bool,
    ) -> io::Result<()> {
        self.make_room()?;
        let Some(part) = self.parts.back() else {
            return Err(io::Error::other("there is no file to write to"));
        };
        let (start, mut chunk, mut places) = (part.bytes, Vec::new(), Vec::new());
        for &(number, content) in messages {
            let record = Record {
                kind: Kind::Message,
                number,
                content,
            };
            places.push(Place {
                number,
                at: (start + chunk.len() as u64) as u32,
                bytes: record.bytes() as u32,
            });
            record.write(&mut chunk);
        }
        if let Some(content) = note {
            let number = 0;
            Record {
                kind: Kind::Note,
                number,
                content,
            }
            .write(&mut chunk);
        }
        self.append(&chunk, sync)?;
        if let Some(note) = note {
            self.note = note.to_vec();
        }
        if let Some(part) = self.parts.back_mut() {
            part.waiting.extend(&places);
        }
        self.last = messages.last().map_or(self.last, |(number, _)| *number);
        Ok(())
    }

    fn append(&mut self, chunk: &[u8], sync: bool) -> io::Result<()> {
        let Some(part) = self.parts.back_mut() else {
            return Err(io::Error::other("there is no file to write to"));
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().append(true).open(&part.path)?),
        };
        if self.torn {
            file.set_len(part.bytes)?;
            self.torn = false;
        }
        let written = file.write_all(chunk);
        let written = match sync {
            true => written.and_then(|()| file.sync_data()),
            false => written,
        };
        match written {
            Ok(()) => part.bytes += chunk.len() as u64,
            Err(_) => self.torn = true,
        }
        written
    }

    /// Begins another file where the last one is full, or nothing in it is needed any more.
    fn make_room(&mut self) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else {
            return Err(io::Error::other("there is no folder for it"));
        };
        let spent = |part: &Part| part.waiting.is_empty() && part.bytes >= SPENT_BYTES;
        let full = |part: &Part| part.bytes >= self.part_bytes || spent(part);
        if self.parts.back().is_some_and(|part| !full(part)) {
            return Ok(());
        }
        let path = files::behind(
            self.parts.back().map(|part| part.path.as_path()),
            &folder,
            self.name,
        );
        let mut start = Vec::new();
        Record {
            kind: Kind::Delivered,
            number: self.delivered,
            content: &[],
        }
        .write(&mut start);
        Record {
            kind: Kind::Note,
            number: 0,
            content: &self.note,
        }
        .write(&mut start);
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o640)
            .open(&path)?;
        file.write_all(&start)?;
        file.sync_data()?;
        durable::sync_folder(&path)?;
        self.file = Some(file);
        self.torn = false;
        self.parts.push_back(Part {
            path,
            bytes: start.len() as u64,
            waiting: VecDeque::new(),
        });
        self.forget_spent();
        Ok(())
    }

    /// Removes the files of which all is delivered, but the last.
    fn forget_spent(&mut self) {
        while self.parts.len() > 1
            && self
                .parts
                .front()
                .is_some_and(|part| part.waiting.is_empty())
        {
            if let Some(part) = self.parts.pop_front() {
                // One that stays is removed after the next start.
                let _ = fs::remove_file(&part.path);
            }
        }
    }

    /// The next message to send, with its number.
    pub fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let sent = self.sent;
        let next = self.parts.iter().find_map(|part| {
            let at = part.waiting.partition_point(|place| place.number <= sent);
            Some((part, *part.waiting.get(at)?))
        });
        let Some((part, place)) = next else {
            return Ok(None);
        };
        let mut bytes = vec![0; place.bytes as usize];
        let mut file = File::open(&part.path)?;
        file.seek(SeekFrom::Start(u64::from(place.at)))?;
        file.read_exact(&mut bytes)?;
        let record = record::read(&bytes)
            .ok_or_else(|| io::Error::other(format!("{}: damaged", part.path.display())))?;
        self.sent = place.number;
        Ok(Some((place.number, record.content.to_vec())))
    }

    /// Whether there is something to send.
    pub fn has_next(&self) -> bool {
        let newest = self.parts.iter().rev().find_map(|part| part.waiting.back());
        newest.is_some_and(|place| place.number > self.sent)
    }

    /// Leaves out the next message: it cannot be read.
    pub fn skip(&mut self) {
        let sent = self.sent;
        for part in &mut self.parts {
            if let Some(at) = part.waiting.iter().position(|place| place.number > sent) {
                part.waiting.remove(at);
                return;
            }
        }
    }

    /// The message `number`, the last one given, was not sent.
    pub fn take_back(&mut self, number: u64) {
        self.sent = self.sent.min(number.saturating_sub(1));
    }

    /// What was sent and not said to be delivered is to be sent again.
    pub fn rewind(&mut self) {
        self.sent = self.delivered;
    }

    /// Everything up to `number` is delivered.
    pub fn deliver(&mut self, number: u64) -> io::Result<()> {
        if number <= self.delivered {
            return Ok(());
        }
        self.delivered = number;
        self.sent = self.sent.max(number);
        for part in &mut self.parts {
            while part.waiting.front().is_some_and(|p| p.number <= number) {
                part.waiting.pop_front();
            }
        }
        self.forget_spent();
        if self.parts.is_empty() {
            return Ok(());
        }
        let mut chunk = Vec::new();
        Record {
            kind: Kind::Delivered,
            number,
            content: &[],
        }
        .write(&mut chunk);
        // Lost with the power, it only means that a message comes twice under its id.
        self.append(&chunk, false)
    }

    /// Drops the oldest file; gives how many messages were lost with it. None where there is nothing
    /// to drop.
    pub fn drop_oldest(&mut self) -> io::Result<Option<usize>> {
        self.forget_spent();
        let waits = self.parts.front().is_some_and(|p| !p.waiting.is_empty());
        if !waits {
            return Ok(None);
        }
        if self.parts.len() == 1 {
            self.begin_another()?;
        }
        let Some(part) = self.parts.pop_front() else {
            return Ok(None);
        };
        fs::remove_file(&part.path)?;
        Ok(Some(part.waiting.len()))
    }

    /// The next message goes into another file.
    #[cfg(test)]
    pub fn begin_another_for_test(&mut self) {
        self.part_bytes = 0;
    }

    fn begin_another(&mut self) -> io::Result<()> {
        let usual = std::mem::replace(&mut self.part_bytes, 0);
        let begun = self.make_room();
        self.part_bytes = usual;
        begun
    }
}
