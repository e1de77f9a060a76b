//! The running service: wiring only, stages in flow order.
//!
//! ```text
//! sources (tokio tasks) ─► SampleQueue ─► infer thread: Stream ─► out threads: a sink each
//! ```
//!
//! A session is what runs. A reload prepares the next one completely, on a thread of its own, while
//! the old one goes on, so that a bad configuration changes nothing; what was learnt and which
//! alarms are open goes over to the new one. May import everything but `cli`.

mod infer;
mod prepare;
mod session;
mod sources;
mod tally;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use sources::SourceConfig;

use prepare::Prepared;
use session::Session;

/// How long a reader of alarms may keep us from ending after a signal.
const LAST_PATIENCE: Duration = Duration::from_millis(500);
/// As good as for ever.
const NO_HURRY: Duration = Duration::from_secs(365 * 86_400);

/// Runs the service until a signal or the end of all sources.
///
/// # Errors
/// The configuration or the model is unusable, or a source failed for good.
pub fn run(config: &Path, root: &Path) -> anyhow::Result<()> {
    let first = Prepared::load(config, root)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let ended = runtime.block_on(serve(first, config, root));
    // A terminal's stdin would be waited for until a key is pressed.
    runtime.shutdown_background();
    ended
}

async fn serve(first: Prepared, config: &Path, root: &Path) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut session = Session::start(first)?;
    let reload = Reload {
        config: config.to_owned(),
        root: root.to_owned(),
    };
    let ended = watch(&mut session, &mut signals, &reload).await;
    notify(&[NotifyState::Stopping]);
    match &ended {
        Ok(End::Signal(name)) => log::info!(target: "daemon", "stopping: {name}"),
        Ok(End::Sources) => log::info!(target: "daemon", "stopping: all sources have ended"),
        Err(_) => {}
    }
    let outputs = session.stop().await;
    match (ended, outputs) {
        (Ok(End::Sources), Ok(outputs)) => {
            // Nobody is in a hurry: a slow reader of alarms gets them all.
            tokio::select! {
                () = outputs.finish(NO_HURRY) => {}
                _ = signals.next() => log::error!(target: "daemon", "stopped before all alarms were taken"),
            }
            Ok(())
        }
        (Ok(End::Signal(_)), Ok(outputs)) => {
            outputs.finish(LAST_PATIENCE).await;
            Ok(())
        }
        (Err(error), Ok(outputs)) => {
            outputs.finish(LAST_PATIENCE).await;
            Err(error)
        }
        (ended, Err(error)) => Err(ended.err().unwrap_or(error)),
    }
}

/// Why the service ends, unless by a failure.
enum End {
    Signal(&'static str),
    Sources,
}

async fn watch(
    session: &mut Session,
    signals: &mut Signals,
    reload: &Reload,
) -> anyhow::Result<End> {
    session.settle().await?;
    notify(&[NotifyState::Ready, NotifyState::Status(session.title())]);
    let mut loading: Option<JoinHandle<anyhow::Result<Prepared>>> = None;
    let mut again = false;
    let mut report_at = Instant::now() + tally::EVERY;
    loop {
        if !session.is_running() && loading.is_none() {
            return Ok(End::Sources);
        }
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop(signal) => return Ok(End::Signal(signal)),
                // The file may have changed since it was read.
                Asked::Reload if loading.is_some() => again = true,
                Asked::Reload => loading = Some(reload.start()),
            },
            loaded = done(&mut loading) => {
                loading = None;
                match loaded {
                    Ok(next) => {
                        session.replace(next).await?;
                        session.settle().await?;
                    }
                    Err(error) => log::error!(
                        target: "daemon",
                        "reload refused, the configuration in force stays: {error:#}"
                    ),
                }
                if std::mem::take(&mut again) {
                    loading = Some(reload.start());
                } else {
                    notify(&[NotifyState::Ready, NotifyState::Status(session.title())]);
                }
            }
            watched = session.watch(), if session.is_running() => watched?,
            () = tokio::time::sleep_until(report_at) => {
                report_at += tally::EVERY;
                session.report();
            }
        }
    }
}

/// What a reload reads.
struct Reload {
    config: PathBuf,
    root: PathBuf,
}

impl Reload {
    /// Prepares the next session on a thread of its own: a torch model may take seconds.
    fn start(&self) -> JoinHandle<anyhow::Result<Prepared>> {
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now().ok());
        notify(&states);
        log::info!(target: "daemon", "reading {} again", self.config.display());
        let (config, root) = (self.config.clone(), self.root.clone());
        tokio::task::spawn_blocking(move || Prepared::load(&config, &root))
    }
}

/// What the loading gives, once there is any.
async fn done(
    loading: &mut Option<JoinHandle<anyhow::Result<Prepared>>>,
) -> anyhow::Result<Prepared> {
    match loading {
        Some(loading) => loading.await.context("reading the configuration broke")?,
        None => std::future::pending().await,
    }
}

/// Tells systemd, where it listens.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!(target: "daemon", "systemd cannot be told our state: {error}");
    }
}

/// The signals that the service answers to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
enum Asked {
    Stop(&'static str),
    Reload,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}
