//! Mistakes that show only when several parts are seen together. Imports its sibling modules only.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::fragment::key_text;
use super::mistake::{Mistake, Place};
use super::settings::{MqttSettings, MqttTopic, Settings, SourceSettings};
use super::suggest::nearest;

/// How many names a message lists before it counts the rest.
const LISTED: usize = 5;

/// Checks the sources against each other.
pub fn check_sources(sources: &[SourceSettings]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut sensors = HashMap::new();
    for source in sources {
        match source {
            SourceSettings::Mqtt(mqtt) => {
                for topic in &mqtt.topics {
                    if let Some(other) = sensors.insert(&topic.sensor, &topic.place) {
                        let message = format!(
                            "this sensor already comes from {other}; leave one of the two out"
                        );
                        let key = topic_key(topic);
                        mistakes.push(Mistake::error(&topic.place, key, message));
                    }
                }
                mistakes.extend(same_readings(mqtt));
            }
            SourceSettings::Simulator(simulator) if sources.len() > 1 => {
                let message = "its made-up samples mix with those of the other sources; set \
                               enabled = false on a real plant";
                let place = &simulator.place;
                mistakes.push(Mistake::warning(place, source.key(), message));
            }
            _ => {}
        }
    }
    mistakes
}

/// Two sensors that read the very same value are one line copied and half changed.
fn same_readings(mqtt: &MqttSettings) -> Vec<Mistake> {
    let mut readings = HashMap::new();
    let mut mistakes = Vec::new();
    for topic in &mqtt.topics {
        let reading = (&topic.topic, &topic.path, format!("{:?}", topic.wanted));
        match readings.get(&reading) {
            Some(other) => {
                let message = format!(
                    "reads the same value as {other}; correct the topic, or tell them apart with \
                     `path` or `where`"
                );
                mistakes.push(Mistake::warning(&topic.place, topic_key(topic), message));
            }
            None => {
                readings.insert(reading, &topic.sensor);
            }
        }
    }
    mistakes
}

fn topic_key(topic: &MqttTopic) -> String {
    format!("source.mqtt.topics.{}", key_text(&topic.sensor))
}

/// Compares the sensors that the settings name with those of the model (in its order). Warnings
/// only, for the daemon runs with what it gets; but an error when it would get nothing at all.
pub fn check_against_model(settings: &Settings, sensors: &[String]) -> Vec<Mistake> {
    let known: BTreeSet<&str> = sensors.iter().map(String::as_str).collect();
    let mut mistakes = Vec::new();
    let mut named = |sensor: &str, place: &Place, key: String| {
        if known.contains(sensor) {
            return;
        }
        let names: Vec<&str> = sensors.iter().map(String::as_str).collect();
        let message = match nearest(sensor, names.iter().copied()) {
            Some(near) => format!("the model has no such sensor; did you mean \"{near}\"?"),
            None => format!(
                "the model has no such sensor, so this is ignored; it has {}",
                listed(&names)
            ),
        };
        mistakes.push(Mistake::warning(place, key, message));
    };
    for (sensor, hold) in &settings.frame.sensor_hold {
        let key = format!("frame.sensor.{}", key_text(sensor));
        named(sensor, &hold.place, key);
    }
    // Only MQTT sources say beforehand which sensors they give.
    let mut given = BTreeSet::new();
    let mut only_mqtt = true;
    for source in &settings.sources {
        let SourceSettings::Mqtt(mqtt) = source else {
            only_mqtt = false;
            continue;
        };
        for topic in &mqtt.topics {
            named(&topic.sensor, &topic.place, topic_key(topic));
            given.insert(topic.sensor.as_str());
        }
    }
    let absent: Vec<&str> = known.difference(&given).copied().collect();
    if let (true, Some(first)) = (only_mqtt && !absent.is_empty(), settings.sources.first()) {
        let key = "source.mqtt.topics";
        mistakes.push(if absent.len() == known.len() {
            let message = format!(
                "no topic is of a sensor of the model, so nothing could be scored; it has {}",
                listed(&absent)
            );
            Mistake::error(first.place(), key, message)
        } else {
            let message = format!(
                "no topic for {} of the model's {} sensors, which are left out of the score: {}",
                absent.len(),
                known.len(),
                listed(&absent)
            );
            Mistake::warning(first.place(), key, message)
        });
    }
    mistakes
}

/// The first few of `names`, and how many more there are.
fn listed(names: &[&str]) -> String {
    let first = names.iter().take(LISTED).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A mistake when there is nowhere to take samples from.
pub fn check_any_source(sources: &[SourceSettings], main: &Path) -> Option<Mistake> {
    sources.is_empty().then(|| Mistake {
        key: "source".into(),
        ..Mistake::of_file(
            main,
            "no source is set and switched on; add [source.mqtt], [source.ndjson], [source.csv] \
             or [source.simulator]",
        )
    })
}
