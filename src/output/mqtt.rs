//! Alarms, scores, health and status at an MQTT 3.1.1 broker.
//!
//! | topic | retained | what |
//! |---|---|---|
//! | `PREFIX/DEVICE/status` | yes | online, state, alarms that stand, the queue; offline as last will |
//! | `PREFIX/DEVICE/alarm` | no | each event of an alarm |
//! | `PREFIX/DEVICE/score` | no | the score, at most every `score_every` |
//! | `PREFIX/DEVICE/health` | yes | readings of the machine |
//! | `PREFIX/DEVICE/health/event` | no | a limit crossed, a step of degrading |
//!
//! Rules:
//! - An alarm is on the disk before it is published, and leaves the [`queue`](super::queue) when the
//!   broker has confirmed it. It may come twice, then under the same id in `message`.
//! - A score is published and forgotten while the broker is there; while it is away, one a minute is
//!   kept. Readings likewise, one in 15 minutes.
//! - The connection is one of its own, on a thread of its own (`post`): nothing that it does holds up
//!   scoring.
//!
//! Imports `alarm`, `frame`, `broker`, `message` and `queue`.

mod courier;
mod discovery;
mod link;
mod rounds;
mod score;
mod told;
mod words;

pub use score::ScoreSlot;
pub use told::{KnownAlarm, Told, ToldAlarm};
pub use words::{HealthWords, StateWords};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::Sink;
use super::queue::{Class, Fill, QUEUE, Queue};
use crate::alarm::AlarmEvent;
use crate::broker::BrokerConfig;
use crate::message::Message;
use courier::Courier;

const LOG_TARGET: &str = "out-mqtt";

#[derive(Debug, Clone, PartialEq)]
pub struct MqttOutputConfig {
    pub broker: BrokerConfig,
    pub prefix: String,
    pub device: String,
    /// What the plant is called.
    pub name: Option<String>,
    /// Zero: never.
    pub score_every: Duration,
    /// Zero: never.
    pub health_every: Duration,
    pub home_assistant: bool,
    pub home_assistant_prefix: String,
    pub queue_bytes: u64,
    pub catch_up_per_second: u32,
}

/// How the output is, for `anomalyd status`.
#[derive(Debug, Clone, PartialEq)]
pub struct PostView {
    pub name: String,
    /// `connected`, or why it is not.
    pub state: String,
    pub fill: Fill,
}

/// What the service says to the output.
enum Word {
    Alarm(Arc<AlarmEvent>),
    /// The service's last alarms, and the ids of those that stand.
    Known(Vec<KnownAlarm>, Vec<String>),
    State(StateWords),
    Health(Vec<HealthWords>),
    Readings(Box<serde_json::Value>),
    /// Another configuration is in force.
    Become(Box<MqttOutputConfig>),
    /// Publish what waits, say goodbye, and end; there is this much time.
    Finish(Duration),
}

/// The output with its queue, before it runs.
pub struct Unposted {
    config: MqttOutputConfig,
    queue: Queue,
    told: Told,
}

/// The running output.
pub struct Post {
    sender: PostSender,
    folder: PathBuf,
    config: MqttOutputConfig,
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
    pub fn open(config: MqttOutputConfig, state: &Path) -> Unposted {
        let queue = open_queue(state, config.queue_bytes);
        Unposted {
            config,
            told: Told::read(queue.note()).unwrap_or_default(),
            queue,
        }
    }

    /// What the broker's readers were told of alarms.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Notes, before any alarm can be raised, which ones are older than this output.
    pub fn begin(&mut self, known: &[KnownAlarm]) {
        if self.told.begin(known)
            && let Err(error) = self
                .queue
                .push(Class::Alarm, vec![], Some(&self.told.note()), true)
        {
            log::debug!(target: LOG_TARGET, "the queue cannot be written: {error}");
        }
    }

    /// Starts the output's thread; `state` is the folder that it was opened with.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self, state: &Path) -> io::Result<Post> {
        let (words, inbox) = unbounded_channel();
        let (alive, ended) = oneshot::channel::<()>();
        let view = Arc::new(Mutex::new(PostView {
            name: view_name(&self.config),
            state: "starting".to_owned(),
            fill: self.queue.fill(),
        }));
        let scores = ScoreSlot::default();
        let config = self.config.clone();
        let courier = Courier::new(
            self.config,
            self.queue,
            self.told,
            inbox,
            scores.clone(),
            Arc::clone(&view),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("post".to_owned())
            .spawn(move || {
                courier.run(&runtime);
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

fn open_queue(state: &Path, most_bytes: u64) -> Queue {
    if !state.is_dir() {
        log::warn!(
            target: LOG_TARGET,
            "what waits for the broker is kept in memory only: the folder {} is not there",
            state.display()
        );
        return Queue::in_memory();
    }
    let folder = state.join(QUEUE);
    match Queue::open(&folder, most_bytes) {
        Ok((queue, found)) => {
            if found.damaged > 0 {
                log::warn!(
                    target: LOG_TARGET,
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
                target: LOG_TARGET,
                MESSAGE_ID = Message::StateUnwritable.id();
                "{}: {error}; what waits for the broker is kept in memory only",
                folder.display()
            );
            Queue::in_memory()
        }
    }
}

fn view_name(config: &MqttOutputConfig) -> String {
    format!("mqtt {}:{}", config.broker.host, config.broker.port)
}

impl Post {
    pub fn sender(&self) -> PostSender {
        self.sender.clone()
    }

    /// Where the queue's folder is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Goes on with another configuration, and the queue that it has.
    pub fn reconfigure(&mut self, config: MqttOutputConfig) {
        if config != self.config {
            self.config = config.clone();
            self.sender.say(Word::Become(Box::new(config)));
        }
    }

    /// Publishes what waits where the broker is there, says goodbye, and ends; at most for `patience`.
    pub async fn finish(self, patience: Duration) {
        self.sender.say(Word::Finish(patience));
        // An error says that the thread is gone, which is what is waited for.
        if tokio::time::timeout(patience, self.ended).await.is_err() {
            log::warn!(
                target: LOG_TARGET,
                "the broker was not told of the end in time; what waits is kept"
            );
        }
    }
}

impl PostSender {
    pub fn alarm(&self, event: &AlarmEvent) {
        self.say(Word::Alarm(Arc::new(event.clone())));
    }

    /// What the service knows of alarms, so that what a crash kept from being told is told.
    pub fn known(&self, alarms: Vec<KnownAlarm>, open: Vec<String>) {
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

    /// Where scores are put.
    pub fn scores(&self) -> ScoreSlot {
        self.scores.clone()
    }

    pub fn view(&self) -> PostView {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.clone()
    }

    fn say(&self, word: Word) {
        // The thread ends only when it is told to, unless it panicked.
        let _ = self.words.send(word);
    }
}

/// Alarms to the output's thread, which keeps them on disk before anything else.
pub struct MqttSink(pub PostSender);

impl Sink for MqttSink {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn may_pause(&self) -> bool {
        false
    }

    fn tell(&mut self, event: &AlarmEvent) -> io::Result<()> {
        self.0.alarm(event);
        Ok(())
    }
}

#[cfg(test)]
fn example() -> MqttOutputConfig {
    MqttOutputConfig {
        broker: BrokerConfig {
            host: "127.0.0.1".to_owned(),
            port: 1883,
            client_id: "anomalyd-pi".to_owned(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(5),
        },
        prefix: "anomalyd".to_owned(),
        device: "pi".to_owned(),
        name: None,
        score_every: Duration::from_secs(10),
        health_every: Duration::from_secs(300),
        home_assistant: true,
        home_assistant_prefix: "homeassistant".to_owned(),
        queue_bytes: 1 << 20,
        catch_up_per_second: 50,
    }
}
