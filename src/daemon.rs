//! The running service: wiring only, stages in flow order.
//!
//! ```text
//! sources (tokio tasks) ─► SampleQueue ─► infer thread: Stream ─► out threads: a sink each
//!        a socket's clients ───┘
//! ```
//!
//! A session is what runs. A reload prepares the next one completely, on a thread of its own, while
//! the old one goes on, so that a bad configuration changes nothing; what was learnt and which
//! alarms are open goes over to the new one. May import everything but `cli`.

mod batch;
mod broker;
mod care;
mod desk;
mod feedback;
mod infer;
mod keeper;
mod learned;
#[cfg(test)]
mod made_up;
mod pace;
mod post;
mod prepare;
mod reload;
mod reporter;
mod session;
mod signals;
mod site;
mod sources;
mod status;
mod tally;
mod tap;
mod task;
mod view;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

pub use sources::SourceConfig;

use crate::control::{Answer, Request, Status};
use crate::health::Probe;
use crate::message::Message;
use crate::state::Span;
use crate::systemd::{self, LongStop, Watchdog};
use crate::web::Feed;
use care::Care;
use desk::Desk;
use infer::Order;
use learned::Learned;
use prepare::Prepared;
use reload::Reload;
use session::Session;
use signals::{Asked, Signals};
use site::Site;
use view::View;

/// How long a reader of alarms may keep us from ending after a signal.
const LAST_PATIENCE: Duration = Duration::from_millis(500);
/// How often the line of `systemctl status` is renewed.
const STATUS_EVERY: Duration = Duration::from_secs(30);
/// As good as for ever.
const NO_HURRY: Duration = Duration::from_secs(365 * 86_400);

/// Runs the service until a signal or the end of all sources.
///
/// # Errors
/// The configuration or the model is unusable, or a source failed for good.
pub fn run(config: &Path, root: &Path) -> anyhow::Result<()> {
    // Before there is a torch worker: what is alone in its control group can be measured by that.
    let probe = Probe::new(root, root);
    let first = Prepared::load(config, root)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let ended = runtime.block_on(serve(first, probe, config, root));
    // A terminal's stdin would be waited for until a key is pressed.
    runtime.shutdown_background();
    ended
}

async fn serve(first: Prepared, probe: Probe, config: &Path, root: &Path) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let care = Care::new(
        probe,
        &first.settings.state_directory,
        &first.settings.health,
    );
    let desk = Desk::open(&first.settings.control_socket).await;
    let feed = Feed::default();
    let mut session = Session::start(first, care.throttled(), feed.clone())?;
    let mut service = Service {
        site: Site::new(feed, desk.sender(), care.machine().host.clone()),
        week: None,
        open: 0,
        watchdog: Watchdog::start(session.progress()),
        care,
        desk,
        reload: Reload::new(config, root),
        learned: Learned::default(),
        started: Instant::now(),
    };
    let ended = service.watch(&mut session, &mut signals).await;
    systemd::stopping();
    service.desk.close().await;
    service.site.close().await;
    match &ended {
        Ok(End::Signal(name)) => log::info!(
            target: "daemon",
            MESSAGE_ID = Message::Stopping.id();
            "stopping: {name}"
        ),
        Ok(End::Sources) => log::info!(
            target: "daemon",
            MESSAGE_ID = Message::Stopping.id();
            "stopping: all sources have ended"
        ),
        Err(_) => {}
    }
    let mut long = LongStop::new(session.progress());
    let (outputs, keeper) = looked_at(session.stop(), Some(LongStop::EVERY), || long.look()).await;
    keeper.finish().await;
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

/// What goes on beside the session.
struct Service {
    care: Care,
    desk: Desk,
    site: Site,
    /// Alarms of the last seven days, as last counted.
    week: Option<Span>,
    /// Alarms that stood at the last look.
    open: usize,
    watchdog: Option<Watchdog>,
    reload: Reload,
    learned: Learned,
    started: Instant,
}

impl Service {
    async fn watch(&mut self, session: &mut Session, signals: &mut Signals) -> anyhow::Result<End> {
        session.settle().await?;
        self.learned
            .follow(session.settings(), session.name(), self.care.memory_limit());
        self.site.follow(session.settings()).await;
        systemd::ready(session.title());
        log::info!(
            target: "daemon",
            MESSAGE_ID = Message::Ready.id();
            "{}", session.title()
        );
        let now = Instant::now();
        let every = self.watchdog.as_ref().map(Watchdog::every);
        let (mut report_at, mut care_at, mut status_at) = (now + tally::EVERY, now, now);
        let mut feed_at = every.map(|every| now + every);
        loop {
            if !session.is_running() && !self.reload.is_under_way() && !self.learned.is_fitting() {
                return Ok(End::Sources);
            }
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop(signal) => return Ok(End::Signal(signal)),
                    Asked::Reload => self.reload.ask(),
                },
                loaded = self.reload.done() => self.take_over(session, loaded).await?,
                (request, back) = self.desk.next() => match request {
                    Request::Reload => {
                        self.desk.wait_for_reload(back);
                        self.reload.ask();
                    }
                    request => {
                        let changes = request.changes();
                        let answer = self.answer(session, request).await;
                        // The client may have given up.
                        let _ = back.send(answer);
                        if changes {
                            let view = session.view().await;
                            self.show(session, view).await;
                        }
                    }
                },
                fitted = self.learned.fitted() => match fitted? {
                    Some(learner) => session.go_on_learning(learner).await,
                    None => self.reload.ask(),
                },
                watched = session.watch() => if let Some(learner) = watched? {
                    self.learned.begin(learner);
                },
                () = at(feed_at) => {
                    if let Some(watchdog) = &mut self.watchdog {
                        watchdog.look();
                        feed_at = Some(Instant::now() + watchdog.every());
                    }
                }
                () = tokio::time::sleep_until(care_at) => {
                    care_at = Instant::now() + care::EVERY;
                    if self.learned.look() {
                        self.reload.ask();
                    }
                    let view = session.view().await;
                    session.tell_posts(&mut self.care, view.as_ref());
                    if let Some(step) = self.care.look(view.as_ref()) {
                        session.degrade(step.level, self.care.degraded()).await;
                        status_at = Instant::now();
                    }
                    let open = view.as_ref().map_or(0, |view| view.open.len());
                    if Instant::now() >= status_at || open != self.open {
                        self.open = open;
                        status_at = Instant::now() + STATUS_EVERY;
                        self.week = session.week().await;
                        let status = self.status(session, view.clone());
                        systemd::status(&status::line(&status));
                    }
                    self.show(session, view).await;
                }
                () = tokio::time::sleep_until(report_at) => {
                    report_at += tally::EVERY;
                    session.report();
                }
            }
        }
    }

    /// Goes on with what was loaded, or with what there was when that is no good.
    async fn take_over(
        &mut self,
        session: &mut Session,
        loaded: anyhow::Result<Prepared>,
    ) -> anyhow::Result<()> {
        let answer = match loaded {
            Ok(next) => {
                self.desk.listen(&next.settings.control_socket).await;
                let settings = &next.settings;
                self.care
                    .follow(&settings.state_directory, &settings.health);
                // What waits is judged as it was before, which may take long. The watchdog was fed as
                // long ago as half of what is granted.
                let every = self.watchdog.as_ref().map(|watchdog| watchdog.every() / 2);
                let look = || self.watchdog.iter_mut().for_each(Watchdog::look);
                looked_at(session.replace(next), every, look).await?;
                // The new engine is what the configuration asks for.
                let level = self.care.level();
                session.degrade(level, self.care.degraded()).await;
                session.settle().await?;
                self.learned
                    .follow(session.settings(), session.name(), self.care.memory_limit());
                self.site.follow(session.settings()).await;
                Answer::done(format!("reloaded: {}", session.title()))
            }
            Err(error) => {
                log::error!(
                    target: "daemon",
                    MESSAGE_ID = Message::ReloadRefused.id();
                    "reload refused, the configuration in force stays: {error:#}"
                );
                Answer::refused(format!(
                    "reload refused, the configuration in force stays: {error:#}"
                ))
            }
        };
        if !self.reload.again() {
            systemd::ready(session.title());
            self.desk.reload_is_over(&answer);
        }
        Ok(())
    }

    /// Lets the page, the metrics and a collector see how things stand.
    async fn show(&self, session: &mut Session, view: Option<View>) {
        let wants_metrics = session.wants_metrics();
        if !self.site.is_open() && !wants_metrics {
            return;
        }
        let latencies = match view {
            Some(_) => session.order(Order::Latencies).await,
            // Inference was waited for already.
            None => None,
        };
        let status = self.status(session, view);
        // Counts that are not known now would look like a restart.
        if wants_metrics && let Some(latencies) = &latencies {
            session.tell_metrics(&status, latencies);
        }
        if self.site.is_open() {
            self.site.tell(status, latencies.unwrap_or_default());
        }
    }

    async fn answer(&mut self, session: &Session, request: Request) -> Answer {
        match request {
            Request::Status => {
                let view = session.view().await;
                self.week = session.week().await;
                Answer::status(self.status(session, view))
            }
            Request::Latencies => match session.order(Order::Latencies).await {
                Some(latencies) => Answer::latencies(latencies),
                None => Answer::refused("inference does not answer"),
            },
            Request::Ack { alarm, verdict } => feedback::ack(session, alarm, verdict).await,
            Request::Mute { what, seconds } => feedback::mute(session, what, seconds).await,
            Request::Unmute { what } => feedback::unmute(session, what).await,
            Request::History => match session.write_history().await {
                true => Answer::done("the history is written as far as it goes"),
                false => Answer::refused("no history is kept, or it cannot be written"),
            },
            Request::Reload => Answer::refused("a reload is asked for elsewhere"),
        }
    }

    fn status(&self, session: &Session, view: Option<View>) -> Status {
        status::status(session, &self.care, view, self.week, self.started.elapsed())
    }
}

/// Waits for a moment that may never come.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for what may take long, and looks so often how it goes.
async fn looked_at<T>(
    work: impl Future<Output = T>,
    every: Option<Duration>,
    mut look: impl FnMut(),
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = at(every.map(|every| Instant::now() + every)) => look(),
        }
    }
}
