//! A broker that is killed while alarms come, and stays away for as long as asked: 15 seconds, or
//! `ANOMALYD_OUTAGE=600` for the ten minutes that are promised.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::daemon::{PATIENCE, feed};
use super::faults::{cycle, known, once, told, untold};
use super::gate::Gate;
use super::subscriber::Subscriber;
use super::{site, until_all_is_told};

const SECONDS: u64 = 15;

#[test]
fn a_killed_broker_costs_no_alarm_however_long_it_is_away() {
    let seconds = match std::env::var("ANOMALYD_OUTAGE") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => SECONDS,
    };
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let before = Subscriber::new(broker.port);
    let gate = Gate::new(broker.port);
    gate.open();
    let site = site(gate.port, "");
    let daemon = site.run();
    let mut stream = site.connect();
    let mut number = 0;
    let mut fault = || {
        feed(&mut stream, &cycle(number));
        number += 1;
        daemon.until_alarm("anomaly", "cleared", number);
    };
    fault();
    // A message that the broker has taken and not passed on yet would be lost with it, by no fault of the
    // daemon: it is killed when all of it was heard.
    until_all_is_told(&before, &[], &daemon);
    broker.kill();
    gate.shut();
    let away = Instant::now();
    // A fault every second, in 400 rows.
    while away.elapsed() < Duration::from_secs(seconds) {
        let begun = Instant::now();
        fault();
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
    broker.restart();
    // First who listens, then the daemon.
    let after = Subscriber::new(broker.port);
    gate.open();

    let heard = || [before.json_on("pi/alarm"), after.json_on("pi/alarm")].concat();
    let missed = || untold(&known(&site), &told(&heard()));
    // Ten a second at most, for each second of alarms.
    let patience = PATIENCE + Duration::from_secs(seconds);
    let back = Instant::now();
    while !missed().is_empty() {
        assert!(back.elapsed() < patience, "not told: {:?}", missed());
        std::thread::sleep(Duration::from_millis(100));
    }
    let all = once(heard());
    println!(
        "away for {seconds} s, caught up in {:.1} s: {} messages of {number} faults",
        back.elapsed().as_secs_f64(),
        all.len()
    );
    let times: Vec<&str> = all
        .iter()
        .map(|one| one["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    daemon.terminate().ok();
}
