//! Store and forward: what waits for a broker or a collector that is away, on disk, in order, bounded.
//!
//! Three lanes, each in files of its own ([`lane`]): alarms, health, scores. They are sent in this
//! order, and each in the order in which it came. What is too much for the disk goes in the other
//! order, the oldest first: scores, health, alarms. A message leaves the queue when the broker has
//! said that it has it; what was sent and not confirmed is sent again, with the same id.
//!
//! A file that a power cut tore is set aside and never keeps the service from starting; a disk that
//! cannot be written leaves messages in memory. Synchronous. Imports `record` and `lane`.

mod files;
mod lane;
mod record;

pub use lane::Found;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;

use lane::Lane;

/// The name of the folder in the state folder of what waits for a broker,
pub const QUEUE: &str = "queue";
/// and for a collector.
pub const QUEUE_OTLP: &str = "queue-otlp";
/// A message that is longer is refused.
pub const LONGEST_MESSAGE: usize = record::LONGEST;
/// Messages of a lane that are kept in memory while the disk cannot be written.
const MOST_OWED: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Alarm,
    Health,
    Score,
}

impl Class {
    /// In the order in which they are sent.
    pub const ALL: [Class; 3] = [Class::Alarm, Class::Health, Class::Score];

    pub fn name(self) -> &'static str {
        match self {
            Class::Alarm => "alarm",
            Class::Health => "health",
            Class::Score => "score",
        }
    }
}

/// How full it is, and what was lost since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    pub waiting: usize,
    pub bytes: u64,
    /// `[alarms, health, scores]`
    pub dropped: [u64; 3],
}

/// A message to send; [`Queue::deliver`] takes its class and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub class: Class,
    pub number: u64,
    pub content: Vec<u8>,
}

#[derive(Debug)]
struct Side {
    lane: Lane,
    /// What could not be written, oldest first; its numbers follow those of the files.
    owed: VecDeque<(u64, Vec<u8>)>,
    last: u64,
}

#[derive(Debug)]
pub struct Queue {
    sides: [Side; 3],
    /// Of all files together.
    most_bytes: u64,
    dropped: [u64; 3],
}

impl Queue {
    /// Opens the queue in `folder`, which is made; its files come to at most about `most_bytes`.
    /// Damage is set aside and reported.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<(Queue, Found)> {
        fs::create_dir_all(folder)?;
        // Of a full queue a sixteenth goes at a time.
        let part_bytes = (most_bytes / 16).clamp(4 * 1024, 512 * 1024);
        let mut all = Found::default();
        let mut open = |class: Class| -> io::Result<Side> {
            let (lane, found) = Lane::open(folder, class.name(), part_bytes)?;
            all.files += found.files;
            all.damaged += found.damaged;
            all.lost_bytes += found.lost_bytes;
            Ok(Side::new(lane))
        };
        let sides = [
            open(Class::Alarm)?,
            open(Class::Health)?,
            open(Class::Score)?,
        ];
        let queue = Queue {
            sides,
            most_bytes,
            dropped: [0; 3],
        };
        Ok((queue, all))
    }

    /// A queue that keeps its messages in memory, for want of a folder.
    pub fn in_memory() -> Queue {
        Queue {
            sides: Class::ALL.map(|class| Side::new(Lane::nowhere(class.name()))),
            most_bytes: u64::MAX,
            dropped: [0; 3],
        }
    }

    /// Looks at the files in `folder` without changing any: what is found, and how many messages wait,
    /// of each class.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn check(folder: &Path) -> io::Result<Vec<(Class, Found, usize)>> {
        let check = |class: Class| {
            let (found, waiting) = Lane::check(folder, class.name())?;
            Ok((class, found, waiting))
        };
        Class::ALL.into_iter().map(check).collect()
    }

    /// The newest note that was written with alarms.
    pub fn note(&self) -> &[u8] {
        self.sides[0].lane.note()
    }

    /// Adds messages behind those of their class. With `sync` the disk has them when this returns;
    /// without, they are written and may be lost with the power. A `note` replaces the one before at
    /// the very same moment; it is kept with alarms.
    ///
    /// # Errors
    /// They cannot be written. They wait in memory then, all the same.
    pub fn push(
        &mut self,
        class: Class,
        messages: Vec<Vec<u8>>,
        note: Option<&[u8]>,
        sync: bool,
    ) -> io::Result<()> {
        let side = &mut self.sides[class as usize];
        for message in messages {
            if message.len() > LONGEST_MESSAGE {
                self.dropped[class as usize] += 1;
                continue;
            }
            side.last += 1;
            side.owed.push_back((side.last, message));
        }
        let owed: Vec<(u64, &[u8])> = side
            .owed
            .iter()
            .map(|(number, content)| (*number, content.as_slice()))
            .collect();
        let pushed = side.lane.push(&owed, note, sync);
        if pushed.is_ok() {
            side.owed.clear();
        }
        while side.owed.len() > MOST_OWED {
            side.owed.pop_front();
            self.dropped[class as usize] += 1;
        }
        pushed.and_then(|()| self.make_room())
    }

    /// Drops the oldest scores, then health, then alarms, until the files are small enough.
    fn make_room(&mut self) -> io::Result<()> {
        while self.bytes() > self.most_bytes {
            let mut dropped = None;
            for class in [Class::Score, Class::Health, Class::Alarm] {
                dropped = self.sides[class as usize].lane.drop_oldest()?;
                if let Some(count) = dropped {
                    self.dropped[class as usize] += count as u64;
                    break;
                }
            }
            if dropped.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.sides.iter().map(|side| side.lane.bytes()).sum()
    }

    /// The next message to send, alarms first.
    ///
    /// # Errors
    /// One cannot be read; it is left out and counted as dropped.
    pub fn next_message(&mut self) -> io::Result<Option<Outgoing>> {
        for class in Class::ALL {
            let side = &mut self.sides[class as usize];
            match side.next() {
                Ok(None) => {}
                Ok(Some((number, content))) => {
                    return Ok(Some(Outgoing {
                        class,
                        number,
                        content,
                    }));
                }
                Err(error) => {
                    side.lane.skip();
                    self.dropped[class as usize] += 1;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Whether there is something to send.
    pub fn has_next(&self) -> bool {
        self.sides.iter().any(Side::has_next)
    }

    /// Whether any of the class has not arrived yet.
    pub fn waits(&self, class: Class) -> bool {
        self.sides[class as usize].waiting() > 0
    }

    /// Everything of the class up to `number` has arrived.
    ///
    /// # Errors
    /// It cannot be noted; it may be sent again after the next start.
    pub fn deliver(&mut self, class: Class, number: u64) -> io::Result<()> {
        let side = &mut self.sides[class as usize];
        while side.owed.front().is_some_and(|(owed, _)| *owed <= number) {
            side.owed.pop_front();
        }
        side.lane.deliver(number)
    }

    /// The message that [`Queue::next_message`] gave last was not sent after all.
    pub fn take_back(&mut self, class: Class, number: u64) {
        self.sides[class as usize].lane.take_back(number);
    }

    /// The connection was lost: what was sent and not confirmed is sent again.
    pub fn rewind(&mut self) {
        for side in &mut self.sides {
            side.lane.rewind();
        }
    }

    pub fn fill(&self) -> Fill {
        Fill {
            waiting: self.sides.iter().map(Side::waiting).sum(),
            bytes: self.bytes(),
            dropped: self.dropped,
        }
    }
}

impl Side {
    fn new(lane: Lane) -> Side {
        Side {
            last: lane.last(),
            lane,
            owed: VecDeque::new(),
        }
    }

    fn waiting(&self) -> usize {
        self.lane.waiting() + self.owed.len()
    }

    fn has_next(&self) -> bool {
        let sent = self.lane.sent();
        self.lane.has_next() || self.owed.back().is_some_and(|(number, _)| *number > sent)
    }

    fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        if let Some(next) = self.lane.next()? {
            return Ok(Some(next));
        }
        let sent = self.lane.sent();
        let next = self.owed.iter().find(|(number, _)| *number > sent).cloned();
        if let Some((number, _)) = &next {
            self.lane.set_sent(*number);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
