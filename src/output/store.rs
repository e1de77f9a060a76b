//! What outputs that store and forward have in common: the queue, what the readers were told of alarms,
//! and what the journal is told of both. Imports `alarm`, `message`, `queue` and `told`.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Class, Queue};
use super::told::Told;
use crate::alarm::{AlarmEvent, AlarmRecord};
use crate::frame::Timestamp;
use crate::message::Message;

/// Messages that are dropped are told of at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(3_600);

/// How the output is called, for people.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Of its lines in the log.
    pub target: &'static str,
    /// Whom it tells: `broker`.
    pub partner: &'static str,
    /// Its table in the configuration.
    pub key: &'static str,
    /// Its queue's folder in the state folder.
    pub folder: &'static str,
}

pub struct Store {
    pub queue: Queue,
    pub told: Told,
    /// Where the partner is, for people.
    pub address: String,
    names: Names,
    dropped: [u64; 3],
    told_dropped: Option<Instant>,
    /// The disk cannot be written.
    unwritable: bool,
}

impl Store {
    /// Opens the queue in the state folder `state`. Whatever is wrong with it is journaled; there is a
    /// store all the same.
    pub fn open(names: Names, address: String, state: &Path, most_bytes: u64) -> Store {
        let queue = open_queue(names, state, most_bytes);
        Store {
            told: Told::read(queue.note()).unwrap_or_default(),
            queue,
            address,
            names,
            dropped: [0; 3],
            told_dropped: None,
            unwritable: false,
        }
    }

    /// Notes, before any alarm can be raised, which ones are older than this output.
    pub fn begin(&mut self, known: &[AlarmRecord]) {
        if self.told.begin(known)
            && let Err(error) = self
                .queue
                .push(Class::Alarm, vec![], Some(&self.told.note()), true)
        {
            log::debug!(target: self.names.target, "the queue cannot be written: {error}");
        }
    }

    /// What a crash kept from being told; `open` are the ids of the alarms that stand.
    pub fn missing(&self, known: &[AlarmRecord], open: &[String]) -> Vec<AlarmEvent> {
        let missing = self.told.missing(known, open, now());
        for event in &missing {
            log::info!(
                target: self.names.target,
                "alarm {}: told now what a restart kept from being told", event.id
            );
        }
        missing
    }

    /// Keeps alarms, and in the same write that the readers were told of them.
    pub fn push_alarms(&mut self, alarms: Vec<Vec<u8>>) {
        if !alarms.is_empty() {
            let note = self.told.note();
            self.push_noting(Class::Alarm, alarms, Some(&note), true);
        }
    }

    /// As [`Queue::push`]; what goes wrong is journaled.
    pub fn push(&mut self, class: Class, messages: Vec<Vec<u8>>, sync: bool) {
        self.push_noting(class, messages, None, sync);
    }

    fn push_noting(
        &mut self,
        class: Class,
        messages: Vec<Vec<u8>>,
        note: Option<&[u8]>,
        sync: bool,
    ) {
        match self.queue.push(class, messages, note, sync) {
            Ok(()) if self.unwritable => {
                self.unwritable = false;
                log::info!(target: self.names.target, "the queue can be written again");
            }
            Ok(()) => {}
            Err(error) if !self.unwritable => {
                self.unwritable = true;
                log::error!(
                    target: self.names.target,
                    MESSAGE_ID = Message::StateUnwritable.id();
                    "the queue cannot be written: {error}; what waits for the {} is kept in memory, \
                     and a restart would lose it",
                    self.names.partner
                );
            }
            Err(_) => {}
        }
        self.tell_of_dropped();
    }

    fn tell_of_dropped(&mut self) {
        let dropped = self.queue.fill().dropped;
        let is_due = self
            .told_dropped
            .is_none_or(|told| told.elapsed() >= TELL_AGAIN);
        if dropped == self.dropped || !is_due {
            return;
        }
        let [alarms, health, scores] = dropped;
        log::warn!(
            target: self.names.target,
            MESSAGE_ID = Message::QueueFull.id();
            "too much waits for {}: dropped since the start: {scores} scores, {health} health \
             messages, {alarms} alarm messages; raise {}.queue_bytes, or see why the {} is away",
            self.address,
            self.names.key,
            self.names.partner
        );
        self.dropped = dropped;
        self.told_dropped = Some(Instant::now());
    }
}

fn open_queue(names: Names, state: &Path, most_bytes: u64) -> Queue {
    let partner = names.partner;
    if !state.is_dir() {
        log::warn!(
            target: names.target,
            "what waits for the {partner} is kept in memory only: the folder {} is not there",
            state.display()
        );
        return Queue::in_memory();
    }
    let folder = state.join(names.folder);
    match Queue::open(&folder, most_bytes) {
        Ok((queue, found)) => {
            if found.damaged > 0 {
                log::warn!(
                    target: names.target,
                    MESSAGE_ID = Message::StateUnreadable.id();
                    "{}: {} bytes in {} of {} files were torn or damaged; the files were set aside \
                     as ….bad-1, and everything whole in them is kept",
                    folder.display(),
                    found.lost_bytes,
                    found.damaged,
                    found.files
                );
            }
            queue
        }
        Err(error) => {
            log::error!(
                target: names.target,
                MESSAGE_ID = Message::StateUnwritable.id();
                "{}: {error}; what waits for the {partner} is kept in memory only",
                folder.display()
            );
            Queue::in_memory()
        }
    }
}

/// The time by the clock of this machine.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Before 1970 there is no service of ours.
    Timestamp(since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }))
}
