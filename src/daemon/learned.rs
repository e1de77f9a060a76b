//! From a recording to a model while the service runs: the fit on a thread of its own, and the training
//! with libtorch in the background after it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::prepare::{choice, torch};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::learn::store::CURRENT;
use crate::learn::{
    Background, BackgroundConfig, BackgroundEvent, Fitted, LearnError, Learner, MODELS,
};
use crate::message::Message;

/// How often the background is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(5);

type Fit = JoinHandle<(Learner, Result<Fitted, LearnError>)>;

/// What is being made of the recording.
#[derive(Default)]
pub struct Learned {
    fit: Option<Fit>,
    background: Option<Background>,
    looked: Option<Instant>,
}

impl Learned {
    /// Begins to fit a model; up to a minute.
    pub fn begin(&mut self, mut learner: Learner) {
        log::info!(
            target: "learn",
            MESSAGE_ID = Message::Learning.id();
            "{}; fitting a model", learner.progress()
        );
        self.fit = Some(tokio::task::spawn_blocking(move || {
            let fitted = learner.fit(&mut |_| ());
            (learner, fitted)
        }));
    }

    pub fn is_fitting(&self) -> bool {
        self.fit.is_some()
    }

    /// The end of the fit: a model that is in force with the next reload, or a learner that has to
    /// go on.
    pub async fn fitted(&mut self) -> anyhow::Result<Option<Learner>> {
        let Some(fit) = &mut self.fit else {
            return std::future::pending().await;
        };
        let ended = fit.await;
        self.fit = None;
        let (learner, fitted) = ended?;
        match fitted {
            Ok(fitted) => {
                log::info!(
                    target: "learn",
                    MESSAGE_ID = Message::Learned.id(),
                    ANOMALYD_MODEL = fitted.model.as_str();
                    "{fitted}"
                );
                for note in fitted.notes() {
                    log::warn!(target: "learn", "{note}");
                }
                Ok(None)
            }
            Err(error) => {
                log::error!(
                    target: "learn",
                    MESSAGE_ID = Message::LearningFailed.id();
                    "what was recorded gave no model, recording goes on: {error}"
                );
                Ok(Some(learner))
            }
        }
    }

    /// Another session runs: trains with libtorch where its model is one that we learned.
    /// `memory_limit` is the service's, in bytes.
    pub fn follow(&mut self, settings: &Settings, name: &str, memory_limit: Option<u64>) {
        let state = &settings.state_directory;
        if settings.model != state.join(MODELS).join(CURRENT) || !settings.model.exists() {
            self.background = None;
            return;
        }
        if self.background.as_ref().is_some_and(Background::is_running) {
            return;
        }
        let Ok(program) = std::env::current_exe() else {
            return;
        };
        let budget = settings.max_false_alarms_per_week;
        self.background = Background::start(BackgroundConfig {
            state: state.clone(),
            program,
            name: name.to_owned(),
            max_false_alarms_per_week: budget.unwrap_or(1.0),
            engine: choice(settings),
            torch: torch(settings),
            memory_limit,
            options: Vec::new(),
        });
    }

    /// Looks after the background; true when there is a better model to load.
    pub fn look(&mut self) -> bool {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now < looked + LOOK_EVERY) {
            return false;
        }
        self.looked = Some(now);
        let background = self.background.as_mut();
        match background.and_then(|background| background.poll(SystemClock.now())) {
            Some(BackgroundEvent::Installed { model, text }) => {
                log::info!(
                    target: "learn",
                    MESSAGE_ID = Message::Learned.id(),
                    ANOMALYD_MODEL = model.as_str();
                    "{text}"
                );
                true
            }
            Some(BackgroundEvent::Failed { text }) => {
                log::warn!(
                    target: "learn",
                    MESSAGE_ID = Message::LearningFailed.id();
                    "{text}"
                );
                false
            }
            None => false,
        }
    }
}
