//! Alarms at a real mosquitto: what is published, what survives a broker that is away and a daemon that
//! is killed.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "mqtt/certificates.rs"]
mod certificates;
#[path = "run/daemon.rs"]
#[allow(dead_code)]
mod daemon;
#[path = "run/faults.rs"]
mod faults;
#[path = "mqtt/gate.rs"]
mod gate;
#[path = "sources/harness.rs"]
mod harness;
#[path = "mqtt_output/kills.rs"]
mod kills;
#[path = "mqtt_output/outage.rs"]
mod outage;
#[path = "run/peer.rs"]
mod peer;
#[path = "run/plant.rs"]
#[allow(dead_code)]
mod plant;
#[path = "mqtt_output/refusals.rs"]
mod refusals;
#[path = "mqtt/subscriber.rs"]
mod subscriber;

use std::time::Duration;

use broker::Broker;
use daemon::{Daemon, Site, feed, until};
use faults::{cycle, once, site_with_state, status, told, until_full_and_within_its_limit};
use gate::Gate;
use nix::sys::signal::Signal;
use serde_json::Value;
use subscriber::Subscriber;

/// Samples over a socket, alarms to the broker.
pub fn config(port: u16, more: &str) -> String {
    format!(
        "max_false_alarms_per_week = 10080\n[alarm]\nclear_after = \"20s\"\n\
         [source.ndjson]\nlisten = \"@/ingest.sock\"\n\
         [output.mqtt]\nhost = \"127.0.0.1\"\nport = {port}\ndevice = \"pi\"\nscore_every = \"200ms\"\n{more}"
    )
}

/// A site whose state is kept, with that configuration.
pub fn site(port: u16, more: &str) -> Site {
    site_with_state(&config(port, more))
}

/// Waits until what the daemon, and `earlier` ones, told on standard output is what the broker's reader was told, in order,
/// and no more comes. Gives both.
fn until_all_is_told(
    subscriber: &Subscriber,
    earlier: &[Value],
    daemon: &Daemon,
) -> (Vec<Value>, Vec<Value>) {
    let mut both = (Vec::new(), Vec::new());
    let mut since = std::time::Instant::now();
    until("the same alarms at the broker", || {
        let heard = once(subscriber.json_on("pi/alarm"));
        let all = [earlier.to_vec(), daemon.alarms()].concat();
        if told(&heard) != told(&all) || all != both.1 {
            since = std::time::Instant::now();
        }
        both = (heard, all);
        since.elapsed() > Duration::from_millis(500)
    });
    both
}

#[test]
fn alarms_status_scores_and_health_are_published() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let subscriber = Subscriber::new(broker.port);
    let site = site(broker.port, "home_assistant = true\n");
    let daemon = site.run();
    subscriber.until("pi/status", "online", |all| {
        all.last().is_some_and(|one| one["online"] == true)
    });
    let mut stream = site.connect();
    // Slowly, so that an alarm stands long enough to be seen in the status.
    for rows in cycle(0).chunks(2) {
        feed(&mut stream, rows);
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon.until_alarm("anomaly", "cleared", 1);
    let (alarms, told) = until_all_is_told(&subscriber, &[], &daemon);
    // The event as everywhere else, with an id and a text.
    let (first, event) = (&alarms[0], &told[0]);
    for (key, value) in event.as_object().unwrap() {
        assert_eq!(&first[key], value, "{key}");
    }
    assert!(first["text"].as_str().unwrap().starts_with("alarm "));
    let mut ids: Vec<&Value> = alarms.iter().map(|one| &one["message"]).collect();
    ids.dedup();
    assert_eq!(ids.len(), alarms.len());

    subscriber.until("pi/score", "a high score", |all| {
        all.iter().any(|one| one["max"].as_f64().unwrap() > 1.0)
    });
    let health = subscriber.until("pi/health", "readings", |all| !all.is_empty());
    assert!(health[0]["readings"]["rss_bytes"].as_u64().unwrap() > 1_000_000);
    let states = subscriber.until("pi/status", "watching", |all| {
        all.last().is_some_and(|one| one["state"] == "watching")
    });
    assert!(
        states.iter().any(|one| one["state"] == "alarm"),
        "{states:?}"
    );

    // Home Assistant knows the device, and is told again when it starts.
    let announced = subscriber.json_on("homeassistant/device/anomalyd_pi/config");
    assert_eq!(announced.len(), 1);
    let component = &announced[0]["cmps"]["alarm"];
    assert_eq!(component["state_topic"], "anomalyd/pi/status");
    subscriber.publish("homeassistant/status", "online");
    subscriber.until("anomalyd_pi/config", "another announcement", |all| {
        all.len() == 2
    });

    // Everything retained is there for who comes later.
    let late = Subscriber::with(rumqttc::MqttOptions::new("late", "127.0.0.1", broker.port));
    for end in ["pi/status", "pi/health", "anomalyd_pi/config"] {
        late.until(end, "what is retained", |all| !all.is_empty());
        assert!(late.on(end)[0].retained, "{end}");
    }
    assert!(late.on("pi/alarm").is_empty());

    let finished = daemon.terminate();
    finished.ok();
    subscriber.until("pi/status", "offline", |all| {
        all.last().unwrap()["online"] == false
    });
    assert!(
        finished.took < Duration::from_secs(2),
        "{:?}",
        finished.took
    );
}

#[test]
fn the_last_will_says_that_the_daemon_was_killed() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let subscriber = Subscriber::new(broker.port);
    let site = site(broker.port, "");
    let daemon = site.run();
    subscriber.until("pi/status", "online", |all| !all.is_empty());
    daemon.signal(Signal::SIGKILL);
    let all = subscriber.until("pi/status", "the will", |all| {
        all.last().unwrap()["online"] == false
    });
    assert_eq!(all.last().unwrap()["state"], "offline");
}

#[test]
fn a_broker_that_is_away_at_the_start_gets_everything_in_order_later() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let gate = Gate::new(broker.port);
    broker.kill();
    let site = site(gate.port, "");
    let daemon = site.run();
    daemon.until_log("alarms wait in the queue");
    let mut stream = site.connect();
    for number in 0..3 {
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number + 1);
    }
    // Nor does a restart lose any.
    let finished = daemon.terminate();
    let earlier: Vec<Value> = finished
        .ok()
        .alarms
        .iter()
        .map(|one| plant::parsed(one))
        .collect();
    let daemon = site.run();
    let mut stream = site.connect();
    feed(&mut stream, &cycle(3));
    daemon.until_alarm("anomaly", "cleared", 1);
    let status = status(&site);
    assert!(
        status.contains("waiting: ") && status.contains("messages waiting"),
        "{status}"
    );

    broker.restart();
    let subscriber = Subscriber::new(broker.port);
    gate.open();
    let (alarms, _) = until_all_is_told(&subscriber, &earlier, &daemon);
    daemon.until_log("messages waited for it");
    let times: Vec<&str> = alarms
        .iter()
        .map(|one| one["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    // What was gathered of scores is there too.
    subscriber.until("pi/score", "scores", |all| !all.is_empty());
    daemon.terminate().ok();
}

#[test]
fn a_connection_that_is_cut_under_load_costs_no_alarm_and_no_order() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let subscriber = Subscriber::new(broker.port);
    let gate = Gate::new(broker.port);
    gate.open();
    let site = site(gate.port, "");
    let daemon = site.run();
    subscriber.until("pi/status", "online", |all| !all.is_empty());
    let mut stream = site.connect();
    for number in 0..12 {
        if number % 3 == 1 {
            gate.shut();
        }
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number + 1);
        if number % 3 == 2 {
            gate.open();
            // Back before the next cut, so that each time something is on its way.
            let state = |all: &[Value]| all.iter().filter(|one| one["online"] == true).count();
            let before = state(&subscriber.json_on("pi/status"));
            subscriber.until("pi/status", "online again", |all| state(all) > before);
        }
    }
    gate.open();
    let (_, told) = until_all_is_told(&subscriber, &[], &daemon);
    assert!(told.len() >= 24, "{}", told.len());
    daemon.terminate().ok();
}

#[test]
fn a_broker_that_stays_away_fills_the_queue_to_its_limit_and_it_is_said() {
    let port = peer::free_port();
    let site = site(port, "queue_bytes = 65536\n");
    let queue = site.path("state/queue");
    let daemon = site.run();
    let mut stream = site.connect();
    for number in 0..60 {
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number + 1);
    }
    daemon.until_log("too much waits for 127.0.0.1");
    until_full_and_within_its_limit(&queue);
    daemon.terminate().ok();
    // One without a folder for its state says so, and works.
    std::fs::remove_dir_all(site.path("state")).unwrap();
    let daemon = site.run();
    daemon.until_log("kept in memory only");
    assert!(!queue.exists());
    daemon.terminate().ok();
}

#[test]
fn the_queue_is_checked_and_repaired_without_the_service() {
    let port = peer::free_port();
    let site = site(port, "");
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(0));
    daemon.until_alarm("anomaly", "cleared", 1);
    daemon.terminate().ok();
    let queue = |command: &str| {
        let mut queue = plant::anomalyd();
        queue
            .args(["queue", command, "--config"])
            .arg(site.config());
        let output = queue.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, sound) = queue("check");
    assert!(
        code == 0 && sound.contains("sound") && !sound.contains("DAMAGED"),
        "{sound}"
    );
    let file = site.path("state/queue/alarm-0000000001.q");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let (code, torn) = queue("check");
    assert!(code == 65 && torn.contains("DAMAGED"), "{torn}");
    let (code, repaired) = queue("repair");
    assert!(code == 0 && repaired.contains("repaired"), "{repaired}");
    assert_eq!(queue("check").0, 0);
    let aside = site.path("state/queue/alarm-0000000001.q.bad-1");
    assert_eq!(std::fs::read(aside).unwrap().len(), bytes.len() - 3);
    // While the service runs, it is the service's.
    let daemon = site.run();
    daemon.until_log("watching 51 sensors");
    assert_eq!(queue("repair").0, 1);
    daemon.terminate().ok();
}
