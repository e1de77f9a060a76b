//! The inference thread: empties the queue into the stream, passes alarms on, and takes orders.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::batch::{Batch, SLICE};
use super::keeper::KeepSender;
use super::reporter::Reporter;
use super::tap::Tap;
use super::task::Task;
use super::view::View;
use crate::control::Latencies;
use crate::frame::Timestamp;
use crate::ingest::{Popped, SampleQueue};
use crate::learn::Learner;
use crate::output::AlarmSender;
use crate::pipeline::{Happening, Stream};
use crate::systemd::Progress;
use crate::web::Feed;

/// Where nothing is known to be due, time passes in steps of at most this, so that silence is noticed.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(20);
/// The longest wait, so that the watchdog sees progress.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What the thread can be asked to do between two samples.
pub enum Order {
    /// Goes on with other work, which takes over what the stream before it had learnt, once
    /// everything in the queue is judged.
    Replace(Work, oneshot::Sender<()>),
    /// Says how things stand.
    Look(oneshot::Sender<View>),
    /// Says how soon frames were scored.
    Latencies(oneshot::Sender<Latencies>),
    /// Does something with the stream, such as what a person asks for; nothing while it learns.
    Do(Box<dyn FnOnce(&mut Stream) + Send>),
    /// Goes on with another task of the same sensors.
    Go(Task, oneshot::Sender<()>),
}

/// What the thread works on; another one takes its place on a reload.
pub struct Work {
    pub task: Task,
    pub queue: Arc<SampleQueue>,
    pub period: Duration,
    pub alarms: AlarmSender,
    pub keep: KeepSender,
    /// Whether the history of its frames is kept.
    pub history: bool,
    /// Where a learner goes that has enough.
    pub complete: UnboundedSender<Learner>,
}

/// The running thread.
pub struct Infer {
    thread: JoinHandle<()>,
    orders: Sender<Order>,
    progress: Progress,
    /// What it empties now.
    queue: Arc<SampleQueue>,
    /// Answers when the thread has ended, for whatever reason.
    gone: oneshot::Receiver<()>,
}

impl Infer {
    /// # Errors
    /// The thread cannot be started.
    pub fn start(work: Work, feed: Feed) -> std::io::Result<Self> {
        let (alive, gone) = oneshot::channel::<()>();
        let (orders, taken) = channel();
        let queue = Arc::clone(&work.queue);
        let progress = Progress::default();
        let moving = progress.clone();
        let thread = std::thread::Builder::new()
            .name("infer".to_owned())
            .spawn(move || {
                run(work, feed, &taken, &moving);
                drop(alive);
            })?;
        Ok(Infer {
            thread,
            orders,
            progress,
            queue,
            gone,
        })
    }

    /// How far the thread has come.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Goes on with `work`. False when the thread has ended.
    pub async fn replace(&mut self, work: Work) -> bool {
        let queue = Arc::clone(&work.queue);
        let replaced = self.order(|done| Order::Replace(work, done)).await;
        self.queue = queue;
        replaced.is_some()
    }

    /// Gives an order and waits for its answer; none when the thread has ended.
    pub async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).ok()?;
        self.queue.wake();
        answer.await.ok()
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

fn run(mut work: Work, feed: Feed, orders: &Receiver<Order>, progress: &Progress) {
    let mut batch = Batch::of(&work.queue);
    let tap = Tap::new(feed);
    let mut reporter = Reporter::new(work.alarms.clone(), work.keep.clone(), tap);
    reporter.begin(&work);
    let mut clock = StepClock::new();
    let mut last_tick = Instant::now();
    loop {
        progress.advance();
        let tick = (work.period / 2).clamp(SHORTEST_TICK, LONGEST_TICK);
        let Wait {
            samples: wanted,
            timeout,
        } = Wait::of(&mut work.task, tick);
        let popped = match work.task {
            _ if !batch.is_judged() => Popped::Samples,
            // While a model is fitted, samples wait for it.
            Task::Wait(_) => work.queue.wait_closed(timeout),
            _ => work.queue.pop_many(&mut batch.samples, wanted, timeout),
        };
        let is_judged = batch.judge_slice(SLICE, &mut work.task, &mut reporter);
        reporter.show(&work.task);
        if is_judged {
            clock.step(timeout.max(tick * 2));
        } else {
            clock.stand();
        }
        if popped == Popped::Closed {
            if let Some(stream) = work.task.stream_mut() {
                stream.finish(&mut |happening| reporter.take(&happening));
            }
            reporter.end();
            reporter.tally(&work, true);
            reporter.sum_up(&work);
            reporter.keep(&work.task, true);
            return;
        }
        // What a learner still has before it is the learner's.
        if batch.is_judged()
            && let Some(learner) = work.task.take_complete()
        {
            // Nobody fits when the service is ending; the recording stays.
            let _ = work.complete.send(learner);
        }
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Replace(next, done) => {
                    replace(&mut work, next, &mut batch, &mut reporter, progress);
                    // An error says that nobody waits for the answer.
                    let _ = done.send(());
                }
                Order::Look(view) => {
                    let _ = view.send(reporter.view(&work));
                }
                Order::Latencies(back) => {
                    let _ = back.send(reporter.latencies());
                }
                Order::Do(act) => {
                    if let Some(stream) = work.task.stream_mut() {
                        act(stream);
                        reporter.has_changed();
                    }
                }
                Order::Go(task, done) => {
                    work.task = task;
                    let _ = done.send(());
                }
            }
        }
        // Each time: it is from here on that time without a newer sample counts. Where samples are left,
        // nobody is silent.
        if batch.is_judged() {
            work.task.tick(clock.ticks, &mut |happening| {
                reporter.take(&happening);
            });
        }
        reporter.show(&work.task);
        if last_tick.elapsed() >= tick {
            last_tick = Instant::now();
            reporter.tally(&work, false);
        }
        reporter.keep(&work.task, false);
    }
}

/// What to wait for: every wake-up costs, so there is none in which no frame can be due.
struct Wait {
    /// This many samples, or
    samples: usize,
    /// this long.
    timeout: Duration,
}

impl Wait {
    fn of(task: &mut Task, tick: Duration) -> Self {
        let Some(stream) = task.stream_mut() else {
            return Wait {
                samples: 1,
                timeout: tick,
            };
        };
        let due = stream.due();
        let timeout = due.nanos.map_or(tick, |nanos| {
            // The last tick before a frame is closed without all of its samples is waited on its own:
            // if the machine hung until now, it leaves the sources time to hand over what came.
            let nanos = Duration::from_nanos(nanos.unsigned_abs());
            nanos.saturating_sub(tick).clamp(tick, LONGEST_WAIT)
        });
        Wait {
            samples: due.samples,
            timeout,
        }
    }
}

fn replace(
    work: &mut Work,
    next: Work,
    batch: &mut Batch,
    reporter: &mut Reporter,
    progress: &Progress,
) {
    batch.judge(&mut work.task, reporter, progress);
    // What the sources of before have left: one look takes all there is.
    work.queue.pop_wait(&mut batch.samples, Duration::ZERO);
    let waited = match next.task.stream() {
        Some(stream) => work.task.waited_for(stream, &batch.samples),
        None => Vec::new(),
    };
    batch.judge(&mut work.task, reporter, progress);
    reporter.tally(work, true);
    reporter.end();
    let earlier = std::mem::replace(work, next);
    reporter.go_on_with(work.alarms.clone(), work.keep.clone());
    if let (Some(stream), Task::Watch(earlier)) = (work.task.stream_mut(), earlier.task)
        && let Some(event) = stream.continue_from(*earlier)
    {
        reporter.take(&Happening::Alarm(&event));
    }
    reporter.begin(work);
    Batch::from(waited).judge(&mut work.task, reporter, progress);
    *batch = Batch::of(&work.queue);
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

    /// No time passes for the plant while samples that came wait to be judged.
    fn stand(&mut self) {
        self.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::made_up;
    use super::*;
    use crate::engine::native::NativeEngine;
    use crate::engine::{Engine, EngineError, Expectation, WindowOutputs};
    use crate::output::AlarmSender;

    /// As libtorch on a small board with a large model, until nobody looks any more.
    struct Slow(NativeEngine, Arc<AtomicBool>);

    impl Engine for Slow {
        fn name(&self) -> &'static str {
            self.0.name()
        }

        fn reset(&mut self) {
            self.0.reset();
        }

        fn step(&mut self, x: &[f32], out: &mut Expectation) -> Result<bool, EngineError> {
            if !self.1.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.0.step(x, out)
        }

        fn skip(&mut self, x: &[f32]) {
            self.0.skip(x);
        }

        fn run_windows(
            &mut self,
            windows: &[f32],
            batch: usize,
        ) -> Result<WindowOutputs, EngineError> {
            self.0.run_windows(windows, batch)
        }
    }

    #[tokio::test]
    async fn a_backlog_keeps_neither_who_asks_nor_the_watchdog_waiting() {
        const ROWS: usize = 5000;
        let queue = Arc::new(SampleQueue::new(2 * ROWS));
        let rows = made_up::rows(ROWS);
        for row in rows.chunks(2) {
            queue.push_row(&[row[0].sample, row[1].sample]);
        }
        let looked = Arc::new(AtomicBool::new(false));
        let engine = Slow(made_up::engine(), Arc::clone(&looked));
        let work = Work {
            task: made_up::task_on(Box::new(engine)),
            queue: Arc::clone(&queue),
            period: Duration::from_secs(1),
            alarms: AlarmSender::default(),
            keep: KeepSender::observed().0,
            history: false,
            complete: tokio::sync::mpsc::unbounded_channel().0,
        };
        let infer = Infer::start(work, Feed::default()).unwrap();
        let progress = infer.progress();
        let before = progress.count();
        while progress.count() < before + 3 {
            assert!(infer.order(Order::Latencies).await.is_some());
        }
        let latencies = infer.order(Order::Latencies).await.unwrap();
        let judged = latencies.taken_to_score.count();
        assert!(judged < ROWS as u64 / 2, "{judged} were judged by then");
        // And nothing of it is lost.
        looked.store(true, Ordering::Relaxed);
        assert!(infer.finish().await);
        assert!(queue.is_empty());
    }
}
