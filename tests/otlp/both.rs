//! A broker and a collector at the same time: the daemon is killed, and each may be a little further than
//! the other.

use std::time::Duration;

use serde_json::Value;

use super::broker::Broker;
use super::daemon::{feed, until};
use super::faults::{cycle, kill_again_and_again, known, once, site_with_state, told, untold};
use super::made_up::{Came, MadeUp, ok};
use super::subscriber::Subscriber;
use super::{alarms, config};

const KILLS: usize = 16;

/// Those that were raised or cleared, in order.
fn ends(told: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut told = told;
    told.retain(|(_, transition)| transition != "updated");
    told
}

#[test]
fn both_tell_the_same_alarms_through_kills() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let subscriber = Subscriber::new(broker.port);
    let collector = MadeUp::new(|_| ok());
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let site = site_with_state(&config(
        &endpoint,
        &format!(
            "metrics_every = \"0s\"\n[output.mqtt]\nhost = \"127.0.0.1\"\nport = {}\ndevice = \"pi\"\n",
            broker.port
        ),
    ));
    let moment = |kill: usize| Duration::from_millis((kill as u64 * 23) % 130);
    kill_again_and_again(&site, KILLS, moment, |_| ());
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(KILLS));
    daemon.until_alarm("anomaly", "cleared", 1);
    let at_broker = || {
        let messages = once(subscriber.json_on("pi/alarm"));
        ends(told(&messages))
    };
    let at_collector = || {
        let came = collector.came("/v1/logs");
        let records: Vec<Value> = came.iter().flat_map(Came::records).collect();
        ends(alarms(&records))
    };
    let mut both = (Vec::new(), Vec::new());
    let mut since = std::time::Instant::now();
    until("no more alarms", || {
        let now = (at_broker(), at_collector());
        if now != both {
            since = std::time::Instant::now();
        }
        both = now;
        since.elapsed() > Duration::from_secs(2)
    });
    daemon.terminate().ok();
    let (broker, collector) = both;
    println!(
        "{} at the broker, {} at the collector",
        broker.len(),
        collector.len()
    );
    // Both tell what the service's own log knows.
    let known = known(&site);
    assert!(known.len() > KILLS / 5, "{}", known.len());
    for told in [&broker, &collector] {
        assert_eq!(untold(&known, told), []);
        // An alarm ends before the next one begins, and has one id.
        for pair in told.chunks(2) {
            assert_eq!(pair[0].1, "raised", "{pair:?}");
            assert!(
                pair.len() == 1 || (pair[1].0 == pair[0].0 && pair[1].1 == "cleared"),
                "{pair:?}"
            );
        }
    }
    // What only one was told of before the kill had begun and ended by then; all else is the same, in
    // the same order. At thousands of samples a second that is more than at one.
    let common = |one: &[(String, String)], other: &[(String, String)]| {
        let mut one = one.to_vec();
        one.retain(|told| other.contains(told));
        one
    };
    assert_eq!(common(&broker, &collector), common(&collector, &broker));
}
