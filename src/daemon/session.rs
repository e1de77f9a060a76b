//! What runs: sources as tasks, inference on its own thread, outputs on theirs. A reload changes
//! only what differs, so that nothing is lost on the way: a source that stays the same is not
//! even interrupted.

mod ladder;
mod post;
mod running;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use running::{Phase, RunningSource};

use super::infer::{Infer, Order, Work};
use super::keeper::Keeper;
use super::prepare::{Plan, Prepared};
use super::sources::SourceConfig;
use super::task::{Learning, Task};
use super::view::View;
use crate::alarm::Verdict;
use crate::config::Settings;
use crate::ingest::{IngestError, SampleQueue, SensorIndex, SourceState};
use crate::learn::{LearnConfig, Learner};
use crate::message::Message;
use crate::output::{Outputs, Unposted};
use crate::pipeline::Stream;
use crate::state::Span;
use crate::systemd::Progress;
use crate::web::Feed;

/// Sources answer a stop within a second; one that does not is left behind.
const STOP_PATIENCE: Duration = Duration::from_millis(1_500);
/// How long the start waits to hear from sources whether they can work.
const START_PATIENCE: Duration = Duration::from_millis(80);
/// How long inference may take to answer an order between two samples.
const ORDER_PATIENCE: Duration = Duration::from_secs(2);
/// How long outputs that a reload ends may take for what they hold.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

pub struct Session {
    title: String,
    /// What the plant is called.
    name: String,
    /// Name and version of the model, where there is one.
    model: Option<String>,
    throttled: Arc<AtomicBool>,
    settings: Arc<Settings>,
    /// The torch engine is left out for want of something.
    native_only: bool,
    sensors: Arc<SensorIndex>,
    /// What is being learned, and from when on samples wait for the model.
    learns: Option<LearnConfig>,
    complete: mpsc::UnboundedSender<Learner>,
    learned: mpsc::UnboundedReceiver<Learner>,
    queue: Arc<SampleQueue>,
    sources: Vec<RunningSource>,
    tasks: JoinSet<(usize, Result<(), IngestError>)>,
    next_id: usize,
    infer: Infer,
    outputs: Outputs,
    keeper: Keeper,
    /// To the page.
    feed: Feed,
    /// When readings were last given to outputs, and when metrics were.
    readings_told: Option<Instant>,
    metrics_told: Option<Instant>,
    reloaded: bool,
}

impl Session {
    /// Starts everything that `prepared` holds.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        mut prepared: Prepared,
        throttled: Arc<AtomicBool>,
        feed: Feed,
    ) -> anyhow::Result<Self> {
        let title = prepared.title();
        let model = prepared.model_name();
        let mut outputs = Outputs::start(prepared.sinks(&throttled, &feed))
            .context("cannot start an output thread")?;
        let folder = prepared.settings.state_directory.clone();
        let unposted = post::open(std::mem::take(&mut prepared.posts), &folder);
        let mut stream = match &mut prepared.plan {
            Plan::Watch(stream) => Some(&mut **stream),
            Plan::Learn(_) => None,
        };
        let told: Vec<_> = unposted.iter().map(Unposted::told).collect();
        let keeper = Keeper::start(&folder, stream.as_deref_mut(), &told)
            .context("cannot start the thread that keeps the state")?;
        let open = stream.map_or_else(Vec::new, |stream| stream.open_ids());
        post::start(unposted, &folder, &open, &mut outputs)
            .context("cannot start the thread of an output")?;
        let queue = Arc::new(SampleQueue::new(prepared.settings.frame.queue_samples));
        let begun = begin(prepared.plan, &prepared.sensors, &folder)?;
        let (complete, learned) = mpsc::unbounded_channel();
        let work = Work {
            task: begun.task,
            queue: Arc::clone(&queue),
            period: prepared.period,
            alarms: outputs.sender(),
            keep: keeper.sender(),
            history: prepared.settings.history,
            complete: complete.clone(),
        };
        let infer =
            Infer::start(work, feed.clone()).context("cannot start the inference thread")?;
        let mut session = Session {
            title,
            name: prepared.name,
            model,
            throttled,
            settings: Arc::new(prepared.settings),
            native_only: false,
            sensors: begun.sensors,
            learns: begun.learns,
            complete,
            learned,
            queue,
            sources: Vec::new(),
            tasks: JoinSet::new(),
            next_id: 0,
            infer,
            outputs,
            keeper,
            feed,
            readings_told: None,
            metrics_told: None,
            reloaded: false,
        };
        session.start_sources(prepared.sources)?;
        Ok(session)
    }

    /// One line on what is being watched with what.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the plant is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Goes on recording: what there was made no model.
    pub async fn go_on_learning(&self, learner: Learner) {
        let learning = Learning::new(learner, Arc::clone(&self.sensors));
        let task = Task::Learn(Box::new(learning));
        self.infer.order(|done| Order::Go(task, done)).await;
    }

    /// The configuration in force.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Alarms of the last seven days.
    pub async fn week(&self) -> Option<Span> {
        let span = tokio::time::timeout(ORDER_PATIENCE, self.keeper.week()).await;
        span.ok().flatten()
    }

    pub fn note_verdict(&self, id: &str, verdict: Verdict) {
        self.keeper.verdict(id, verdict);
        self.feed.verdict(id, verdict);
    }

    /// Writes what the history has so far; false where that cannot be.
    pub async fn write_history(&self) -> bool {
        let written = tokio::time::timeout(ORDER_PATIENCE, self.keeper.flush());
        written.await.unwrap_or(false)
    }

    /// How far inference has come.
    pub fn progress(&self) -> Progress {
        self.infer.progress()
    }

    /// How things stand in inference; none when it does not answer in time.
    pub async fn view(&self) -> Option<View> {
        self.order(Order::Look).await
    }

    /// Gives inference an order; none when it does not answer in time.
    pub async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let answer = tokio::time::timeout(ORDER_PATIENCE, self.infer.order(order)).await;
        answer.ok().flatten()
    }

    /// Does something with the stream of inference, between two samples; none when inference does
    /// not answer in time.
    pub async fn with_stream<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Stream) -> T + Send + 'static,
    ) -> Option<T> {
        self.order(|back| {
            Order::Do(Box::new(move |stream| {
                // Nobody waits for the answer any more, perhaps.
                let _ = back.send(act(stream));
            }))
        })
        .await
    }

    /// Waits until every source knows whether it can work, or is seen to need longer.
    ///
    /// # Errors
    /// A source failed for good.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            while let Some(ended) = self.tasks.try_join_next() {
                self.note_end(ended)?;
            }
            let is_starting = |source: &RunningSource| {
                source.phase == Phase::Running && source.status.state() == SourceState::Starting
            };
            if !self.sources.iter().any(is_starting) || started.elapsed() >= START_PATIENCE {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Whether any source may still deliver.
    pub fn is_running(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Returns a learner that has enough to fit a model (samples wait for that), nothing when a
    /// source has ended, and an error when the session cannot go on.
    ///
    /// # Errors
    /// A source failed for good, or the inference thread has ended.
    pub async fn watch(&mut self) -> anyhow::Result<Option<Learner>> {
        let ended = tokio::select! {
            Some(ended) = self.tasks.join_next() => ended,
            Some(learner) = self.learned.recv() => return Ok(Some(learner)),
            () = self.infer.gone() => bail!("the inference thread ended by itself"),
        };
        self.note_end(ended)?;
        Ok(None)
    }

    /// Goes on with `next`: what was learnt and which alarms are open is taken over.
    ///
    /// # Errors
    /// The inference thread has ended, or another thread cannot be started.
    pub async fn replace(&mut self, next: Prepared) -> anyhow::Result<()> {
        crate::logging::set_level(next.settings.log_level);
        self.reloaded = true;
        let capacity = next.settings.frame.queue_samples;
        let same_task = match &next.plan {
            Plan::Watch(_) => self.learns.is_none() && self.sensors.names() == next.sensors,
            // What is recorded goes on being recorded.
            Plan::Learn(config) => self.learns.as_ref() == Some(config),
        };
        let same_samples = same_task && self.queue.capacity() == capacity;
        let stays = |source: &RunningSource| {
            same_samples && source.phase != Phase::Failed && next.sources.contains(&source.config)
        };
        let gone: Vec<usize> = self
            .sources
            .iter()
            .filter(|source| !stays(source))
            .map(|source| source.id)
            .collect();
        let is_gone = |source: &RunningSource| gone.contains(&source.id);
        self.stop_sources(is_gone).await?;
        self.report();
        self.sources.retain(|source| !is_gone(source));
        if !same_samples {
            self.queue = Arc::new(SampleQueue::new(capacity));
        }
        let new_posts = self.follow_posts(next.posts.clone(), &next.settings.state_directory)?;
        let before = self
            .outputs
            .replace(next.sinks(&self.throttled, &self.feed));
        let before = before.context("cannot start an output thread")?;
        let folder = &next.settings.state_directory;
        let former = match folder == self.keeper.folder() {
            true => None,
            // What runs goes on; only its place is another one.
            false => {
                let keeper = Keeper::start(folder, None, &[]);
                let keeper = keeper.context("cannot start the thread that keeps the state")?;
                Some(std::mem::replace(&mut self.keeper, keeper))
            }
        };
        let model = next.model_name();
        if let Some(model) = model.as_ref().filter(|_| model != self.model) {
            log::info!(
                target: "model",
                MESSAGE_ID = Message::ModelChanged.id(),
                ANOMALYD_MODEL = model.as_str();
                "model {model} judges from now on{}",
                match &self.model {
                    Some(before) => format!(", until now it was {before}"),
                    None => String::new(),
                }
            );
        }
        self.model = model;
        self.title = next.title();
        self.name = next.name;
        self.native_only = false;
        self.settings = Arc::new(next.settings);
        let task = match next.plan {
            Plan::Learn(_) if same_samples => None,
            Plan::Watch(stream) if same_samples => Some(Task::Watch(stream)),
            plan => {
                if self.learns.is_some() {
                    // A recording has one writer.
                    self.infer
                        .order(|done| Order::Go(Task::Wait(None), done))
                        .await;
                }
                let folder = &self.settings.state_directory;
                let begun = begin(plan, &next.sensors, folder)?;
                self.sensors = begun.sensors;
                self.learns = begun.learns;
                Some(begun.task)
            }
        };
        let work = task.map(|task| Work {
            task,
            queue: Arc::clone(&self.queue),
            period: next.period,
            alarms: self.outputs.sender(),
            keep: self.keeper.sender(),
            history: self.settings.history,
            complete: self.complete.clone(),
        });
        if let Some(work) = work
            && !self.infer.replace(work).await
        {
            bail!("the inference thread ended by itself");
        }
        self.tell_what_stands(&new_posts).await;
        before.finish(OUTPUT_PATIENCE).await;
        if let Some(former) = former {
            former.finish().await;
        }
        let is_new = |config: &SourceConfig| !self.sources.iter().any(|s| s.config == *config);
        let new = next.sources.into_iter().filter(is_new).collect();
        self.start_sources(new)?;
        log::info!(
            target: "daemon",
            MESSAGE_ID = Message::Reloaded.id();
            "reloaded: {}", self.title
        );
        Ok(())
    }

    /// Stops the sources and lets everything that they read be judged. The outputs may still hold
    /// alarms.
    ///
    /// # Errors
    /// A source or the inference thread panicked.
    pub async fn stop(mut self) -> (anyhow::Result<Outputs>, Keeper) {
        let stopped = self.stop_sources(|_| true).await;
        self.report();
        let judged = self.infer.finish().await;
        let outputs = match (stopped, judged) {
            (Ok(()), true) => Ok(self.outputs),
            (stopped, _) => {
                self.outputs.finish(OUTPUT_PATIENCE).await;
                stopped.and(Err(anyhow!("the inference thread panicked")))
            }
        };
        (outputs, self.keeper)
    }
}

/// A task that can begin now.
struct Begun {
    task: Task,
    sensors: Arc<SensorIndex>,
    learns: Option<LearnConfig>,
}

fn begin(plan: Plan, sensors: &[String], state: &Path) -> anyhow::Result<Begun> {
    match plan {
        Plan::Watch(stream) => Ok(Begun {
            task: Task::Watch(stream),
            sensors: Arc::new(SensorIndex::new(sensors)),
            learns: None,
        }),
        Plan::Learn(config) => {
            let learner = Learner::open(state, config.clone())?;
            let sensors = Arc::new(SensorIndex::learning(learner.sensors()));
            log::info!(
                target: "learn",
                MESSAGE_ID = Message::Learning.id();
                "{}", learner.progress()
            );
            let learning = Learning::new(learner, Arc::clone(&sensors));
            Ok(Begun {
                task: Task::Learn(Box::new(learning)),
                sensors,
                learns: Some(config),
            })
        }
    }
}
