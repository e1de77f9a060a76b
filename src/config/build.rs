//! From the merged keys to `Settings`: defaults, required keys, files that must be there.
//!
//! Imports its sibling modules only.

mod health;
mod modbus;
mod mqtt;
mod otlp;
mod password;
mod table;
mod web;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::mistake::{Mistake, Place};
use super::schema::TOP;
use super::settings::*;
use super::value::{Base, Section};
use table::Table;

/// What the building needs to know beside the keys.
#[derive(Debug)]
pub struct Surroundings {
    pub base: Base,
    /// systemd's `$CREDENTIALS_DIRECTORY`, when run as its service.
    pub credentials: Option<PathBuf>,
    /// Some file could not be read to its end: a key that is missing may well be there.
    pub broken: bool,
}

/// Settings of all that could be made sense of; they are only of use when there is no error among
/// the mistakes.
pub fn build(merged: &Section, around: &Surroundings) -> (Settings, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let settings = settings(&Table::new(merged, TOP, "", around), &mut mistakes);
    (settings, mistakes)
}

/// What only one source can have, and which has it.
#[derive(Default)]
struct Taken(HashMap<String, Place>);

impl Taken {
    /// Reports a key by which its source takes what another one has.
    fn take(&mut self, what: String, table: &Table<'_>, key: &str, mistakes: &mut Vec<Mistake>) {
        let place = table.place(key);
        if let Some(other) = self.0.get(&what) {
            let message = format!("{what} is already used by the source at {other}; change one");
            mistakes.push(Mistake::error(place, table.key(key), message));
        } else {
            self.0.insert(what, place.clone());
        }
    }
}

fn settings(top: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Settings {
    let empty = Section::new(top.section.place.clone());
    let frame = frame(&top.table_or("frame", &empty), mistakes);
    let alarm = top.table_or("alarm", &empty);
    let output = top.table_or("output", &empty);
    let model = top.path("model").unwrap_or_default();
    mistakes.extend(no_model(top, &model));
    let engine = match top.text("engine").as_deref() {
        Some("native") => EngineChoice::Native,
        Some("torch") => EngineChoice::Torch,
        _ => EngineChoice::Auto,
    };
    let torch_worker = top.path("torch_worker");
    if let Some(path) = &torch_worker {
        if engine == EngineChoice::Native {
            let message = "not used, for engine is \"native\"; leave one of the two out";
            mistakes.push(Mistake::warning(
                top.place("torch_worker"),
                "torch_worker",
                message,
            ));
        } else {
            let remedy = "install anomalyd-torch or leave the key out";
            top.exists("torch_worker", path, remedy, mistakes);
        }
    }
    let period = top.duration("period");
    if let Some(period) = period.filter(|period| *period > frame.stale_after) {
        let message = format!(
            "is shorter than the period of {}: every sensor would fall silent between two \
             samples; raise it",
            humantime::format_duration(period)
        );
        let place = top.table_or("frame", &empty).place("stale_after");
        mistakes.push(Mistake::error(place, "frame.stale_after", message));
    }
    Settings {
        files: Vec::new(),
        name: top.text("name"),
        model,
        model_place: top.set_at("model").cloned(),
        engine,
        torch_worker,
        max_false_alarms_per_week: top.number("max_false_alarms_per_week"),
        period,
        state_directory: top.path("state_directory").unwrap_or_default(),
        control_socket: top.path("control_socket").unwrap_or_default(),
        learn_for: top.duration("learn_for").unwrap_or_default(),
        log_level: top
            .text("log_level")
            .and_then(|level| level.parse().ok())
            .unwrap_or(log::LevelFilter::Info),
        sources: sources(&top.table_or("source", &empty), &frame.zone, mistakes),
        frame,
        alarm: AlarmSettings {
            clear_after: alarm.duration("clear_after").unwrap_or_default(),
            top_sensors: alarm.whole("top_sensors").unwrap_or_default(),
            silent: alarm.is("silent"),
        },
        output: OutputSettings {
            log: output.table_or("log", &empty).is("enabled"),
            stdout: output.table_or("stdout", &empty).is("enabled"),
            mqtt: output
                .table("mqtt")
                .and_then(|table| mqtt::output(&table, mistakes)),
            otlp: output
                .table("otlp")
                .and_then(|table| otlp::output(&table, mistakes)),
        },
        health: health::health(&top.table_or("health", &empty), mistakes),
        history: top.table_or("history", &empty).is("enabled"),
        web: web::web(&top.table_or("web", &empty), mistakes),
    }
}

/// A model may come later, by training or by an update; but nothing is watched before.
fn no_model(top: &Table<'_>, model: &Path) -> Option<Mistake> {
    if model.exists() || top.around.broken || top.section.rejected.contains("model") {
        return None;
    }
    let shown = model.display();
    let learns = top
        .duration("learn_for")
        .is_some_and(|time| !time.is_zero())
        && top
            .path("state_directory")
            .is_some_and(|state| model == state.join("models/current.pt"));
    let message = match learns {
        true => format!(
            "{shown} is not there: the service learns one by itself, or make one with `anomalyd train`"
        ),
        false => format!("{shown} is not there; make one with `anomalyd train`"),
    };
    let mistake = Mistake::warning(top.place("model"), "model", message);
    Some(match top.set_at("model") {
        Some(_) => mistake,
        None => Mistake {
            line: None,
            ..mistake
        },
    })
}

fn frame(frame: &Table<'_>, mistakes: &mut Vec<Mistake>) -> FrameSettings {
    let mut sensor_hold = BTreeMap::new();
    for (sensor, table) in frame.tables("sensor") {
        table.require(mistakes);
        if let Some(hold) = table.whole("hold") {
            let place = table.place("hold").clone();
            sensor_hold.insert(sensor.to_string(), SensorHold { hold, place });
        }
    }
    FrameSettings {
        hold: frame.whole("hold").unwrap_or_default(),
        sensor_hold,
        stale_after: frame.duration("stale_after").unwrap_or_default(),
        zone: frame.zone("zone").unwrap_or(TimeZone::UTC),
        queue_samples: frame.whole("queue_samples").unwrap_or_default(),
    }
}

fn sources(
    source: &Table<'_>,
    zone: &TimeZone,
    mistakes: &mut Vec<Mistake>,
) -> Vec<SourceSettings> {
    let mut sources = Vec::new();
    let mut taken = Taken::default();
    let enabled = |kind| {
        let mut tables = source.tables(kind);
        tables.retain(|(_, table)| table.is("enabled"));
        tables
    };
    for (name, table) in enabled("ndjson") {
        let listen = match table.text("listen") {
            Some(path) if path != "stdin" => Listen::Socket(table.around.base.resolve(&path)),
            _ => Listen::Stdin,
        };
        let input = match &listen {
            Listen::Stdin => "standard input".to_string(),
            Listen::Socket(path) => path.display().to_string(),
        };
        taken.take(input, &table, "listen", mistakes);
        sources.push(SourceSettings::Ndjson(NdjsonSettings {
            name: name.to_string(),
            place: table.section.place.clone(),
            listen,
        }));
    }
    for (name, table) in enabled("csv") {
        table.require(mistakes);
        let Some(path) = table.path("path") else {
            continue;
        };
        if !path.exists() {
            let message = format!("{} is not there yet; it is waited for", path.display());
            let place = table.place("path");
            mistakes.push(Mistake::warning(place, table.key("path"), message));
        }
        taken.take(path.display().to_string(), &table, "path", mistakes);
        sources.push(SourceSettings::Csv(CsvSettings {
            name: name.to_string(),
            place: table.section.place.clone(),
            path,
            from_start: table.text("from").as_deref() == Some("start"),
            zone: table.zone("zone").unwrap_or_else(|| zone.clone()),
        }));
    }
    for (name, table) in enabled("mqtt") {
        let Some(mqtt) = mqtt::mqtt(name, &table, mistakes) else {
            continue;
        };
        if let Some(id) = &mqtt.broker.client_id {
            let client = format!(
                "client id {id:?} at {}:{}",
                mqtt.broker.host, mqtt.broker.port
            );
            taken.take(client, &table, "client_id", mistakes);
        }
        sources.push(SourceSettings::Mqtt(mqtt));
    }
    for (name, table) in enabled("modbus") {
        sources.extend(modbus::modbus(name, &table, mistakes).map(SourceSettings::Modbus));
    }
    if let Some(table) = source
        .table("simulator")
        .filter(|table| table.is("enabled"))
    {
        let faults = table.path("faults");
        if let Some(path) = &faults {
            let remedy = "write it (docs/simulator.md) or leave the key out";
            table.exists("faults", path, remedy, mistakes);
        }
        sources.push(SourceSettings::Simulator(SimulatorSettings {
            place: table.section.place.clone(),
            seed: table.whole("seed").unwrap_or_default(),
            rate: table.number("rate").unwrap_or(1.0),
            faults,
        }));
    }
    sources
}
