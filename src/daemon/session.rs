//! What one configuration runs: sources as tasks, inference on its own thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::{Context, anyhow};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::infer::{self, InferThread};
use super::prepare::Prepared;
use super::{Asked, Signals};
use crate::alarm::AlarmEvent;
use crate::clock::SystemClock;
use crate::ingest::{IngestError, SampleQueue, SensorIndex, SourceContext, SourceStatus};
use crate::pipeline::Stream;

pub struct Session {
    title: String,
    queue: Arc<SampleQueue>,
    stop: watch::Sender<bool>,
    sources: JoinSet<(String, Result<(), IngestError>)>,
    infer: InferThread,
    infer_gone: oneshot::Receiver<()>,
}

/// Why a session ends.
pub enum End {
    Stopped(&'static str),
    /// With the session that follows.
    Reload(Box<Prepared>),
    Failed(anyhow::Error),
}

impl Session {
    /// Starts everything that `prepared` holds.
    ///
    /// # Errors
    /// The inference thread cannot be started.
    pub fn start(prepared: Prepared, alarms: Sender<AlarmEvent>) -> anyhow::Result<Self> {
        let Prepared {
            settings,
            model,
            stream,
            sources,
            period,
        } = prepared;
        let manifest = &model.manifest;
        let names: Vec<String> = manifest.sensors.iter().map(|s| s.name.clone()).collect();
        let sensors = Arc::new(SensorIndex::new(&names));
        let queue = Arc::new(SampleQueue::new(settings.frame.queue_samples));
        let (stop, stopped) = watch::channel(false);
        let title = format!(
            "watching {} sensors every {}: model {}, engine {}, {} source{}",
            names.len(),
            humantime::format_duration(period),
            stream.pipeline().model_name(),
            stream.pipeline().engine_name(),
            sources.len(),
            if sources.len() == 1 { "" } else { "s" },
        );
        log::info!(target: "daemon", "{title}");
        let (infer, infer_gone) = infer::spawn(stream, Arc::clone(&queue), period, alarms)
            .context("cannot start the inference thread")?;
        let mut tasks = JoinSet::new();
        for source in sources {
            let name = source.name().to_owned();
            let context = SourceContext {
                sensors: Arc::clone(&sensors),
                queue: Arc::clone(&queue),
                clock: Arc::new(SystemClock),
                status: Arc::new(SourceStatus::new(name.clone())),
                stop: stopped.clone(),
            };
            tasks.spawn(async move { (name, source.run(context).await) });
        }
        Ok(Session {
            title,
            queue,
            stop,
            sources: tasks,
            infer,
            infer_gone,
        })
    }

    /// One line on what is being watched with what.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Runs until a signal, the end of all sources, or a failure.
    pub async fn run(&mut self, signals: &mut Signals, config: &Path, root: &Path) -> End {
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop(signal) => return End::Stopped(signal),
                    Asked::Reload => {
                        let mut states = vec![sd_notify::NotifyState::Reloading];
                        states.extend(sd_notify::NotifyState::monotonic_usec_now().ok());
                        super::notify(&states);
                        match Prepared::load(config, root) {
                            Ok(next) => {
                                log::info!(target: "daemon", "reloading {}", config.display());
                                return End::Reload(Box::new(next));
                            }
                            Err(error) => {
                                log::error!(
                                    target: "daemon",
                                    "reload refused, the configuration in force stays: {error:#}"
                                );
                                super::notify(&[sd_notify::NotifyState::Ready]);
                            }
                        }
                    }
                },
                ended = self.sources.join_next() => match ended {
                    None => return End::Stopped("all sources have ended"),
                    Some(Ok((name, Ok(())))) => log::info!(target: "daemon", "{name}: ended"),
                    Some(Ok((name, Err(error)))) => {
                        return End::Failed(anyhow::Error::new(error).context(name));
                    }
                    Some(Err(panic)) => return End::Failed(anyhow!("a source broke: {panic}")),
                },
                _ = &mut self.infer_gone => {
                    return End::Failed(anyhow!("the inference thread ended by itself"));
                }
            }
        }
    }

    /// Stops the sources, lets everything that they read be judged, and gives the stream back.
    ///
    /// # Errors
    /// The inference thread panicked.
    pub async fn stop(mut self) -> anyhow::Result<Stream> {
        // Nobody is listening when all sources have ended already.
        let _ = self.stop.send(true);
        while let Some(ended) = self.sources.join_next().await {
            if let Ok((name, Err(error))) = ended {
                log::error!(target: "daemon", "{name}: {error}");
            }
        }
        self.queue.close();
        let infer = self.infer;
        let joined = tokio::task::spawn_blocking(move || infer.join()).await;
        joined
            .ok()
            .and_then(Result::ok)
            .context("the inference thread panicked")
    }
}
