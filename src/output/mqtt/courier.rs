//! What the output does with what it is told: alarms to the queue at once, scores and readings to the
//! broker or, while it is away, thinned out to the queue. Imports its siblings, `alarm`, `queue`, `store`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::MqttOutputConfig;
use super::score::{ScoreSlot, ScoreSpan};
use super::words;
use crate::alarm::AlarmEvent;
use crate::output::post::{PostConfig, PostView, StateWords, Word};
use crate::output::queue::{Class, Fill};
use crate::output::store::{Store, now};

/// While the broker is away, one score is kept of this much time,
const AWAY_SCORE: Duration = Duration::from_secs(60);
/// they are written together, so that a card is not worn,
const AWAY_SCORES: usize = 10;
/// and readings are kept this seldom.
const AWAY_READINGS: Duration = Duration::from_secs(900);
/// How often the figures of the queue are published when nothing else changes.
const FILL_EVERY: Duration = Duration::from_secs(60);

pub struct Courier {
    pub(super) config: MqttOutputConfig,
    pub(super) store: Store,
    pub(super) inbox: UnboundedReceiver<Word>,
    scores: ScoreSlot,
    view: Arc<Mutex<PostView>>,
    state: StateWords,
    /// What the status says has changed since it was published.
    pub(super) status_is_old: bool,
    published_fill: Fill,
    fill_at: Instant,
    pub(super) readings: Option<Value>,
    stored_readings: Option<Instant>,
    score_at: Instant,
    away_score: Option<(ScoreSpan, Instant)>,
    away_scores: Vec<Vec<u8>>,
    /// Since when, and for how long at most.
    pub(super) finishing: Option<Duration>,
    pub(super) is_another: bool,
}

impl Courier {
    pub fn new(
        config: MqttOutputConfig,
        store: Store,
        inbox: UnboundedReceiver<Word>,
        scores: ScoreSlot,
        view: Arc<Mutex<PostView>>,
    ) -> Self {
        let now = Instant::now();
        Courier {
            score_at: now + config.score_every,
            config,
            store,
            inbox,
            scores,
            view,
            state: StateWords {
                state: "starting".to_owned(),
                ..StateWords::default()
            },
            status_is_old: true,
            published_fill: Fill::default(),
            fill_at: now,
            readings: None,
            stored_readings: None,
            away_score: None,
            away_scores: Vec::new(),
            finishing: None,
            is_another: false,
        }
    }

    /// Takes `word` and everything behind it that has come already, so that alarms of one moment are
    /// one write to the disk.
    pub(super) fn take(&mut self, word: Word) {
        let mut alarms = Vec::new();
        let mut next = Some(word);
        while let Some(word) = next.take().or_else(|| self.inbox.try_recv().ok()) {
            match word {
                Word::Alarm(event) => self.add(&event, &mut alarms),
                Word::Known(known, open) => {
                    for event in self.store.missing(&known, &open) {
                        self.add(&event, &mut alarms);
                    }
                }
                Word::State(words) => {
                    self.status_is_old |= words != self.state;
                    self.state = words;
                }
                Word::Health(events) => {
                    let messages = events.iter().enumerate().map(|(number, event)| {
                        let payload = self.config.health_event(event, number);
                        stored(words::HEALTH_EVENT, &payload)
                    });
                    let messages = messages.collect();
                    self.store.push(Class::Health, messages, true);
                }
                Word::Readings(readings) => self.readings = Some(*readings),
                // Of a collector.
                Word::Metrics(_) => {}
                Word::Become(config) => {
                    let PostConfig::Mqtt(config) = *config else {
                        continue;
                    };
                    self.flush(&mut alarms);
                    self.score_at = Instant::now() + config.score_every;
                    self.store.address = config.address();
                    self.config = config;
                    self.is_another = true;
                    self.status_is_old = true;
                }
                Word::Finish(patience) => self.finishing = Some(patience),
            }
        }
        self.flush(&mut alarms);
        self.show(None);
    }

    fn add(&mut self, event: &AlarmEvent, alarms: &mut Vec<Vec<u8>>) {
        if self.store.told.take(event) {
            alarms.push(stored(words::ALARM, &self.config.alarm(event)));
            self.status_is_old = true;
        }
    }

    fn flush(&mut self, alarms: &mut Vec<Vec<u8>>) {
        self.store.push_alarms(std::mem::take(alarms));
    }

    pub(super) fn broker(&self) -> String {
        self.config.address()
    }

    /// The next moment at which [`Courier::pass_time`] has something to do.
    pub(super) fn next_time(&self) -> Instant {
        match self.config.score_every.is_zero() {
            true => self.fill_at,
            false => self.fill_at.min(self.score_at),
        }
    }

    /// Gives the score that is to be published now. While the broker is away it goes to the queue.
    pub(super) fn pass_time(&mut self, is_there: bool) -> Option<Vec<u8>> {
        let now = Instant::now();
        if now >= self.fill_at {
            self.fill_at = now + FILL_EVERY;
            self.status_is_old |= self.store.queue.fill() != self.published_fill;
        }
        if self.config.score_every.is_zero() || now < self.score_at {
            return None;
        }
        self.score_at = now + self.config.score_every;
        let span = self.scores.take();
        let is_live = is_there && self.away_score.is_none() && self.away_scores.is_empty();
        if is_live && !self.store.queue.waits(Class::Score) {
            return span.map(|span| self.config.score(&span));
        }
        self.store_score(span, now);
        if is_there {
            self.store_scores();
        }
        None
    }

    fn store_score(&mut self, span: Option<ScoreSpan>, now: Instant) {
        if let Some(span) = span {
            self.away_score = Some(match self.away_score.take() {
                Some((before, since)) => (before.and(span), since),
                None => (span, now),
            });
        }
        if let Some((span, since)) = self.away_score
            && now.duration_since(since) >= AWAY_SCORE
        {
            self.away_score = None;
            self.away_scores
                .push(stored(words::SCORE, &self.config.score(&span)));
        }
        if self.away_scores.len() >= AWAY_SCORES {
            self.store_scores();
        }
    }

    /// Writes what was gathered of scores.
    pub(super) fn store_scores(&mut self) {
        if let Some((span, _)) = self.away_score.take() {
            self.away_scores
                .push(stored(words::SCORE, &self.config.score(&span)));
        }
        if !self.away_scores.is_empty() {
            let scores = std::mem::take(&mut self.away_scores);
            self.store.push(Class::Score, scores, false);
        }
    }

    /// Readings for which nobody is there.
    pub(super) fn store_readings(&mut self) {
        let Some(readings) = self.readings.take() else {
            return;
        };
        let is_due = self
            .stored_readings
            .is_none_or(|at| at.elapsed() >= AWAY_READINGS);
        if is_due {
            self.stored_readings = Some(Instant::now());
            let payload = self.config.health(&readings, now());
            let message = stored(words::HEALTH, &payload);
            self.store.push(Class::Health, vec![message], false);
        }
    }

    /// Readings to publish now.
    pub(super) fn live_readings(&mut self) -> Option<Vec<u8>> {
        let readings = self.readings.take()?;
        Some(self.config.health(&readings, now()))
    }

    pub(super) fn status(&mut self) -> Vec<u8> {
        let fill = self.store.queue.fill();
        self.published_fill = fill;
        self.status_is_old = false;
        let [alarms, health, scores] = fill.dropped;
        let open = self.store.told.open().iter();
        let open: Vec<&str> = open.map(|told| told.id.as_str()).collect();
        self.config.status(
            &self.state,
            &open,
            &json!({
                "waiting": fill.waiting,
                "bytes": fill.bytes,
                "dropped_alarms": alarms,
                "dropped_health": health,
                "dropped_scores": scores,
            }),
        )
    }

    /// For `anomalyd status`; `state` where it is another one.
    pub(super) fn show(&self, state: Option<&str>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state {
            state.clone_into(&mut view.state);
        }
        view.fill = self.store.queue.fill();
    }
}

/// As it is kept in the queue: the topic's end, a line feed, the payload.
fn stored(last: &str, payload: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(last.len() + 1 + payload.len());
    content.extend(last.as_bytes());
    content.push(b'\n');
    content.extend(payload);
    content
}

/// The two parts of what was stored.
pub(super) fn parts(content: &[u8]) -> Option<(&str, &[u8])> {
    let at = content.iter().position(|byte| *byte == b'\n')?;
    let last = std::str::from_utf8(&content[..at]).ok()?;
    Some((last, &content[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_a_topic_and_a_payload() {
        let content = stored(words::HEALTH_EVENT, b"{\"a\":\"\\n\"}\n");
        assert_eq!(
            parts(&content),
            Some(("health/event", &b"{\"a\":\"\\n\"}\n"[..]))
        );
        assert_eq!(parts(b"x"), None);
    }
}
