//! Mistakes that show only when several parts are seen together. Imports its sibling modules only.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::fragment::key_text;
use super::mistake::{Mistake, Place};
use super::settings::{ModbusSettings, MqttSettings, MqttTopic, Settings, SourceSettings};
use super::suggest::nearest;

/// How many names a message lists before it counts the rest.
const LISTED: usize = 5;

/// Checks the sources against each other.
pub fn check_sources(sources: &[SourceSettings]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut sensors = HashMap::new();
    for source in sources {
        for named in source.named_sensors().unwrap_or_default() {
            if let Some(other) = sensors.insert(named.sensor, named.place) {
                let message =
                    format!("this sensor already comes from {other}; leave one of the two out");
                mistakes.push(Mistake::error(named.place, named.key(), message));
            }
        }
        match source {
            SourceSettings::Mqtt(mqtt) => mistakes.extend(same_readings(mqtt)),
            SourceSettings::Modbus(modbus) => mistakes.extend(same_registers(modbus)),
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

fn same_registers(modbus: &ModbusSettings) -> Vec<Mistake> {
    let mut readings = HashMap::new();
    let mut mistakes = Vec::new();
    for register in &modbus.registers {
        let reading = (register.table, register.address, register.kind);
        if let Some(other) = readings.insert(reading, &register.sensor) {
            let message = format!("reads the same register as {other}; correct one of the two");
            let key = format!("source.modbus.registers.{}", key_text(&register.sensor));
            mistakes.push(Mistake::warning(&register.place, key, message));
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
    let mut given = BTreeSet::new();
    let mut lists = BTreeSet::new();
    let mut all_say = true;
    for source in &settings.sources {
        let Some(sensors) = source.named_sensors() else {
            all_say = false;
            continue;
        };
        for of in sensors {
            named(of.sensor, of.place, of.key());
            given.insert(of.sensor);
            lists.insert(of.list);
        }
    }
    let absent: Vec<&str> = known.difference(&given).copied().collect();
    if let (true, Some(first)) = (all_say && !absent.is_empty(), settings.sources.first()) {
        let (key, what) = match lists.iter().copied().collect::<Vec<&str>>().as_slice() {
            [] => (first.key(), "topic or register"),
            [list] if list.ends_with("topics") => (*list, "topic"),
            [list] => (*list, "register"),
            _ => ("source", "topic or register"),
        };
        mistakes.push(if absent.len() == known.len() {
            let message = format!(
                "no {what} is of a sensor of the model, so nothing could be scored; it has {}",
                listed(&absent)
            );
            Mistake::error(first.place(), key, message)
        } else {
            let message = format!(
                "no {what} for {} of the model's {} sensors, which are left out of the score: {}",
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
            "no source is set and switched on; add [source.mqtt], [source.modbus], \
             [source.ndjson], [source.csv] or [source.simulator]",
        )
    })
}
