//! The outputs of a session that store and forward: started, given another configuration, told how
//! things are.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Session;
use crate::alarm::AlarmRecord;
use crate::control::{Latencies, OutputStatus, Status};
use crate::daemon::care::{self, Care};
use crate::daemon::post::{known, words};
use crate::daemon::view::View;
use crate::metrics;
use crate::output::{MetricWords, Outputs, Post, PostConfig, Unposted};

/// Opens their queues in `state`.
pub(super) fn open(configs: Vec<PostConfig>, state: &Path) -> Vec<Unposted> {
    let open = |config| Unposted::open(config, state);
    configs.into_iter().map(open).collect()
}

/// Starts the outputs, which are told what a restart kept from being told: `open` are the ids of the
/// alarms that stand.
pub(super) fn start(
    unposted: Vec<Unposted>,
    state: &Path,
    open: &[String],
    outputs: &mut Outputs,
) -> io::Result<()> {
    if unposted.is_empty() {
        return Ok(());
    }
    let logged = known(state);
    let mut known = logged.clone();
    // What one output told of and the log does not have stands under the same id for the others.
    for told in unposted.iter().flat_map(|one| one.told().open()) {
        let is_known = |alarm: &AlarmRecord| alarm.id == told.id;
        if open.contains(&told.id) && !known.iter().any(is_known) {
            known.push(told.known());
        }
    }
    for mut unposted in unposted {
        unposted.begin(&logged);
        let post = unposted.start(state)?;
        post.sender().known(known.clone(), open.to_vec());
        outputs.add_post(post)?;
    }
    Ok(())
}

impl Session {
    /// Lets the outputs be as `configs` say, with their queues in `state`. Gives the names of those that
    /// are new.
    pub(super) fn follow_posts(
        &mut self,
        configs: Vec<PostConfig>,
        state: &Path,
    ) -> anyhow::Result<Vec<&'static str>> {
        let wanted: Vec<_> = configs.iter().map(PostConfig::name).collect();
        let mut new = Vec::new();
        for config in configs {
            let same =
                |post: &&mut Post| post.config().name() == config.name() && post.folder() == state;
            if let Some(post) = self.outputs.posts_mut().iter_mut().find(same) {
                post.reconfigure(config);
                continue;
            }
            let mut unposted = Unposted::open(config, state);
            unposted.begin(&known(state));
            let post = unposted.start(state);
            new.push(post.context("cannot start the thread of an output")?);
        }
        let names = new.iter().map(|post| post.config().name()).collect();
        self.outputs.set_posts(&wanted, new);
        self.metrics_told = None;
        Ok(names)
    }

    /// Tells the outputs `names`, which are new, of the alarms that were raised before they were there.
    pub(super) async fn tell_what_stands(&self, names: &[&str]) {
        if names.is_empty() {
            return;
        }
        let Some(view) = self.view().await else {
            return;
        };
        let open: Vec<String> = view.open.into_iter().map(|open| open.id).collect();
        let is_new = |post: &&Post| names.contains(&post.config().name());
        for post in self.outputs.posts().iter().filter(is_new) {
            post.sender().known(known(post.folder()), open.clone());
        }
    }

    /// Tells the outputs how the service is.
    pub fn tell_posts(&mut self, care: &mut Care, view: Option<&View>) {
        let events = care.take_events();
        let posts = self.outputs.posts();
        if posts.is_empty() {
            return;
        }
        let state = words(view, care);
        for post in posts {
            post.sender().health(events.clone());
            post.sender().state(state.clone());
        }
        let every = posts.iter().find_map(|post| post.config().readings_every());
        if is_due(every, self.readings_told)
            && let Some(readings) = care.json()
        {
            self.readings_told = Some(Instant::now());
            for post in posts {
                post.sender().readings(readings.clone());
            }
        }
    }

    /// Whether an output wants metrics now.
    pub fn wants_metrics(&self) -> bool {
        let posts = self.outputs.posts().iter();
        let every = posts.filter_map(|post| post.config().metrics_every()).min();
        // This is asked every few seconds, not to the moment.
        let every = every.map(|every| every.saturating_sub(care::EVERY / 2));
        is_due(every, self.metrics_told)
    }

    /// Tells the outputs that want metrics.
    pub fn tell_metrics(&mut self, status: &Status, latencies: &Latencies) {
        self.metrics_told = Some(Instant::now());
        let words = MetricWords {
            time: crate::clock::Clock::now(&crate::clock::SystemClock),
            up: Duration::from_secs_f64(status.up_seconds.max(0.0)),
            metrics: metrics::of_service(status, latencies),
        };
        let wants = |post: &&Post| post.config().metrics_every().is_some();
        for post in self.outputs.posts().iter().filter(wants) {
            post.sender().metrics(words.clone());
        }
    }

    /// For `anomalyd status`.
    pub fn output_views(&self) -> Vec<OutputStatus> {
        let status = |post: &Post| {
            let view = post.sender().view();
            let [dropped_alarms, dropped_health, dropped_scores] = view.fill.dropped;
            OutputStatus {
                name: view.name,
                state: view.state,
                waiting: view.fill.waiting,
                queue_bytes: view.fill.bytes,
                dropped_alarms,
                dropped_health,
                dropped_scores,
            }
        };
        self.outputs.posts().iter().map(status).collect()
    }
}

fn is_due(every: Option<Duration>, told: Option<Instant>) -> bool {
    every.is_some_and(|every| told.is_none_or(|told| told.elapsed() >= every))
}
