//! The daemon is killed again and again while it writes.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::broker::Broker;
use super::daemon::feed;
use super::faults::{cycle, kill_again_and_again, known, once, told, untold};
use super::site;
use super::subscriber::Subscriber;

const KILLS: usize = 50;

#[test]
fn fifty_kills_lose_no_alarm_and_give_none_two_ids() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let subscriber = Subscriber::new(broker.port);
    let site = site(broker.port, "");
    let moment = |kill: usize| Duration::from_millis((kill as u64 * 37) % 120);
    kill_again_and_again(&site, KILLS, moment, |_| ());
    let daemon = site.run();
    let mut stream = site.connect();
    feed(&mut stream, &cycle(KILLS));
    let end = "2026-01-01T05:30:00Z";
    subscriber.until("pi/alarm", "the last alarm and its end", |all| {
        all.iter()
            .any(|one| one["transition"] == "cleared" && one["time"].as_str().unwrap() > end)
    });
    daemon.terminate().ok();

    let all = subscriber.json_on("pi/alarm");
    // A message that came twice came with the same words.
    let mut seen: HashMap<String, Value> = HashMap::new();
    for one in &all {
        let id = one["message"].as_str().unwrap().to_owned();
        let before = seen.entry(id).or_insert_with(|| one.clone());
        if one["transition"] == "raised" {
            assert_eq!(before["raised_at"], one["raised_at"]);
        }
    }
    let messages = once(all.clone());
    println!(
        "{} messages, {} without those that came twice",
        all.len(),
        messages.len()
    );

    // No alarm is lost: what the service's own log knows was told.
    // No alarm is lost: what the service's own log knows was told.
    let known = known(&site);
    println!("{} alarms in the log", known.len());
    assert!(known.len() > KILLS / 5, "{}", known.len());
    assert_eq!(untold(&known, &told(&messages)), []);

    // None has two ids, and the order is that of time: an alarm ends before the next one begins.
    let mut stands: Option<String> = None;
    let mut last_raised = String::new();
    for one in messages.iter().filter(|one| one["kind"] == "anomaly") {
        let id = one["id"].as_str().unwrap().to_owned();
        match one["transition"].as_str().unwrap() {
            "raised" => {
                assert_eq!(stands, None, "{id} raised while another one stands");
                let raised = one["raised_at"].as_str().unwrap().to_owned();
                assert!(raised > last_raised, "{raised} after {last_raised}");
                (stands, last_raised) = (Some(id), raised);
            }
            "cleared" => {
                assert_eq!(stands.as_ref(), Some(&id), "{id} cleared");
                stands = None;
            }
            _ => assert_eq!(stands.as_ref(), Some(&id), "{id} updated"),
        }
    }
}
