//! What survives a restart, written on a thread of its own: a card that takes a second for a write
//! holds up nobody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::alarm::{AlarmEvent, AlarmKind, Verdict};
use crate::clock::{Clock, SystemClock};
use crate::frame::Timestamp;
use crate::history::{Bucket, History, Plan};
use crate::message::Message;
use crate::output::{Told, ToldAlarm};
use crate::pipeline::{Stream, StreamState};
use crate::state::{AlarmLog, Span, StateError, StateStore};

/// How often what is learnt is saved while no alarm changes anything: a few kilobytes each.
pub const EVERY: Duration = Duration::from_secs(3_600);
/// A folder that cannot be written is told of at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(3_600);
/// Who asks for the history more often gets it as it was: a page that is watched must not wear the
/// card out.
const FLUSH_EVERY: Duration = Duration::from_secs(600);
const NANOS_A_WEEK: i64 = 7 * 86_400 * 1_000_000_000;

/// The thread, and what it was given.
pub struct Keeper {
    sender: KeepSender,
    thread: Option<JoinHandle<()>>,
    folder: PathBuf,
}

/// Passes on what is to be kept; keeps nothing where there is no folder.
#[derive(Clone)]
pub struct KeepSender(Option<Sender<Keep>>);

enum Keep {
    Event(Box<AlarmEvent>),
    State(Box<StreamState>),
    Verdict(String, Verdict),
    Week(oneshot::Sender<Span>),
    Plan(Arc<Plan>),
    Bucket(Arc<Plan>, Box<Bucket>),
    Flush(oneshot::Sender<()>),
}

impl Keeper {
    /// Keeps things in `folder` from now on, where that is there (systemd's `StateDirectory=` makes
    /// it), and lets `stream` go on from what it holds. `told` is what was told of alarms, of each output: what
    /// the state does not know of it, as it was saved before, is caught up on.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        folder: &Path,
        stream: Option<&mut Stream>,
        told: &[&Told],
    ) -> std::io::Result<Self> {
        let folder = folder.to_owned();
        if !folder.is_dir() {
            log::info!(
                target: "state",
                "nothing is kept over a restart: the folder {} is not there",
                folder.display()
            );
            return Ok(Keeper {
                sender: KeepSender(None),
                thread: None,
                folder,
            });
        }
        let store = StateStore::new(&folder);
        let history = History::open(&folder);
        let mut alarms = AlarmLog::open(&folder);
        if let Some(stream) = stream {
            resume(stream, &store, &mut alarms, told);
        }
        let (sender, kept) = channel();
        let thread = std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || Writer::new(store, alarms, history).run(&kept))?;
        Ok(Keeper {
            sender: KeepSender(Some(sender)),
            thread: Some(thread),
            folder,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn sender(&self) -> KeepSender {
        self.sender.clone()
    }

    /// Alarms of the last seven days.
    pub async fn week(&self) -> Option<Span> {
        let (back, answer) = oneshot::channel();
        self.sender.send(Keep::Week(back));
        answer.await.ok()
    }

    pub fn verdict(&self, id: &str, verdict: Verdict) {
        self.sender.send(Keep::Verdict(id.to_owned(), verdict));
    }

    /// Writes what is kept of the history so far; false where that cannot be.
    pub async fn flush(&self) -> bool {
        let (back, answer) = oneshot::channel();
        self.sender.send(Keep::Flush(back));
        answer.await.is_ok()
    }

    /// Writes everything and ends; all other senders must be gone.
    pub async fn finish(self) {
        drop(self.sender);
        if let Some(thread) = self.thread {
            // A panic of the thread was printed; there is nothing to add.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl KeepSender {
    pub fn event(&self, event: &AlarmEvent) {
        if self.0.is_some() {
            self.send(Keep::Event(Box::new(event.clone())));
        }
    }

    pub fn state(&self, stream: &Stream) {
        if self.0.is_some() {
            self.send(Keep::State(Box::new(stream.save())));
        }
    }

    /// A history of `plan` is to come.
    pub fn plan(&self, plan: &Arc<Plan>) {
        self.send(Keep::Plan(Arc::clone(plan)));
    }

    /// Keeps a part of the history.
    pub fn bucket(&self, plan: &Arc<Plan>, bucket: Bucket) {
        if self.0.is_some() {
            self.send(Keep::Bucket(Arc::clone(plan), Box::new(bucket)));
        }
    }

    /// A sender, and the states it passes on; both ends stay in one thread.
    #[cfg(test)]
    pub fn observed() -> (Self, impl Iterator<Item = StreamState>) {
        let (sender, kept) = channel();
        let states = std::iter::from_fn(move || kept.try_recv().ok());
        let states = states.filter_map(|keep| match keep {
            Keep::State(state) => Some(*state),
            _ => None,
        });
        (KeepSender(Some(sender)), states)
    }

    fn send(&self, keep: Keep) {
        if let Some(sender) = &self.0 {
            // The thread ends only after its last sender, unless it panicked.
            let _ = sender.send(keep);
        }
    }
}

fn resume(stream: &mut Stream, store: &StateStore, alarms: &mut AlarmLog, told: &[&Told]) {
    let Some(state) = store.load() else {
        if !told.is_empty() {
            catch_up(stream, None, told, alarms);
        }
        return;
    };
    let now = SystemClock.now();
    let mut resumed = stream.resume(state, now);
    if !told.is_empty() {
        catch_up(stream, resumed.last_frame, told, alarms);
        resumed.open = stream.open_ids();
    }
    log::info!(target: "state", MESSAGE_ID = Message::Resumed.id(); "{resumed}");
    if let Err(error) = alarms.end_all_but(&resumed.open, resumed.last_frame.unwrap_or(now)) {
        log::warn!(target: "state", "{error}");
    }
}

/// A crash may have come between telling of an alarm and saving the state, at `saved`: what was told as
/// raised must not be raised a second time under another id, and what was told as cleared stands no more.
fn catch_up(stream: &mut Stream, saved: Option<Timestamp>, told: &[&Told], alarms: &AlarmLog) {
    // The log is written before the state, too. One that cannot be read knows of no end.
    let log = alarms.records().unwrap_or_default();
    let is_logged = |id: &str, raised_at| {
        log.iter()
            .any(|record| record.is_same(id, raised_at) && record.cleared_at.is_some())
    };
    let was_cleared = |id: &str, at| told.iter().any(|told| told.was_cleared(id, at));
    let is_over = |id: &str, raised_at| was_cleared(id, raised_at) || is_logged(id, raised_at);
    let open = stream.pipeline().machine().open();
    if open.is_some_and(|open| is_over(&open.id, open.raised_at)) {
        stream.forget_open();
    }
    let model = stream.pipeline().model_name().to_owned();
    let is_meant = |told: &&ToldAlarm| {
        let is_later = saved.is_none_or(|saved| told.raised_at > saved);
        told.kind == AlarmKind::Anomaly
            && told.model == model
            && is_later
            && !is_over(&told.id, told.raised_at)
    };
    // Each output may be a little further than the others.
    let open = told.iter().flat_map(|told| told.open());
    if let Some(told) = open.filter(is_meant).max_by_key(|told| told.raised_at) {
        // Where another one stands, this one is told as cleared.
        stream.adopt(&told.id, told.raised_at, told.score, told.threshold);
    }
}

struct Writer {
    store: StateStore,
    alarms: AlarmLog,
    history: History,
    /// When it was last written because somebody asked.
    flushed: Option<Instant>,
    told: Option<Instant>,
}

impl Writer {
    fn new(store: StateStore, alarms: AlarmLog, history: History) -> Self {
        Writer {
            store,
            alarms,
            history,
            flushed: None,
            told: None,
        }
    }

    fn run(mut self, kept: &Receiver<Keep>) {
        for keep in kept {
            let written = match keep {
                Keep::Event(event) => self.alarms.take(&event),
                Keep::State(state) => self.store.save(&state),
                Keep::Verdict(id, verdict) => self.alarms.set_verdict(&id, verdict).map(|_| ()),
                Keep::Week(back) => {
                    let now = SystemClock.now();
                    let from = Timestamp(now.nanos().saturating_sub(NANOS_A_WEEK));
                    if let Ok(span) = self.alarms.span(from, now) {
                        // Nobody waits for the answer any more, perhaps.
                        let _ = back.send(span);
                    }
                    continue;
                }
                Keep::Plan(plan) => self.keep_history(|one| one.prepare(&plan)),
                Keep::Bucket(plan, bucket) => self.keep_history(|one| one.take(&plan, *bucket)),
                Keep::Flush(back) => {
                    let recent = |at: Instant| at.elapsed() < FLUSH_EVERY;
                    let flushed = match self.flushed.is_some_and(recent) {
                        true => Ok(()),
                        false => {
                            self.flushed = Some(Instant::now());
                            self.keep_history(History::flush)
                        }
                    };
                    if flushed.is_ok() {
                        let _ = back.send(());
                    }
                    flushed
                }
            };
            self.note(written);
        }
        let written = self.keep_history(History::flush);
        self.note(written);
    }

    fn keep_history(
        &mut self,
        act: impl FnOnce(&mut History) -> std::io::Result<()>,
    ) -> Result<(), StateError> {
        act(&mut self.history).map_err(StateError::unwritable(self.history.folder()))
    }

    fn note(&mut self, written: Result<(), StateError>) {
        match written {
            Ok(()) if self.told.take().is_some() => {
                log::info!(target: "state", "the state can be written again");
            }
            Ok(()) => {}
            Err(error) => {
                if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    self.told = Some(Instant::now());
                    log::error!(
                        target: "state",
                        MESSAGE_ID = Message::StateUnwritable.id();
                        "{error}"
                    );
                }
            }
        }
    }
}
