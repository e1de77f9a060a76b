//! The running service: wiring only, stages in flow order.
//!
//! ```text
//! sources (tokio tasks) ─► SampleQueue ─► infer thread: Stream ─► channel ─► out thread: sinks
//! ```
//!
//! A session is what one configuration runs. A reload prepares the next session completely before
//! it ends the old one, so that a bad configuration changes nothing; what was learnt and which
//! alarm is open goes over to the new one. May import everything but `cli`.

mod infer;
mod prepare;
mod session;

use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::{LogSink, OutputThread, Sink, StdoutSink};
use prepare::Prepared;
use session::{End, Session};

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
    let mut prepared = first;
    loop {
        let outputs = OutputThread::spawn(sinks(&prepared))?;
        let mut session = Session::start(prepared, outputs.sender())?;
        notify(&[
            sd_notify::NotifyState::Ready,
            sd_notify::NotifyState::Status(session.title()),
        ]);
        let end = session.run(&mut signals, config, root).await;
        if !matches!(end, End::Reload(_)) {
            notify(&[sd_notify::NotifyState::Stopping]);
        }
        let stream = session.stop().await?;
        match end {
            End::Reload(mut next) => {
                next.stream.continue_from(stream);
                outputs.finish();
                prepared = *next;
            }
            End::Stopped(why) => {
                log::info!(target: "daemon", "stopping: {why}");
                outputs.finish();
                return Ok(());
            }
            End::Failed(error) => {
                outputs.finish();
                return Err(error);
            }
        }
    }
}

fn sinks(prepared: &Prepared) -> Vec<Box<dyn Sink>> {
    let settings = &prepared.settings;
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if settings.output.log {
        sinks.push(Box::new(LogSink {
            top_sensors: settings.alarm.top_sensors,
        }));
    }
    if settings.output.stdout {
        sinks.push(Box::new(StdoutSink::default()));
    }
    sinks
}

/// Tells systemd, where it listens.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
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
