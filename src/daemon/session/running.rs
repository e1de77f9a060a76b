//! The sources of a session: started, stopped, reported.

use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use tokio::sync::watch;
use tokio::task::JoinError;

use super::{STOP_PATIENCE, Session};
use crate::clock::SystemClock;
use crate::control::SourceView;
use crate::daemon::sources::SourceConfig;
use crate::daemon::tally::SourceTally;
use crate::ingest::{IngestError, SourceContext, SourceState, SourceStatus};
use crate::message::Message;

pub(super) type Ended = Result<(usize, Result<(), IngestError>), JoinError>;

pub(super) struct RunningSource {
    pub(super) id: usize,
    pub(super) config: SourceConfig,
    pub(super) status: Arc<SourceStatus>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) tally: SourceTally,
    pub(super) phase: Phase,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Running,
    Ended,
    Failed,
}

impl Session {
    pub fn source_views(&self) -> Vec<SourceView> {
        let view = |source: &RunningSource| SourceView {
            name: source.status.name().to_owned(),
            state: match source.phase {
                Phase::Running => match (source.status.state(), source.status.problem()) {
                    (SourceState::Connected, Some(problem)) => format!("connected, but {problem}"),
                    (state, _) => state.to_string(),
                },
                Phase::Ended => "ended".to_owned(),
                Phase::Failed => "failed".to_owned(),
            },
            received: source.status.counters().received,
        };
        self.sources.iter().map(view).collect()
    }

    /// Tells the counters of the sources, where they moved.
    pub fn report(&mut self) {
        let now = Instant::now();
        for source in &mut self.sources {
            let counters = source.status.counters();
            if let Some(line) = source.tally.line(source.status.name(), now, counters) {
                log::warn!(target: "ingest", "{line}");
            }
        }
    }

    pub(super) fn start_sources(&mut self, sources: Vec<SourceConfig>) -> anyhow::Result<()> {
        for config in sources {
            let source = config.clone().open()?;
            let status = Arc::new(SourceStatus::new(source.name()));
            let (stop, stopped) = watch::channel(false);
            let context = SourceContext {
                sensors: Arc::clone(&self.sensors),
                queue: Arc::clone(&self.queue),
                clock: Arc::new(SystemClock),
                status: Arc::clone(&status),
                stop: stopped,
            };
            let id = self.next_id;
            self.next_id += 1;
            self.tasks
                .spawn(async move { (id, source.run(context).await) });
            self.sources.push(RunningSource {
                id,
                config,
                status,
                stop,
                tally: SourceTally::new(Instant::now()),
                phase: Phase::Running,
            });
        }
        Ok(())
    }

    pub(super) async fn stop_sources(
        &mut self,
        is_meant: impl Fn(&RunningSource) -> bool,
    ) -> anyhow::Result<()> {
        for source in self.sources.iter().filter(|source| is_meant(source)) {
            // Nobody listens where it has ended already.
            let _ = source.stop.send(true);
        }
        let all = async {
            let runs = |s: &RunningSource| is_meant(s) && s.phase == Phase::Running;
            while self.sources.iter().any(runs)
                && let Some(ended) = self.tasks.join_next().await
            {
                self.note_end(ended)?;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(STOP_PATIENCE, all).await {
            Ok(result) => result,
            Err(_) => {
                log::error!(target: "daemon", "a source does not stop; it is left behind");
                Ok(())
            }
        }
    }

    /// # Errors
    /// The session cannot go on without the source.
    pub(super) fn note_end(&mut self, ended: Ended) -> anyhow::Result<()> {
        let (id, result) = ended.map_err(|panic| anyhow!("a source broke: {panic}"))?;
        let Some(source) = self.sources.iter_mut().find(|source| source.id == id) else {
            return Ok(());
        };
        let name = source.status.name().to_owned();
        let stopped = *source.stop.borrow();
        source.phase = match result {
            Ok(()) => Phase::Ended,
            Err(_) => Phase::Failed,
        };
        match result {
            Ok(()) if stopped => log::debug!(target: "daemon", "{name}: stopped"),
            Ok(()) => log::info!(target: "daemon", "{name}: ended"),
            // A reload that adds a source which then fails must not cost the others.
            Err(error) if stopped || (self.reloaded && !self.tasks.is_empty()) => {
                log::error!(
                    target: "daemon",
                    MESSAGE_ID = Message::SourceFailed.id(),
                    ANOMALYD_SOURCE = name.as_str();
                    "{name}: {error}; going on without it"
                );
            }
            Err(error) => return Err(anyhow::Error::new(error).context(name)),
        }
        Ok(())
    }
}
