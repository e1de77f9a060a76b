//! The broker output of a session: started, given another configuration, told how things are.

use std::io;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use super::Session;
use crate::control::OutputStatus;
use crate::daemon::care::Care;
use crate::daemon::post::{known, words};
use crate::daemon::view::View;
use crate::output::Outputs;
use crate::output::mqtt::{MqttOutputConfig, Unposted};

/// Starts the output, which is told what a restart kept from being told: `open` are the ids of the
/// alarms that stand.
pub(super) fn start(
    mut unposted: Unposted,
    state: &Path,
    open: Vec<String>,
    outputs: &mut Outputs,
) -> io::Result<()> {
    let known = known(state);
    unposted.begin(&known);
    let post = unposted.start(state)?;
    post.sender().known(known, open);
    outputs.add_post(post)
}

impl Session {
    /// Lets the output be as `config` says, with its queue in `state`. True where it is a new one.
    pub(super) fn follow_post(
        &mut self,
        config: Option<MqttOutputConfig>,
        state: &Path,
    ) -> anyhow::Result<bool> {
        let Some(config) = config else {
            self.outputs.set_post(None);
            return Ok(false);
        };
        if let Some(post) = self.outputs.post_mut()
            && post.folder() == state
        {
            post.reconfigure(config);
            return Ok(false);
        }
        let mut unposted = Unposted::open(config, state);
        unposted.begin(&known(state));
        let post = unposted
            .start(state)
            .context("cannot start the thread of the broker output")?;
        self.outputs.set_post(Some(post));
        Ok(true)
    }

    /// Tells a new output of the alarms that were raised before it was there.
    pub(super) async fn tell_post_what_stands(&self) {
        if let Some(view) = self.view().await
            && let Some(post) = self.outputs.post()
        {
            let open = view.open.into_iter().map(|open| open.id).collect();
            post.sender().known(known(post.folder()), open);
        }
    }

    /// Tells the output how the service is.
    pub fn tell_post(&mut self, care: &mut Care, view: Option<&View>) {
        let events = care.take_events();
        let Some(post) = self.outputs.post() else {
            return;
        };
        let post = post.sender();
        post.health(events);
        post.state(words(view, care));
        let every = match &self.settings.output.mqtt {
            Some(mqtt) if !mqtt.health_every.is_zero() => mqtt.health_every,
            _ => return,
        };
        let is_due = self
            .readings_told
            .is_none_or(|told| told.elapsed() >= every);
        if is_due && let Some(readings) = care.json() {
            self.readings_told = Some(Instant::now());
            post.readings(readings);
        }
    }

    /// For `anomalyd status`.
    pub fn output_views(&self) -> Vec<OutputStatus> {
        let post = self.outputs.post();
        let view = post.map(|post| post.sender().view());
        let status = view.map(|view| {
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
        });
        status.into_iter().collect()
    }
}
