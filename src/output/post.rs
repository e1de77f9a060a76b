//! Outputs that store and forward, as the rest of the service has them: opened, started, told things,
//! given another configuration, ended. Each has a thread and a queue of its own; what it does there is
//! in `mqtt` and `otlp`. Imports `alarm`, `frame`, `metrics` and its siblings.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::Sink;
use super::mqtt::{self, MqttOutputConfig, ScoreSlot};
use super::otlp::{self, OtlpConfig};
use super::queue::{Fill, QUEUE, QUEUE_OTLP};
use super::store::{Names, Store};
use super::told::Told;
use crate::alarm::{AlarmEvent, AlarmRecord};
use crate::frame::Timestamp;
use crate::metrics::Metric;

/// Which output, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum PostConfig {
    Mqtt(MqttOutputConfig),
    Otlp(OtlpConfig),
}

impl PostConfig {
    /// Of the sink; there is one output of a name.
    pub fn name(&self) -> &'static str {
        match self {
            PostConfig::Mqtt(_) => "mqtt",
            PostConfig::Otlp(_) => "otlp",
        }
    }

    fn names(&self) -> Names {
        match self {
            PostConfig::Mqtt(_) => Names {
                target: "out-mqtt",
                partner: "broker",
                key: "output.mqtt",
                folder: QUEUE,
            },
            PostConfig::Otlp(_) => Names {
                target: "out-otlp",
                partner: "collector",
                key: "output.otlp",
                folder: QUEUE_OTLP,
            },
        }
    }

    fn address(&self) -> String {
        match self {
            PostConfig::Mqtt(config) => config.address(),
            PostConfig::Otlp(config) => config.address(),
        }
    }

    /// As `anomalyd status` names the output.
    fn view_name(&self) -> String {
        format!("{} {}", self.name(), self.address())
    }

    fn queue_bytes(&self) -> u64 {
        match self {
            PostConfig::Mqtt(config) => config.queue_bytes,
            PostConfig::Otlp(config) => config.queue_bytes,
        }
    }

    /// How often the readings of the machine are wanted, where they are.
    pub fn readings_every(&self) -> Option<Duration> {
        match self {
            PostConfig::Mqtt(config) => Some(config.health_every).filter(|every| !every.is_zero()),
            PostConfig::Otlp(_) => None,
        }
    }

    /// How often metrics are wanted, where they are.
    pub fn metrics_every(&self) -> Option<Duration> {
        match self {
            PostConfig::Mqtt(_) => None,
            PostConfig::Otlp(config) => Some(config.metrics_every).filter(|every| !every.is_zero()),
        }
    }
}

/// How an output is, for `anomalyd status`.
#[derive(Debug, Clone, PartialEq)]
pub struct PostView {
    pub name: String,
    /// `connected`, or why it is not.
    pub state: String,
    pub fill: Fill,
}

/// How the service is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StateWords {
    /// `starting`, `watching`, `learning`, `degraded` or `stuck`.
    pub state: String,
    /// How far learning has come, or what is degraded and why.
    pub text: Option<String>,
    pub model: Option<String>,
}

/// A reading of the machine crossed a limit, or is back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthWords {
    pub time: Timestamp,
    /// `raised`, `cleared`, `degraded` or `recovered`.
    pub change: &'static str,
    /// `warning` or `critical`
    pub level: &'static str,
    pub text: String,
}

/// The metrics of one moment.
#[derive(Debug, Clone)]
pub struct MetricWords {
    pub time: Timestamp,
    /// How long the service has run.
    pub up: Duration,
    pub metrics: Vec<Metric>,
}

/// What the service says to an output.
pub enum Word {
    Alarm(Arc<AlarmEvent>),
    /// The service's last alarms, and the ids of those that stand.
    Known(Vec<AlarmRecord>, Vec<String>),
    State(StateWords),
    Health(Vec<HealthWords>),
    Readings(Box<serde_json::Value>),
    Metrics(Box<MetricWords>),
    /// Another configuration is in force.
    Become(Box<PostConfig>),
    /// Publish what waits, say goodbye, and end; there is this much time.
    Finish(Duration),
}

/// An output with its queue, before it runs.
pub struct Unposted {
    config: PostConfig,
    store: Store,
}

/// A running output.
pub struct Post {
    sender: PostSender,
    folder: PathBuf,
    config: PostConfig,
    ended: oneshot::Receiver<()>,
}

/// Passes on what is to be published; it never waits.
#[derive(Clone)]
pub struct PostSender {
    words: UnboundedSender<Word>,
    scores: ScoreSlot,
    view: Arc<Mutex<PostView>>,
}

impl Unposted {
    /// Opens the queue in the state folder `state`. Whatever is wrong with it is journaled; there is an
    /// output all the same.
    pub fn open(config: PostConfig, state: &Path) -> Unposted {
        let names = config.names();
        let store = Store::open(names, config.address(), state, config.queue_bytes());
        Unposted { config, store }
    }

    /// What the output's readers were told of alarms.
    pub fn told(&self) -> &Told {
        &self.store.told
    }

    /// Notes, before any alarm can be raised, which ones are older than this output.
    pub fn begin(&mut self, known: &[AlarmRecord]) {
        self.store.begin(known);
    }

    /// Starts the output's thread; `state` is the folder that it was opened with.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self, state: &Path) -> io::Result<Post> {
        let (words, inbox) = unbounded_channel();
        let (alive, ended) = oneshot::channel::<()>();
        let view = Arc::new(Mutex::new(PostView {
            name: self.config.view_name(),
            state: "starting".to_owned(),
            fill: self.store.queue.fill(),
        }));
        let scores = ScoreSlot::default();
        let config = self.config.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (name, run): (&str, Box<dyn FnOnce() + Send>) = match self.config {
            PostConfig::Mqtt(config) => {
                let (scores, view) = (scores.clone(), Arc::clone(&view));
                let courier = mqtt::Courier::new(config, self.store, inbox, scores, view);
                ("post", Box::new(move || courier.run(&runtime)))
            }
            PostConfig::Otlp(config) => {
                let exporter = otlp::Exporter::new(config, self.store, inbox, Arc::clone(&view));
                ("otlp", Box::new(move || exporter.run(&runtime)))
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run();
                drop(alive);
            })?;
        Ok(Post {
            sender: PostSender {
                words,
                scores,
                view,
            },
            folder: state.to_owned(),
            config,
            ended,
        })
    }
}

impl Post {
    pub fn sender(&self) -> PostSender {
        self.sender.clone()
    }

    pub fn config(&self) -> &PostConfig {
        &self.config
    }

    /// Where the queue's folder is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Goes on with another configuration, and the queue that it has.
    pub fn reconfigure(&mut self, config: PostConfig) {
        if config != self.config {
            let mut view = self.sender.lock();
            view.name = config.view_name();
            drop(view);
            self.config = config.clone();
            self.sender.say(Word::Become(Box::new(config)));
        }
    }

    /// Publishes what waits where the partner is there, says goodbye, and ends; at most for `patience`.
    pub async fn finish(self, patience: Duration) {
        self.sender.say(Word::Finish(patience));
        // An error says that the thread is gone, which is what is waited for.
        if tokio::time::timeout(patience, self.ended).await.is_err() {
            let names = self.config.names();
            log::warn!(
                target: names.target,
                "the {} was not told of the end in time; what waits is kept", names.partner
            );
        }
    }

    pub(super) fn sink(&self) -> Box<dyn Sink> {
        Box::new(PostSink {
            name: self.config.name(),
            sender: self.sender(),
        })
    }
}

impl PostSender {
    pub fn alarm(&self, event: &AlarmEvent) {
        self.say(Word::Alarm(Arc::new(event.clone())));
    }

    /// What the service knows of alarms, so that what a crash kept from being told is told.
    pub fn known(&self, alarms: Vec<AlarmRecord>, open: Vec<String>) {
        self.say(Word::Known(alarms, open));
    }

    pub fn state(&self, words: StateWords) {
        self.say(Word::State(words));
    }

    pub fn health(&self, events: Vec<HealthWords>) {
        if !events.is_empty() {
            self.say(Word::Health(events));
        }
    }

    pub fn readings(&self, readings: serde_json::Value) {
        self.say(Word::Readings(Box::new(readings)));
    }

    pub fn metrics(&self, words: MetricWords) {
        self.say(Word::Metrics(Box::new(words)));
    }

    /// Where scores are put.
    pub fn scores(&self) -> ScoreSlot {
        self.scores.clone()
    }

    pub fn view(&self) -> PostView {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, PostView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, word: Word) {
        // The thread ends only when it is told to, unless it panicked.
        let _ = self.words.send(word);
    }
}

/// Alarms to the output's thread, which keeps them on disk before anything else.
struct PostSink {
    name: &'static str,
    sender: PostSender,
}

impl Sink for PostSink {
    fn name(&self) -> &'static str {
        self.name
    }

    fn may_pause(&self) -> bool {
        false
    }

    fn tell(&mut self, event: &AlarmEvent) -> io::Result<()> {
        self.sender.alarm(event);
        Ok(())
    }
}
