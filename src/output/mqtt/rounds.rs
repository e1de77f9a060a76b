//! Connections to the broker, one after the other: connect, say how it is, deliver what waits, and when
//! the connection is lost wait and begin again. Imports its siblings, `broker`, `queue`, `allowance`.

use std::time::Duration;

use rumqttc::{LastWill, QoS};
use tokio::time::{Instant, sleep_until};

use super::courier::{Courier, parts};
use super::link::{Heard, Link, MOST_ON_THE_WAY, Sent};
use super::{LOG_TARGET, words};
use crate::backoff::Backoff;
use crate::broker;
use crate::message::Message;
use crate::output::allowance::Allowance;
use crate::output::queue::Class;

/// A connection that held this long was a good one.
const HELD: Duration = Duration::from_secs(10);
/// So often a connection breaks at one message before that is sent in short.
const BREAKS: u32 = 3;
/// The share of the patience at the end that is for what waits; the rest is for the goodbye.
const FOR_THE_REST: f64 = 0.6;
/// At the end nobody waits longer than this for what can be delivered next time.
const LAST: Duration = Duration::from_secs(10);
/// How long the goodbye to the broker may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// As good as for ever.
const LATER: Duration = Duration::from_secs(86_400);

/// What is remembered from one connection to the next.
struct Rounds {
    allowance: Allowance,
    /// The message at which the last connections broke, and how often.
    breaks: Option<(Class, u64, u32)>,
    /// Payloads of this size and above are sent in short: the broker does not take them.
    too_long: usize,
    /// The reason that was logged last.
    said: String,
}

/// How far a connection is.
#[derive(Default)]
struct Progress {
    is_in: bool,
    /// The broker has confirmed our status: it is there, and takes what we publish.
    is_there: bool,
    status_is_out: bool,
    goodbye: bool,
    /// When to wait for its end no longer.
    goodbye_until: Option<Instant>,
    /// When to stop delivering what waits.
    until: Option<Instant>,
}

enum End {
    Lost(String),
    Another,
    Finished,
}

impl Courier {
    /// Runs until it is told to finish.
    pub fn run(mut self, runtime: &tokio::runtime::Runtime) {
        runtime.block_on(self.serve());
    }

    async fn serve(&mut self) {
        let mut rounds = Rounds {
            allowance: Allowance::new(self.config.catch_up_per_second),
            breaks: None,
            too_long: usize::MAX,
            said: String::new(),
        };
        let mut backoff = Backoff::new();
        loop {
            let begun = Instant::now();
            let mut progress = Progress::default();
            let end = self.hold(&mut rounds, &mut progress).await;
            self.store.queue.rewind();
            self.status_is_old = true;
            let reason = match end {
                End::Finished => break,
                End::Another => {
                    self.is_another = false;
                    rounds.said.clear();
                    rounds.too_long = usize::MAX;
                    rounds.allowance = Allowance::new(self.config.catch_up_per_second);
                    backoff = Backoff::new();
                    continue;
                }
                End::Lost(reason) => reason,
            };
            if progress.is_there && begun.elapsed() >= HELD {
                backoff.reset();
            }
            let wait = backoff.wait();
            self.tell_of_loss(&reason, &mut rounds.said, wait);
            if !self.wait(wait).await {
                break;
            }
        }
        self.store_scores();
        self.show(Some("ended"));
    }

    fn tell_of_loss(&self, reason: &str, said: &mut String, wait: Duration) {
        let seconds = wait.as_secs_f64();
        if reason == said {
            log::debug!(target: LOG_TARGET, "{reason}; trying again in {seconds:.1} s");
        } else {
            log::warn!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::OutputFailed.id();
                "{reason}; alarms wait in the queue; trying again in {seconds:.1} s, and then every \
                 minute until it works"
            );
            reason.clone_into(said);
        }
        self.show(Some(&format!("waiting: {reason}")));
    }

    /// Waits, and takes what comes meanwhile. False when it is time to end.
    async fn wait(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            if self.finishing.is_some() {
                return false;
            }
            if self.is_another {
                self.is_another = false;
                return true;
            }
            let next = self.next_time();
            tokio::select! {
                word = self.inbox.recv() => match word {
                    Some(word) => self.take(word),
                    None => return false,
                },
                () = sleep_until(until) => return true,
                () = sleep_until(next) => {
                    self.pass_time(false);
                }
            }
            self.store_readings();
        }
    }

    async fn hold(&mut self, rounds: &mut Rounds, progress: &mut Progress) -> End {
        let options = match broker::options(&self.config.broker) {
            Ok(options) => options,
            Err(error) => return End::Lost(error.to_string()),
        };
        let will = LastWill::new(
            self.config.topic(words::STATUS),
            self.config.offline(),
            QoS::AtLeastOnce,
            true,
        );
        let mut link = Link::open(options, will);
        loop {
            if let Some(patience) = self.finishing
                && progress.until.is_none()
                && !progress.goodbye
            {
                if !progress.is_there {
                    return End::Finished;
                }
                let rest = patience.min(LAST).mul_f64(FOR_THE_REST);
                progress.until = Some(Instant::now() + rest);
            }
            if self.is_another && !progress.goodbye && !progress.is_there {
                return End::Another;
            }
            if progress.is_in {
                self.send(&mut link, rounds, progress);
            }
            if progress
                .goodbye_until
                .is_some_and(|until| Instant::now() >= until)
            {
                return self.ended();
            }
            let wake = self.next_time().min(match progress.is_there {
                true => rounds.allowance.next(self.config.catch_up_per_second),
                false => Instant::now() + LATER,
            });
            let limits = [progress.until, progress.goodbye_until];
            let wake = limits.into_iter().flatten().fold(wake, Instant::min);
            tokio::select! {
                word = self.inbox.recv() => match word {
                    Some(word) => self.take(word),
                    None => self.finishing = Some(Duration::ZERO),
                },
                heard = link.hear() => {
                    if let Some(end) = self.heard(heard, &mut link, rounds, progress) {
                        return end;
                    }
                }
                () = sleep_until(wake) => {
                    if let Some(score) = self.pass_time(progress.is_there)
                        && !link.publish_once(&self.config.topic(words::SCORE), score)
                    {
                        log::debug!(target: LOG_TARGET, "a score was left out: the connection is slow");
                    }
                }
            }
        }
    }

    fn heard(
        &mut self,
        heard: Heard,
        link: &mut Link,
        rounds: &mut Rounds,
        progress: &mut Progress,
    ) -> Option<End> {
        match heard {
            Heard::Connected => {
                progress.is_in = true;
                if self.config.home_assistant {
                    link.subscribe(&self.config.birth_topic());
                    self.announce(link);
                }
            }
            Heard::Subscribed(true) => {}
            Heard::Subscribed(false) => log::warn!(
                target: LOG_TARGET,
                "{} does not let us read {}: after a restart of Home Assistant its entities wait for \
                 the retained announcement",
                self.broker(),
                self.config.birth_topic()
            ),
            Heard::Published(topic, payload) => {
                if topic == self.config.birth_topic() && payload == b"online" {
                    self.announce(link);
                    self.status_is_old = true;
                }
            }
            Heard::Arrived(Sent::Status) => {
                progress.status_is_out = false;
                if !progress.is_there {
                    progress.is_there = true;
                    self.tell_of_connection();
                    rounds.said.clear();
                }
                if progress.goodbye && !link.say_goodbye() {
                    return Some(self.ended());
                }
            }
            Heard::Arrived(Sent::Queued(class, number)) => {
                if let Some(through) = link.arrived(class, number) {
                    rounds.breaks = None;
                    if let Err(error) = self.store.queue.deliver(class, through) {
                        log::debug!(target: LOG_TARGET, "the queue cannot be written: {error}");
                    }
                    self.show(None);
                }
            }
            Heard::Arrived(Sent::Other) => {}
            Heard::Gone => return Some(self.ended()),
            Heard::Lost(_) if progress.goodbye => return Some(self.ended()),
            Heard::Lost(error) => {
                if progress.is_there {
                    rounds.note_break(link.oldest());
                }
                return Some(End::Lost(broker::reason(&error, &self.broker())));
            }
        }
        None
    }

    fn ended(&self) -> End {
        match self.finishing {
            Some(_) => End::Finished,
            None => End::Another,
        }
    }

    fn announce(&self, link: &mut Link) {
        let topic = self.config.discovery_topic();
        if !link.publish(&topic, self.config.discovery(), Sent::Other, true) {
            log::debug!(target: LOG_TARGET, "the announcement was left out: the connection is slow");
        }
    }

    fn tell_of_connection(&mut self) {
        let waiting = self.store.queue.fill().waiting;
        log::info!(
            target: LOG_TARGET,
            MESSAGE_ID = Message::OutputRestored.id();
            "connected to {}, {waiting} messages waited for it",
            self.broker()
        );
        self.show(Some("connected"));
        self.store_scores();
    }

    /// Gives to the connection what it may have now.
    fn send(&mut self, link: &mut Link, rounds: &mut Rounds, progress: &mut Progress) {
        if progress.goodbye {
            return;
        }
        let leaves = self.is_another || progress.until.is_some();
        if leaves && self.is_done(link, progress) {
            let topic = self.config.topic(words::STATUS);
            progress.goodbye = link.publish(&topic, self.config.offline(), Sent::Status, true);
            progress.until = None;
            progress.goodbye_until = Some(Instant::now() + GOODBYE);
            return;
        }
        if self.status_is_old && !progress.status_is_out {
            let (topic, status) = (self.config.topic(words::STATUS), self.status());
            progress.status_is_out = link.publish(&topic, status, Sent::Status, true);
            self.status_is_old = !progress.status_is_out;
        }
        // An alarm must not wait for readings.
        if progress.is_there {
            self.deliver(link, rounds);
            if !self.store.queue.waits(Class::Health)
                && let Some(readings) = self.live_readings()
            {
                link.publish(
                    &self.config.topic(words::HEALTH),
                    readings,
                    Sent::Other,
                    true,
                );
            } else {
                self.store_readings();
            }
        }
    }

    /// Whether it is time to say goodbye.
    fn is_done(&self, link: &Link, progress: &Progress) -> bool {
        let is_late = progress.until.is_none_or(|until| Instant::now() >= until);
        is_late || (!self.store.queue.has_next() && link.is_idle())
    }

    fn deliver(&mut self, link: &mut Link, rounds: &mut Rounds) {
        // After a break one at a time, so that it is known which one breaks it.
        let most = match rounds.breaks {
            Some(_) => 1,
            None => MOST_ON_THE_WAY,
        };
        while link.has_room(most)
            && self.store.queue.has_next()
            && rounds.allowance.take(self.config.catch_up_per_second)
        {
            let next = match self.store.queue.next_message() {
                Ok(Some(next)) => next,
                Ok(None) => return,
                Err(error) => {
                    log::error!(target: LOG_TARGET, "a message of the queue cannot be read: {error}");
                    continue;
                }
            };
            let sent = Sent::Queued(next.class, next.number);
            let Some((last, payload)) = parts(&next.content) else {
                // Only a hand that wrote into the files makes such a one.
                log::error!(target: LOG_TARGET, "a message of the queue has no topic; it is left out");
                link.leave_out(next.class, next.number);
                continue;
            };
            let is_too_long = rounds.breaks_at(next.class, next.number) == BREAKS;
            if is_too_long {
                rounds.too_long = rounds.too_long.min(payload.len());
            }
            let payload = match payload.len() >= rounds.too_long {
                true => short(payload),
                false => payload.to_vec(),
            };
            if is_too_long {
                log::error!(
                    target: LOG_TARGET,
                    MESSAGE_ID = Message::OutputFailed.id();
                    "{} closes the connection at a message of {} bytes on {}; from now on such \
                     are sent in short, with {} bytes. See that the broker takes messages of this size and lets this user \
                     write there",
                    self.broker(),
                    next.content.len(),
                    self.config.topic(last),
                    payload.len()
                );
            }
            if !link.publish(&self.config.topic(last), payload, sent, false) {
                self.store.queue.take_back(next.class, next.number);
                return;
            }
        }
    }
}

impl Rounds {
    fn note_break(&mut self, at: Option<(Class, u64)>) {
        self.breaks = at.map(|(class, number)| (class, number, self.breaks_at(class, number) + 1));
    }

    fn breaks_at(&self, class: Class, number: u64) -> u32 {
        match self.breaks {
            Some((of, at, breaks)) if (of, at) == (class, number) => breaks,
            _ => 0,
        }
    }
}

/// The message without its long parts.
fn short(payload: &[u8]) -> Vec<u8> {
    const KEPT: [&str; 11] = [
        "message",
        "device",
        "time",
        "id",
        "kind",
        "transition",
        "raised_at",
        "score",
        "peak_score",
        "threshold",
        "event",
    ];
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_slice(payload) else {
        return Vec::new();
    };
    fields.retain(|key, _| KEPT.contains(&key.as_str()));
    fields.insert("shortened".to_owned(), true.into());
    // A value is always JSON.
    serde_json::to_vec(&fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_message_keeps_what_it_is_known_by() {
        let long = format!(
            r#"{{"message":"m","id":"a7k2","transition":"raised","text":"{}"}}"#,
            "x".repeat(5_000)
        );
        let short = String::from_utf8(short(long.as_bytes())).unwrap();
        assert_eq!(
            short,
            r#"{"id":"a7k2","message":"m","shortened":true,"transition":"raised"}"#
        );
    }

    #[test]
    fn breaks_are_counted_at_one_message() {
        let mut rounds = Rounds {
            allowance: Allowance::new(1),
            breaks: None,
            too_long: usize::MAX,
            said: String::new(),
        };
        let at = |number| Some((Class::Alarm, number));
        rounds.note_break(at(1));
        rounds.note_break(at(1));
        assert_eq!(rounds.breaks_at(Class::Alarm, 1), 2);
        rounds.note_break(at(2));
        assert_eq!(rounds.breaks_at(Class::Alarm, 1), 0);
        assert_eq!(rounds.breaks_at(Class::Alarm, 2), 1);
        rounds.note_break(None);
        assert_eq!(rounds.breaks, None);
    }
}
