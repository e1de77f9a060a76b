//! The inference thread: empties the queue into the stream and passes alarms on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::tally::FrameTally;
use crate::clock::{Clock, SystemClock};
use crate::frame::Timestamp;
use crate::ingest::{Ingested, Popped, SampleQueue};
use crate::output::AlarmSender;
use crate::pipeline::{Happening, Outcome, Stream};

/// Time passes in steps of at most this, so that silence is noticed.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(20);
/// Failures of the engine are told at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What the thread works on; another one takes its place on a reload.
pub struct Work {
    pub stream: Stream,
    pub queue: Arc<SampleQueue>,
    pub period: Duration,
    pub alarms: AlarmSender,
}

/// The running thread.
pub struct Infer {
    thread: JoinHandle<()>,
    next: Sender<(Work, oneshot::Sender<()>)>,
    /// What it empties now.
    queue: Arc<SampleQueue>,
    /// Answers when the thread has ended, for whatever reason.
    gone: oneshot::Receiver<()>,
}

impl Infer {
    /// # Errors
    /// The thread cannot be started.
    pub fn start(work: Work) -> std::io::Result<Self> {
        let (alive, gone) = oneshot::channel::<()>();
        let (next, replacements) = channel();
        let queue = Arc::clone(&work.queue);
        let thread = std::thread::Builder::new()
            .name("infer".to_owned())
            .spawn(move || {
                run(work, &replacements);
                drop(alive);
            })?;
        Ok(Infer {
            thread,
            next,
            queue,
            gone,
        })
    }

    /// Goes on with `work`, which takes over what the stream before it had learnt, once everything
    /// in the queue is judged. False when the thread has ended.
    pub async fn replace(&mut self, work: Work) -> bool {
        let (done, replaced) = oneshot::channel();
        let queue = Arc::clone(&work.queue);
        let sent = self.next.send((work, done)).is_ok();
        self.queue.wake();
        self.queue = queue;
        sent && replaced.await.is_ok()
    }

    /// Returns when the thread has ended by itself.
    pub async fn gone(&mut self) {
        // The sender never sends: its end is the news.
        let _ = (&mut self.gone).await;
    }

    /// Lets everything in the queue be judged and ends the thread. False when it panicked.
    pub async fn finish(self) -> bool {
        self.queue.close();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        matches!(joined, Ok(Ok(())))
    }
}

fn run(mut work: Work, replacements: &Receiver<(Work, oneshot::Sender<()>)>) {
    let mut samples = work.queue.buffer();
    let mut reporter = Reporter::new(work.alarms.clone());
    let mut clock = StepClock::new();
    let mut last_tick = Instant::now();
    loop {
        let tick = (work.period / 2).clamp(SHORTEST_TICK, LONGEST_TICK);
        let popped = work.queue.pop_wait(&mut samples, tick);
        judge(&mut work.stream, &mut samples, &mut reporter);
        clock.step(tick * 2);
        if popped == Popped::Closed {
            work.stream
                .finish(&mut |happening| reporter.take(&happening));
            reporter.tally(&work, true);
            reporter.sum_up(&work);
            return;
        }
        if let Ok((next, done)) = replacements.try_recv() {
            // What the sources of before have left: one look takes all there is.
            work.queue.pop_wait(&mut samples, Duration::ZERO);
            judge(&mut work.stream, &mut samples, &mut reporter);
            reporter.tally(&work, true);
            let earlier = std::mem::replace(&mut work, next);
            reporter.alarms = work.alarms.clone();
            if let Some(event) = work.stream.continue_from(earlier.stream) {
                reporter.take(&Happening::Alarm(&event));
            }
            reporter.begin(&work);
            samples = work.queue.buffer();
            // An error says that nobody waits for the answer.
            let _ = done.send(());
        }
        if last_tick.elapsed() >= tick {
            last_tick = Instant::now();
            let mut listener = |happening: Happening<'_>| reporter.take(&happening);
            work.stream
                .tick(clock.ticks, SystemClock.now(), &mut listener);
            reporter.tally(&work, false);
        }
    }
}

fn judge(stream: &mut Stream, samples: &mut Vec<Ingested>, reporter: &mut Reporter) {
    let mut listener = |happening: Happening<'_>| reporter.take(&happening);
    for Ingested { sample, end_of_row } in samples.drain(..) {
        stream.push(sample, end_of_row, &mut listener);
    }
}

/// Time as it passes for the plant while no sample comes. The wall clock will not do: a board
/// without a real-time clock jumps.
struct StepClock {
    ticks: Timestamp,
    last: Instant,
}

impl StepClock {
    fn new() -> Self {
        StepClock {
            ticks: Timestamp::EPOCH,
            last: Instant::now(),
        }
    }

    /// More than `most` since the last step is time in which we did not run (stopped by a signal, a
    /// machine that hung, a worker that was waited for): samples wait in pipes and sockets, and
    /// nobody is silent.
    fn step(&mut self, most: Duration) {
        let now = Instant::now();
        let passed = now.duration_since(self.last).min(most);
        self.ticks = self.ticks.plus(passed);
        self.last = now;
    }
}

/// Passes alarms on, and tells of what could not be judged.
struct Reporter {
    alarms: AlarmSender,
    /// Since the engine failed; the last reason was told at `told`.
    unscored: u64,
    untold: u64,
    told: Option<Instant>,
    tally: FrameTally,
}

impl Reporter {
    fn new(alarms: AlarmSender) -> Self {
        Reporter {
            alarms,
            unscored: 0,
            untold: 0,
            told: None,
            tally: FrameTally::new(Instant::now()),
        }
    }

    fn take(&mut self, happening: &Happening<'_>) {
        match happening {
            Happening::Alarm(event) => {
                self.tally.count_alarm(event);
                self.alarms.send(event);
            }
            Happening::Frame(_, Outcome::Unscored(reason)) => {
                self.unscored += 1;
                self.untold += 1;
                if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    let count = plural(self.untold);
                    log::warn!(target: "infer", "{count} unscored, no alarm made up: {reason}");
                    self.untold = 0;
                    self.told = Some(Instant::now());
                }
            }
            Happening::Frame(_, Outcome::Scored(..)) if self.unscored > 0 => {
                let count = plural(self.unscored);
                log::info!(target: "infer", "scoring again; {count} had no score");
                self.unscored = 0;
                self.untold = 0;
                self.told = None;
            }
            Happening::Frame(..) => {}
        }
    }

    /// Says what was not as it should be, when it is time or the work `ends`.
    fn tally(&mut self, work: &Work, ends: bool) {
        let now = Instant::now();
        if ends || self.tally.is_due(now) {
            let align = work.stream.align_counters();
            let frames = work.stream.pipeline().counts();
            let dropped = work.queue.dropped();
            if let Some(line) = self.tally.line(now, align, frames, dropped) {
                log::warn!(target: "infer", "{line}");
            }
        }
    }

    fn sum_up(&self, work: &Work) {
        let counts = work.stream.pipeline().counts();
        let summary = self.tally.summary(Instant::now(), counts);
        log::info!(target: "infer", "{summary}");
    }

    /// New work begins: its counters may start from zero.
    fn begin(&mut self, work: &Work) {
        let align = work.stream.align_counters();
        let frames = work.stream.pipeline().counts();
        self.tally.rebase(align, frames, work.queue.dropped());
    }
}

fn plural(frames: u64) -> String {
    match frames {
        1 => "1 frame".to_owned(),
        count => format!("{count} frames"),
    }
}
