//! The settings of one MQTT broker, to read from or to publish to. Imports its parent's tables and the settings.

use std::collections::BTreeMap;

use super::password::{others_may_read, password_file};
use super::table::Table;
use crate::config::mistake::Mistake;
use crate::config::settings::{
    BrokerSettings, MqttOutputSettings, MqttSettings, MqttTopic, Password,
};
use crate::config::value::Value;

/// A broker to read from. Reports what is missing or contradicts itself; `None` when no connection
/// could be tried.
pub fn mqtt(name: &str, table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<MqttSettings> {
    let broker = broker(table, mistakes);
    let topics = topics(table, mistakes);
    Some(MqttSettings {
        name: name.to_string(),
        broker: broker?,
        time_path: table.text("time_path"),
        topics,
    })
}

/// A broker to publish to; `None` also where it is switched off.
pub fn output(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<MqttOutputSettings> {
    if !table.is("enabled") {
        return None;
    }
    Some(MqttOutputSettings {
        broker: broker(table, mistakes)?,
        prefix: table.text("prefix")?,
        device: table.text("device"),
        score_every: table.duration("score_every")?,
        health_every: table.duration("health_every")?,
        home_assistant: table.is("home_assistant"),
        home_assistant_prefix: table.text("home_assistant_prefix")?,
        queue_bytes: table.whole("queue_bytes")?,
        catch_up_per_second: table.whole("catch_up_per_second")?,
    })
}

fn broker(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<BrokerSettings> {
    table.require(mistakes);
    let tls = table.is("tls");
    let ca_file = table.path("ca_file");
    if let Some(path) = &ca_file {
        let remedy = "copy the authority's PEM file there or leave the key out";
        table.exists("ca_file", path, remedy, mistakes);
        if !tls {
            let message = "is only used with tls; add tls = true or leave ca_file out";
            let place = table.place("ca_file");
            mistakes.push(Mistake::error(place, table.key("ca_file"), message));
        }
    }
    let username = table.text("username");
    let password = password(table, mistakes);
    if let (Some(key), None) = (secret_key(table), &username)
        && !table.section.rejected.contains("username")
    {
        let message = "is only used with a username; add username = \"…\"";
        mistakes.push(Mistake::error(table.place(key), table.key(key), message));
    }
    Some(BrokerSettings {
        place: table.section.place.clone(),
        host: table.text("host")?,
        port: table.whole("port").unwrap_or(if tls { 8883 } else { 1883 }),
        client_id: table.text("client_id"),
        username,
        password,
        tls,
        ca_file,
        keep_alive: table.duration("keep_alive")?,
    })
}

fn secret_key(table: &Table<'_>) -> Option<&'static str> {
    ["password_file", "password"]
        .into_iter()
        .find(|key| table.set_at(key).is_some())
}

fn password(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<Password> {
    let plain = table.text("password");
    if plain.is_some() {
        let place = table.place("password");
        let key = table.key("password");
        if table.set_at("password_file").is_some() {
            let message = "password_file is set too; leave one of the two out";
            mistakes.push(Mistake::error(place, key, message));
        } else if others_may_read(&place.file) {
            let message = "stands in a file that others may read; move it to a file of its own \
                           and name that in password_file";
            mistakes.push(Mistake::warning(place, key, message));
        }
    }
    match password_file(table, mistakes) {
        Some(path) => Some(Password::File(path)),
        None => plain.map(Password::Plain),
    }
}

fn topics(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Vec<MqttTopic> {
    let mut topics: Vec<MqttTopic> = Vec::new();
    for (sensor, entry) in table.tables("topics") {
        entry.require(mistakes);
        let Some(topic) = entry.text("topic") else {
            continue;
        };
        if entry.set_at("where").is_some() && entry.set_at("path").is_none() {
            let message = "only chooses among JSON payloads; say with `path` where in them the \
                           value stands";
            let place = entry.place("where");
            mistakes.push(Mistake::error(place, entry.key("where"), message));
        }
        topics.push(MqttTopic {
            sensor: sensor.to_string(),
            place: entry.section.place.clone(),
            topic,
            path: entry.text("path"),
            wanted: match entry.value("where") {
                Some(Value::Fields(wanted)) => wanted,
                _ => BTreeMap::new(),
            },
            time_path: entry.text("time_path"),
        });
    }
    if let Some(Value::Section(given)) = table.value("topics")
        && given.entries.is_empty()
        && given.rejected.is_empty()
        && !table.around.broken
    {
        let message = "is empty; add a line like LIT101 = \"plant/lit101\" for each sensor";
        let place = table.place("topics");
        mistakes.push(Mistake::error(place, table.key("topics"), message));
    }
    topics
}
