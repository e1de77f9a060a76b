//! Requests to the collector, one after the other: what waits in the queue first, then the newest metrics;
//! while the collector is away, nothing, for a growing time. Imports its siblings, `backoff`, `message`, `metrics`,
//! and of the outputs `post`, `store`, `queue` and `allowance`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::OtlpConfig;
use super::logs;
use super::metrics::{self, Starts};
use super::request::{self, Answer, Line};

use crate::alarm::{AlarmEvent, AlarmKind, Transition};
use crate::backoff::Backoff;
use crate::message::Message;
use crate::metrics::alarms_raised;
use crate::output::allowance::Allowance;
use crate::output::post::{MetricWords, PostConfig, PostView, Word};
use crate::output::queue::{Class, Outgoing};
use crate::output::store::{Store, now};

const LOG_TARGET: &str = "out-otlp";
/// Records of one request, and their bytes.
const MOST_RECORDS: usize = 64;
const MOST_BYTES: usize = 256 * 1024;
/// So often a collector may fail (500) at one record alone before that is left out.
const BREAKS: u32 = 5;
/// The share of the patience at the end that is for what waits.
const FOR_THE_REST: f64 = 0.8;
/// At the end nobody waits longer than this for what can be delivered next time.
const LAST: Duration = Duration::from_secs(10);
/// As good as for ever.
const LATER: Duration = Duration::from_secs(86_400);

pub struct Exporter {
    config: Arc<OtlpConfig>,
    store: Store,
    inbox: UnboundedReceiver<Word>,
    view: Arc<Mutex<PostView>>,
    /// The newest that was not sent.
    metrics: Option<Box<MetricWords>>,
    starts: Starts,
    /// Anomalies and silences.
    raised: [u64; 2],
    allowance: Allowance,
    line: Option<Line>,
    backoff: Backoff,
    /// While the collector is away: when it is tried again.
    retry_at: Option<Instant>,
    /// The collector has answered since it was away last.
    is_there: bool,
    /// The reason that was logged last.
    said: String,
    /// So many records are sent one by one: among them is one that the collector refuses.
    alone: usize,
    /// The record alone at which the collector failed, and how often.
    breaks: Option<(Class, u64, u32)>,
    /// When to stop delivering what waits.
    until: Option<Instant>,
    ends: bool,
}

/// The connection, where it can be used again, and what the collector said.
type Landing = (Option<Line>, Result<Answer, String>);

/// What is on its way.
struct Flight {
    what: What,
    /// With which it was sent.
    config: Arc<OtlpConfig>,
    answer: Pin<Box<dyn Future<Output = Landing> + Send>>,
}

enum What {
    Metrics,
    /// Class and number of the records.
    Records(Vec<(Class, u64)>),
}

impl Exporter {
    pub fn new(
        config: OtlpConfig,
        store: Store,
        inbox: UnboundedReceiver<Word>,
        view: Arc<Mutex<PostView>>,
    ) -> Self {
        Exporter {
            allowance: Allowance::new(config.catch_up_per_second),
            config: Arc::new(config),
            store,
            inbox,
            view,
            metrics: None,
            starts: Starts::default(),
            raised: [0; 2],
            line: None,
            backoff: Backoff::new(),
            retry_at: None,
            is_there: false,
            said: String::new(),
            alone: 0,
            breaks: None,
            until: None,
            ends: false,
        }
    }

    /// Runs until it is told to finish.
    pub fn run(mut self, runtime: &tokio::runtime::Runtime) {
        runtime.block_on(self.serve());
    }

    async fn serve(&mut self) {
        let mut flight: Option<Flight> = None;
        while !self.is_done(flight.is_some()) {
            if flight.is_none() {
                flight = self.next_flight();
            }
            let wake = self.next_time(flight.is_some());
            let answer = async {
                match &mut flight {
                    Some(flight) => flight.answer.as_mut().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                word = self.inbox.recv() => match word {
                    Some(word) => self.take(word),
                    None => self.ends = true,
                },
                (line, answer) = answer => {
                    if let Some(flight) = flight.take() {
                        self.landed(flight, line, answer);
                    }
                }
                () = sleep_until(wake) => {}
            }
        }
        self.show(Some("ended"));
    }

    fn is_done(&self, flies: bool) -> bool {
        let Some(until) = self.until else {
            return self.ends;
        };
        let is_away = self.retry_at.is_some();
        is_away || Instant::now() >= until || (!flies && !self.store.queue.has_next())
    }

    /// The next moment at which there is something to do that nobody tells of.
    fn next_time(&mut self, flies: bool) -> Instant {
        let next = match (flies, self.retry_at) {
            (true, _) => Instant::now() + LATER,
            (false, Some(retry_at)) if retry_at > Instant::now() => retry_at,
            (false, _) => self.allowance.next(self.config.catch_up_per_second),
        };
        self.until.map_or(next, |until| next.min(until))
    }

    /// Takes `word` and everything behind it that has come already, so that alarms of one moment are
    /// one write to the disk.
    fn take(&mut self, word: Word) {
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
                Word::Health(events) => {
                    let records = events.iter().enumerate();
                    let records = records
                        .map(|(number, event)| logs::health_event(event, number, now()))
                        .collect();
                    self.store.push(Class::Health, records, true);
                }
                Word::Metrics(metrics) => self.metrics = Some(metrics),
                // The state is among the metrics, and so are the readings.
                Word::State(_) | Word::Readings(_) => {}
                Word::Become(config) => {
                    if let PostConfig::Otlp(config) = *config {
                        self.become_another(config);
                    }
                }
                Word::Finish(patience) => {
                    self.until = Some(Instant::now() + patience.min(LAST).mul_f64(FOR_THE_REST));
                }
            }
        }
        self.store.push_alarms(alarms);
        self.show(None);
    }

    fn add(&mut self, event: &AlarmEvent, alarms: &mut Vec<Vec<u8>>) {
        if self.store.told.take(event) {
            if event.transition == Transition::Raised {
                self.raised[usize::from(event.kind == AlarmKind::Silent)] += 1;
            }
            alarms.push(logs::alarm(event, now()));
        }
    }

    fn become_another(&mut self, config: OtlpConfig) {
        self.allowance = Allowance::new(config.catch_up_per_second);
        self.store.address = config.address();
        self.config = Arc::new(config);
        self.line = None;
        self.backoff = Backoff::new();
        self.retry_at = None;
        self.is_there = false;
        self.said.clear();
        (self.alone, self.breaks) = (0, None);
        self.show(Some("starting"));
    }

    /// What is to be sent now.
    fn next_flight(&mut self) -> Option<Flight> {
        if self
            .retry_at
            .is_some_and(|retry_at| Instant::now() < retry_at)
        {
            return None;
        }
        let (records, contents) = self.next_records();
        if !records.is_empty() {
            let body = logs::request(&self.config.origin, &contents);
            return Some(self.fly(What::Records(records), "logs", body));
        }
        let mut metrics = self.metrics.take()?;
        let [anomaly, silent] = self.raised;
        metrics.metrics.push(alarms_raised(anomaly, silent));
        let body = metrics::request(&self.config.origin, &metrics, &mut self.starts);
        Some(self.fly(What::Metrics, "metrics", body))
    }

    fn next_records(&mut self) -> (Vec<(Class, u64)>, Vec<Vec<u8>>) {
        let (mut records, mut contents, mut bytes) = (Vec::new(), Vec::new(), 0);
        let most = match self.alone {
            0 => MOST_RECORDS,
            _ => 1,
        };
        while records.len() < most
            && bytes < MOST_BYTES
            && self.store.queue.has_next()
            && self.allowance.take(self.config.catch_up_per_second)
        {
            match self.store.queue.next_message() {
                Ok(Some(Outgoing {
                    class,
                    number,
                    content,
                })) => {
                    bytes += content.len();
                    records.push((class, number));
                    contents.push(content);
                }
                Ok(None) => break,
                Err(error) => {
                    log::error!(target: LOG_TARGET, "a message of the queue cannot be read: {error}");
                }
            }
        }
        (records, contents)
    }

    fn fly(&mut self, what: What, signal: &'static str, body: Vec<u8>) -> Flight {
        let config = Arc::clone(&self.config);
        let line = self.line.take();
        let answer = Box::pin(request::post(Arc::clone(&config), line, signal, body));
        Flight {
            what,
            config,
            answer,
        }
    }

    fn landed(&mut self, flight: Flight, line: Option<Line>, answer: Result<Answer, String>) {
        let is_same = Arc::ptr_eq(&flight.config, &self.config);
        match answer {
            answer if is_same => {
                self.line = line;
                self.answered(flight.what, answer);
            }
            Ok(Answer::Taken(_)) => {
                if let What::Records(records) = flight.what {
                    self.delivered(&records);
                }
            }
            // The collector that is left says nothing of the one that is asked from now on.
            _ => self.store.queue.rewind(),
        }
    }

    fn answered(&mut self, what: What, answer: Result<Answer, String>) {
        match answer {
            Ok(Answer::Taken(note)) => {
                self.is_back();
                if let Some(note) = note {
                    log::warn!(
                        target: LOG_TARGET,
                        MESSAGE_ID = Message::OutputFailed.id();
                        "{note}; it is not sent again"
                    );
                }
                if let What::Records(records) = what {
                    self.delivered(&records);
                }
            }
            Ok(Answer::Refused(reason)) => {
                self.is_back();
                self.refused(what, &reason);
            }
            Ok(Answer::Broken(reason)) => self.broke(what, reason),
            Ok(Answer::Later { reason, after }) => self.is_away(&reason, after),
            Err(reason) => self.is_away(&reason, None),
        }
        self.show(None);
    }

    fn delivered(&mut self, records: &[(Class, u64)]) {
        self.alone = self.alone.saturating_sub(records.len());
        self.breaks = None;
        for class in Class::ALL {
            let last = records.iter().rev().find(|(of, _)| *of == class);
            if let Some((class, number)) = last
                && let Err(error) = self.store.queue.deliver(*class, *number)
            {
                log::debug!(target: LOG_TARGET, "the queue cannot be written: {error}");
            }
        }
    }

    /// The collector takes no such request: the records are sent one by one, and one that it refuses alone
    /// is left out, or nothing behind it would ever arrive.
    fn refused(&mut self, what: What, reason: &str) {
        let what = match what {
            What::Records(records) if records.len() > 1 => {
                self.alone = records.len();
                self.store.queue.rewind();
                return;
            }
            What::Records(records) => {
                self.delivered(&records);
                "a record"
            }
            What::Metrics => "metrics",
        };
        log::error!(
            target: LOG_TARGET,
            MESSAGE_ID = Message::OutputFailed.id();
            "{what} left out: {reason}"
        );
    }

    /// The collector fails. Where it does so again and again at one record alone, that is left out.
    fn broke(&mut self, what: What, reason: String) {
        if let What::Records(records) = &what {
            let Some(&(class, number)) = records.first() else {
                return;
            };
            let before = match self.breaks {
                Some((of, at, breaks)) if (of, at) == (class, number) => breaks,
                _ => 0,
            };
            // At the next try they are sent one by one.
            self.alone = self.alone.max(records.len());
            let breaks = before + u32::from(records.len() == 1);
            self.breaks = Some((class, number, breaks));
            if breaks >= BREAKS {
                self.refused(what, &reason);
                return;
            }
        }
        self.is_away(&reason, None);
    }

    fn is_back(&mut self) {
        self.backoff.reset();
        self.retry_at = None;
        if !self.is_there {
            self.is_there = true;
            let waiting = self.store.queue.fill().waiting;
            log::info!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::OutputRestored.id();
                "connected to {}, {waiting} log records wait for it",
                self.config.address()
            );
            self.said.clear();
            self.show(Some("connected"));
        }
    }

    fn is_away(&mut self, reason: &str, after: Option<Duration>) {
        self.store.queue.rewind();
        self.line = None;
        self.is_there = false;
        let wait = self.backoff.wait().max(after.unwrap_or_default());
        self.retry_at = Some(Instant::now() + wait);
        let seconds = wait.as_secs_f64();
        if reason == self.said {
            log::debug!(target: LOG_TARGET, "{reason}; trying again in {seconds:.1} s");
        } else {
            log::warn!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::OutputFailed.id();
                "{reason}; alarms wait in the queue, metrics are lost; trying again in {seconds:.1} s, \
                 and then every minute until it works"
            );
            reason.clone_into(&mut self.said);
        }
        self.show(Some(&format!("waiting: {reason}")));
    }

    /// For `anomalyd status`; `state` where it is another one.
    fn show(&self, state: Option<&str>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state {
            state.clone_into(&mut view.state);
        }
        view.fill = self.store.queue.fill();
    }
}
