//! Stage 7: where alarms go. Each [`Sink`] is written to by a thread of its own, in order, so that
//! one whose reader sleeps holds up no other; an alarm is never dropped on the way to it.
//!
//! Imports `frame`, `alarm`, `broker`, `message`, `http`, `metrics` and `durable`.

mod allowance;
mod ids;
mod log;
pub mod mqtt;
pub mod otlp;
mod post;
pub mod queue;
mod stdout;
mod store;
mod told;

pub use self::log::LogSink;
pub use self::post::{HealthWords, MetricWords, Post, PostConfig, StateWords, Unposted};
pub use self::stdout::StdoutSink;
pub use self::told::{Told, ToldAlarm};

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use self::mqtt::ScoreSlot;
use crate::alarm::AlarmEvent;
use crate::frame::Timestamp;

/// Somewhere that alarms are told.
pub trait Sink: Send {
    /// As it is called in the log; at most 11 bytes. There is one sink of a name.
    fn name(&self) -> &'static str;

    /// Whether it may be made to wait while the machine is under pressure. The log never waits.
    fn may_pause(&self) -> bool {
        true
    }

    /// Tells one event.
    ///
    /// # Errors
    /// It could not be told; the sink is tried again with the next event.
    fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()>;
}

/// The threads that tell alarms.
#[derive(Default)]
pub struct Outputs {
    threads: Vec<OutputThread>,
    paused: bool,
    /// Those that store and forward.
    posts: Vec<Post>,
    /// They end with what the next replacement leaves out.
    former_posts: Vec<Post>,
}

/// Where a sink waits while outputs pause.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        while *closed {
            closed = self
                .opened
                .wait(closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Passes events to all sinks. It never waits; what waits for a sink is bounded by how few alarms
/// flood control lets through.
#[derive(Clone, Default)]
pub struct AlarmSender {
    to: Vec<Sender<Message>>,
    untold: Vec<Arc<AtomicU64>>,
    scores: Option<ScoreSlot>,
}

enum Message {
    Tell(Arc<AlarmEvent>),
    /// Another sink takes over behind what was told so far (a reload).
    Become(Box<dyn Sink>),
}

struct OutputThread {
    name: &'static str,
    sender: Sender<Message>,
    untold: Arc<AtomicU64>,
    gate: Arc<Gate>,
    ended: oneshot::Receiver<()>,
}

impl Outputs {
    /// # Errors
    /// A thread cannot be started.
    pub fn start(sinks: Vec<Box<dyn Sink>>) -> std::io::Result<Self> {
        let mut outputs = Outputs::default();
        outputs.replace(sinks)?;
        Ok(outputs)
    }

    /// Tells further events to `sinks`, in order behind the earlier ones where a sink of the same
    /// name was there before. Gives the outputs that are not needed any more; they are
    /// to be finished once all senders from before are gone.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn replace(&mut self, mut sinks: Vec<Box<dyn Sink>>) -> std::io::Result<Outputs> {
        sinks.extend(self.posts.iter().map(Post::sink));
        let mut before = std::mem::take(&mut self.threads);
        for sink in sinks {
            let name = sink.name();
            match before.iter().position(|thread| thread.name == name) {
                Some(place) => {
                    let thread = before.swap_remove(place);
                    // A thread that is gone shows when the next alarm is sent.
                    let _ = thread.sender.send(Message::Become(sink));
                    self.threads.push(thread);
                }
                None => self.threads.push(OutputThread::start(sink)?),
            }
        }
        self.pause(self.paused);
        Ok(Outputs {
            threads: before,
            paused: false,
            posts: std::mem::take(&mut self.former_posts),
            former_posts: Vec::new(),
        })
    }

    /// Other outputs that store and forward from the next [`Outputs::replace`] on: those of the names
    /// `wanted`, and of these `new` instead of what there was.
    pub fn set_posts(&mut self, wanted: &[&str], new: Vec<Post>) {
        let name = |post: &Post| post.config().name();
        let stays = |post: &Post| {
            wanted.contains(&name(post)) && !new.iter().any(|new| name(new) == name(post))
        };
        let (stay, gone) = std::mem::take(&mut self.posts).into_iter().partition(stays);
        self.posts = stay;
        self.former_posts = gone;
        self.posts.extend(new);
    }

    /// Adds an output that stores and forwards to what was started.
    ///
    /// # Errors
    /// Its thread cannot be started.
    pub fn add_post(&mut self, post: Post) -> std::io::Result<()> {
        self.threads.push(OutputThread::start(post.sink())?);
        self.posts.push(post);
        Ok(())
    }

    /// The outputs that store and forward.
    pub fn posts(&self) -> &[Post] {
        &self.posts
    }

    pub fn posts_mut(&mut self) -> &mut [Post] {
        &mut self.posts
    }

    /// Lets sinks that may pause wait, or go on; alarms are kept for them meanwhile.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
        for thread in &self.threads {
            thread.gate.set(paused);
        }
    }

    pub fn sender(&self) -> AlarmSender {
        AlarmSender {
            to: self.threads.iter().map(|t| t.sender.clone()).collect(),
            untold: self.threads.iter().map(|t| Arc::clone(&t.untold)).collect(),
            // Nobody else takes any.
            scores: self
                .posts
                .iter()
                .find(|post| matches!(post.config(), PostConfig::Mqtt(_)))
                .map(|post| post.sender().scores()),
        }
    }

    /// Waits until everything is told, at most for `patience`; all senders must be gone.
    pub async fn finish(self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        for thread in self.threads {
            // At the end everything is told, whatever the pressure.
            thread.gate.set(false);
            drop(thread.sender);
            // An error says that the thread is gone, which is what is waited for.
            let ended = tokio::time::timeout_at(deadline, thread.ended).await;
            let untold = thread.untold.load(Ordering::Acquire);
            if ended.is_err() || untold > 0 {
                ::log::error!(
                    target: "out",
                    "{}: {untold} alarm messages were not taken in time and are lost",
                    thread.name
                );
            }
        }
        // Behind all alarms.
        let posts = self.posts.into_iter().chain(self.former_posts);
        let mut ends = tokio::task::JoinSet::new();
        for post in posts {
            // One that waits for somebody takes no time from the others.
            ends.spawn(post.finish(deadline.duration_since(tokio::time::Instant::now())));
        }
        ends.join_all().await;
    }
}

impl AlarmSender {
    /// Passes `event` on; false where no sink takes it.
    pub fn send(&self, event: &AlarmEvent) -> bool {
        let event = Arc::new(event.clone());
        let mut taken = false;
        for (sender, untold) in self.to.iter().zip(&self.untold) {
            // Before it can be told.
            untold.fetch_add(1, Ordering::Release);
            taken |= sender.send(Message::Tell(Arc::clone(&event))).is_ok();
        }
        taken
    }

    /// Passes on the score of a frame, relative to the threshold in force, to whom it may concern.
    pub fn score(&self, time: Timestamp, relative: f64) {
        if let Some(scores) = &self.scores {
            scores.put(time, relative);
        }
    }
}

impl OutputThread {
    fn start(sink: Box<dyn Sink>) -> std::io::Result<Self> {
        let name = sink.name();
        let (sender, receiver) = channel();
        let (alive, ended) = oneshot::channel::<()>();
        let untold = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&untold);
        let gate = Arc::new(Gate::default());
        let waits_at = Arc::clone(&gate);
        std::thread::Builder::new()
            .name(format!("out-{name}"))
            .spawn(move || {
                tell_all(&receiver, sink, &count, &waits_at);
                drop(alive);
            })?;
        Ok(OutputThread {
            name,
            sender,
            untold,
            gate,
            ended,
        })
    }
}

fn tell_all(
    receiver: &Receiver<Message>,
    mut sink: Box<dyn Sink>,
    untold: &AtomicU64,
    gate: &Gate,
) {
    // A sink that keeps failing is named at its first failure, and again once it has recovered.
    let mut failed = 0_u64;
    for message in receiver {
        let event = match message {
            Message::Tell(event) => event,
            Message::Become(next) => {
                sink = next;
                continue;
            }
        };
        if sink.may_pause() {
            gate.pass();
        }
        match sink.tell(&event) {
            Ok(()) if failed > 0 => {
                ::log::info!(
                    target: "out",
                    "{} takes alarms again; {failed} messages were lost", sink.name()
                );
                failed = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if failed == 0 {
                    ::log::error!(
                        target: "out",
                        "{}: alarm {} cannot be told: {error}", sink.name(), event.id
                    );
                }
                failed += 1;
            }
        }
        untold.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::alarm::{AlarmKind, Transition};
    use crate::frame::Timestamp;

    const LONG: Duration = Duration::from_secs(30);

    struct Flaky {
        name: &'static str,
        told: Arc<Mutex<Vec<String>>>,
        failures: usize,
        /// Held while it sleeps.
        asleep: Arc<Mutex<()>>,
    }

    impl Sink for Flaky {
        fn name(&self) -> &'static str {
            self.name
        }

        fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()> {
            let _awake = self.asleep.lock().unwrap();
            if self.failures > 0 {
                self.failures -= 1;
                return Err(std::io::Error::other("full"));
            }
            let told = format!("{} {}", self.name, event.id);
            self.told.lock().unwrap().push(told);
            Ok(())
        }
    }

    #[derive(Default)]
    struct Bench {
        told: Arc<Mutex<Vec<String>>>,
        asleep: Arc<Mutex<()>>,
    }

    impl Bench {
        fn sink(&self, name: &'static str, failures: usize) -> Box<dyn Sink> {
            Box::new(Flaky {
                name,
                told: Arc::clone(&self.told),
                failures,
                asleep: Arc::default(),
            })
        }

        fn sleeper(&self) -> Box<dyn Sink> {
            Box::new(Flaky {
                name: "sleeper",
                told: Arc::clone(&self.told),
                failures: 0,
                asleep: Arc::clone(&self.asleep),
            })
        }

        fn told(&self, name: &str) -> Vec<String> {
            let told = self.told.lock().unwrap();
            let own = told.iter().filter_map(|line| line.strip_prefix(name));
            own.map(|id| id.trim().to_owned()).collect()
        }
    }

    fn send(sender: &AlarmSender, ids: &[&str]) {
        for id in ids {
            let event = AlarmEvent {
                id: (*id).to_owned(),
                kind: AlarmKind::Anomaly,
                transition: Transition::Raised,
                time: Timestamp::EPOCH,
                raised_at: Timestamp::EPOCH,
                score: 1.0,
                peak_score: 1.0,
                threshold: 1.0,
                sensors: vec![],
                model: String::new(),
                degraded: None,
                verdict: None,
            };
            assert!(sender.send(&event));
        }
    }

    #[tokio::test]
    async fn every_event_is_told_in_order_and_a_failure_stops_nobody() {
        let bench = Bench::default();
        let outputs = Outputs::start(vec![bench.sink("a", 2), bench.sink("b", 0)]).unwrap();
        send(&outputs.sender(), &["1", "2", "3"]);
        outputs.finish(LONG).await;
        assert_eq!(bench.told("a"), ["3"]);
        assert_eq!(bench.told("b"), ["1", "2", "3"]);
    }

    #[tokio::test]
    #[expect(
        clippy::await_holding_lock,
        reason = "the lock keeps the sink's own thread asleep"
    )]
    async fn a_sink_that_sleeps_holds_up_neither_the_others_nor_the_end() {
        let bench = Bench::default();
        let asleep = bench.asleep.lock().unwrap();
        let outputs = Outputs::start(vec![bench.sleeper(), bench.sink("b", 0)]).unwrap();
        send(&outputs.sender(), &["1", "2"]);
        let started = std::time::Instant::now();
        while bench.told("b").len() < 2 {
            assert!(started.elapsed() < LONG);
            std::thread::yield_now();
        }
        outputs.finish(Duration::from_millis(50)).await;
        assert!(bench.told("sleeper").is_empty());
        drop(asleep);
    }

    #[tokio::test]
    #[expect(
        clippy::await_holding_lock,
        reason = "the lock keeps the sink's own thread asleep"
    )]
    async fn a_reload_keeps_the_order_of_a_sink_and_ends_what_is_left_out() {
        let bench = Bench::default();
        let asleep = bench.asleep.lock().unwrap();
        let mut outputs = Outputs::start(vec![bench.sleeper(), bench.sink("gone", 0)]).unwrap();
        send(&outputs.sender(), &["1"]);
        let gone = outputs
            .replace(vec![bench.sleeper(), bench.sink("new", 0)])
            .unwrap();
        gone.finish(LONG).await;
        send(&outputs.sender(), &["2"]);
        drop(asleep);
        outputs.finish(LONG).await;
        assert_eq!(bench.told("sleeper"), ["1", "2"]);
        assert_eq!(bench.told("gone"), ["1"]);
        assert_eq!(bench.told("new"), ["2"]);
    }

    #[tokio::test]
    async fn a_pause_keeps_alarms_and_the_end_tells_them() {
        let bench = Bench::default();
        let mut outputs = Outputs::start(vec![bench.sink("a", 0)]).unwrap();
        outputs.pause(true);
        send(&outputs.sender(), &["1", "2"]);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(bench.told("a").is_empty());
        outputs.pause(false);
        let started = std::time::Instant::now();
        while bench.told("a").len() < 2 {
            assert!(started.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        outputs.pause(true);
        send(&outputs.sender(), &["3"]);
        outputs.finish(LONG).await;
        assert_eq!(bench.told("a"), ["1", "2", "3"]);
    }
}
