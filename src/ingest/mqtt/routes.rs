//! Which sensors a message is about, and what it says of each. Knows nothing of connections.
//! Imports `frame` and its siblings of stage ingest.

use std::collections::HashMap;
use std::fmt;

use jiff::tz::TimeZone;
use log::warn;

use super::super::SourceContext;
use super::super::intake::{Intake, Shown};
use super::super::json::{JsonPath, Leaf, Leaves};
use super::super::ndjson::rows::{TIME_KEYS, leaf_time};
use super::super::time::TIME_FORMS;
use super::super::value::{Reading, parse_value};
use super::topic;
use super::{LOG_TARGET, MqttConfig, MqttSensor, TimeFrom};
use crate::frame::Timestamp;

/// Keys of a payload that are listed where the configured one is not among them.
const LISTED_KEYS: usize = 12;

/// The configured sensors that the model has, by topic.
pub struct Routes {
    intake: Intake,
    reader: Reader,
    routes: Vec<Route>,
    /// Routes of topics without wildcards.
    exact: HashMap<String, Vec<usize>>,
    /// Routes of topic filters with wildcards.
    wild: Vec<usize>,
    /// Routes of the message at hand.
    matching: Vec<usize>,
}

/// From a topic to a sensor.
struct Route {
    sensor: usize,
    config: MqttSensor,
    time: TimePlace,
    /// A value was found once, so the path is right.
    found: bool,
    /// The user was told that there is none.
    hinted: bool,
}

enum TimePlace {
    Arrival,
    UsualKeys,
    Path(JsonPath),
}

/// A payload, read as far as anyone asked for.
struct Reader {
    leaves: Leaves,
    /// Whether the present payload is JSON, once it was tried.
    json: Option<bool>,
    zone: TimeZone,
}

impl Routes {
    pub fn new(config: &MqttConfig, ctx: &SourceContext) -> Self {
        let mut routes = Routes {
            intake: Intake::new(ctx, LOG_TARGET),
            reader: Reader {
                leaves: Leaves::default(),
                json: None,
                zone: config.zone.clone(),
            },
            routes: Vec::with_capacity(config.sensors.len()),
            exact: HashMap::new(),
            wild: Vec::new(),
            matching: Vec::new(),
        };
        for sensor in &config.sensors {
            routes.insert(sensor, config.time);
        }
        routes
    }

    fn insert(&mut self, config: &MqttSensor, time: TimeFrom) {
        let Some(sensor) = self.intake.sensors().admit(&config.sensor) else {
            self.intake.ignore(&config.sensor, &"source.mqtt.topics");
            return;
        };
        let index = self.routes.len();
        if topic::has_wildcard(&config.topic) {
            self.wild.push(index);
        } else {
            let routes = self.exact.entry(config.topic.clone()).or_default();
            routes.push(index);
        }
        self.routes.push(Route {
            sensor,
            config: config.clone(),
            time: match (&config.time_path, time) {
                (Some(path), _) => TimePlace::Path(path.clone()),
                (None, TimeFrom::Payload) => TimePlace::UsualKeys,
                (None, TimeFrom::Arrival) => TimePlace::Arrival,
            },
            found: false,
            hinted: false,
        });
    }

    /// The topic filters to subscribe to, each once, in the order of the configuration.
    pub(super) fn filters(&self) -> Vec<String> {
        let mut filters: Vec<String> = Vec::new();
        for route in &self.routes {
            if !filters.contains(&route.config.topic) {
                filters.push(route.config.topic.clone());
            }
        }
        filters
    }

    /// The sensors that need the subscription to `filter`: `LIT101, LIT102`.
    pub(super) fn sensors_of(&self, filter: &str) -> String {
        let sensors: Vec<&str> = self
            .routes
            .iter()
            .filter(|route| route.config.topic == filter)
            .map(|route| route.config.sensor.as_str())
            .collect();
        sensors.join(", ")
    }

    /// Queues what a message says, as one row. `now` is the time of arrival.
    pub fn read_message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Timestamp) {
        if retained {
            self.intake.status().count_retained();
        }
        self.reader.json = None;
        let message = Message {
            topic,
            // What is not UTF-8 is no number either; where it stands does not matter.
            text: &String::from_utf8_lossy(payload),
            payload,
            now,
        };
        self.matching.clear();
        self.matching
            .extend(self.exact.get(topic).into_iter().flatten());
        self.matching.extend(
            self.wild
                .iter()
                .filter(|&&index| topic::matches(&self.routes[index].config.topic, topic)),
        );
        for &index in &self.matching {
            let route = &mut self.routes[index];
            match route.config.path.clone() {
                None => self.reader.read_bare(route, &message, &mut self.intake),
                Some(path) => {
                    self.reader
                        .read_field(route, &path, &message, &mut self.intake);
                }
            }
        }
        self.intake.push();
    }
}

struct Message<'a> {
    topic: &'a str,
    payload: &'a [u8],
    text: &'a str,
    now: Timestamp,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {}", Shown(self.topic))
    }
}

impl Reader {
    /// The payload is the value.
    fn read_bare(&mut self, route: &mut Route, message: &Message<'_>, intake: &mut Intake) {
        let mut reading = parse_value(message.text);
        let looks_like_json = message.text.trim_start().starts_with(['{', '[', '"']);
        if reading == Reading::Text && looks_like_json && self.is_json(message) {
            match self.leaves.get("") {
                // A number or a word in quotes.
                Some(leaf) => reading = leaf.reading(),
                None => self.hint(route, message, "the payload is JSON: set path to one of"),
            }
        }
        route.found |= matches!(reading, Reading::Value(_));
        let time = self.time(route, message, intake);
        intake.add(route.sensor, time, reading, message.text, message);
    }

    /// The value stands at `path` in a JSON payload.
    fn read_field(
        &mut self,
        route: &mut Route,
        path: &JsonPath,
        message: &Message<'_>,
        intake: &mut Intake,
    ) {
        if !self.is_json(message) {
            if topic::has_wildcard(&route.config.topic) || !route.config.conditions.is_empty() {
                // Another device's topic, or no field says whose it is: not about this sensor.
                let what = format_args!(
                    "{message}: {} is not JSON, it is ignored",
                    Shown(message.text)
                );
                intake.complain(&what);
                return;
            }
            let reading = match parse_value(message.text) {
                Reading::Missing => Reading::Missing,
                // A number would be the whole payload, which is not what was asked for.
                Reading::Value(_) | Reading::Text => Reading::Text,
            };
            intake.add(route.sensor, message.now, reading, message.text, message);
            return;
        }
        let meets = |(path, wanted): &(JsonPath, String)| {
            let leaf = self.leaves.get(path.as_str());
            leaf.is_some_and(|leaf| is_equal(leaf, wanted))
        };
        if !route.config.conditions.iter().all(meets) {
            return;
        }
        let Some(leaf) = self.leaves.get(path.as_str()) else {
            let what = format!("there is no {path} in the payload, there are");
            self.hint(route, message, &what);
            return;
        };
        route.found = true;
        let time = self.time(route, message, intake);
        intake.add(route.sensor, time, leaf.reading(), &leaf.shown(), message);
    }

    /// Parses the payload, at most once a message.
    fn is_json(&mut self, message: &Message<'_>) -> bool {
        let leaves = &mut self.leaves;
        *self
            .json
            .get_or_insert_with(|| leaves.parse(message.payload).is_ok())
    }

    /// When the reading was made. Needs the payload to be parsed where it has a time.
    fn time(&self, route: &Route, message: &Message<'_>, intake: &mut Intake) -> Timestamp {
        if self.json != Some(true) {
            return message.now;
        }
        let leaf = |key: &str| self.leaves.get(key).filter(|leaf| *leaf != Leaf::Null);
        let value_at = route.config.path.as_ref().map(JsonPath::as_str);
        let (key, leaf) = match &route.time {
            TimePlace::Arrival => return message.now,
            TimePlace::Path(path) => (path.as_str(), leaf(path.as_str())),
            TimePlace::UsualKeys => TIME_KEYS
                .into_iter()
                .filter(|key| Some(*key) != value_at)
                .find_map(|key| Some((key, Some(leaf(key)?))))
                .unwrap_or(("", None)),
        };
        // A payload without a time, or with a null for it, is one of a clock that is not set.
        let Some(leaf) = leaf else { return message.now };
        let last_key = key.rsplit('.').next().unwrap_or(key);
        leaf_time(leaf, last_key, &self.zone).unwrap_or_else(|| {
            let shown = leaf.shown();
            let what = format_args!(
                "{message}: {key} {} is not a time ({TIME_FORMS}), the time of arrival is taken",
                Shown(&shown)
            );
            intake.complain(&what);
            message.now
        })
    }

    /// Says once where a sensor's value may be, unless one was found before.
    fn hint(&self, route: &mut Route, message: &Message<'_>, what: &str) {
        if route.found || route.hinted {
            return;
        }
        route.hinted = true;
        let keys: Vec<&str> = self.leaves.iter().map(|(path, _)| path).collect();
        let listed = keys[..keys.len().min(LISTED_KEYS)].join(", ");
        let more = if keys.len() > LISTED_KEYS {
            ", …"
        } else {
            ""
        };
        warn!(
            target: LOG_TARGET,
            "{message}: sensor {}: {what} {listed}{more}",
            route.config.sensor
        );
    }
}

/// Whether a field has the value that a condition asks for: 42, 42.0 and "42" are the same.
fn is_equal(leaf: Leaf<'_>, wanted: &str) -> bool {
    let wanted = wanted.trim();
    let text = leaf.shown();
    if text.trim() == wanted {
        return true;
    }
    match (text.trim().parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(have), Ok(want)) => have == want,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
