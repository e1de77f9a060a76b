//! Collectors that are busy, broken or none, and a daemon that is killed.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::{Daemon, feed, until};
use super::faults::{cycle, kill_again_and_again, known, until_full_and_within_its_limit, untold};
use super::made_up::{Came, MadeUp, Reply, ok};
use super::{alarms, plant, site, until_all_has_come, word};

const LOGS: &str = "/v1/logs";
const ONLY_LOGS: &str = "metrics_every = \"0s\"\n";

/// The records that were answered with 200 by [`ok`], or that were sent at all.
fn records(came: &[Came]) -> Vec<Value> {
    came.iter().flat_map(Came::records).collect()
}

fn fault(collector: &MadeUp) -> (super::Site, Daemon) {
    let site = site(collector.port, ONLY_LOGS);
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(0));
    daemon.until_alarm("anomaly", "cleared", 1);
    (site, daemon)
}

/// The first time `reply`, and then everything is taken. All must come in the end.
fn comes_after(reply: impl Fn() -> Reply + Send + Sync + 'static, logged: &str) -> Vec<Came> {
    let asked = AtomicUsize::new(0);
    let collector = MadeUp::new(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => reply(),
        _ => ok(),
    });
    let (_site, daemon) = fault(&collector);
    daemon.until_log(logged);
    daemon.until_log("log records wait for it");
    until_all_has_come(&[], &daemon, || records(&collector.came(LOGS)));
    daemon.terminate().ok();
    collector.came(LOGS)
}

#[test]
fn a_busy_collector_is_left_alone_for_as_long_as_it_says() {
    for (status, what) in [
        ("429 Too Many Requests", "429"),
        ("503 Service Unavailable", "503"),
    ] {
        let head = format!("{status}\r\nRetry-After: 3");
        let came = comes_after(
            move || Reply::Http(head.clone(), String::new()),
            &format!("is busy ({what}"),
        );
        let waited = came[1].at - came[0].at;
        assert!(waited >= Duration::from_secs(3), "{waited:?}");
        assert_eq!(came[0].records()[0], came[1].records()[0]);
    }
}

#[test]
fn answers_that_are_no_collectors_take_nothing_out_of_the_queue() {
    for (bytes, logged) in [
        (&b"\x00\x01garbage\r\n\r\n"[..], "does not speak HTTP"),
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "broke off its answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
            "not as a collector does",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "is no collector's address",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            "more than a collector does",
        ),
    ] {
        comes_after(move || Reply::Raw(bytes.to_vec()), logged);
    }
}

#[test]
fn a_slow_collector_holds_up_neither_scoring_nor_the_end() {
    let collector = MadeUp::new(|_| Reply::Late(Duration::from_secs(60)));
    let (site, daemon) = fault(&collector);
    until("a request", || !collector.came(LOGS).is_empty());
    let begun = Instant::now();
    feed(&mut site.connect(), &cycle(1));
    daemon.until_alarm("anomaly", "cleared", 2);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    daemon.until_log("does not answer within 10 s");
    collector.say(|_| ok());
    until_all_has_come(&[], &daemon, || records(&collector.came(LOGS)));
    collector.say(|_| Reply::Late(Duration::from_secs(60)));
    feed(&mut site.connect(), &cycle(2));
    daemon.until_alarm("anomaly", "raised", 3);
    let finished = daemon.terminate();
    assert!(
        finished.ok().took < Duration::from_secs(9),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_record_that_is_refused_is_left_out_and_only_that() {
    let is_refused = |one: &Value| word(one, "anomalyd.alarm.transition") == "cleared";
    let collector = MadeUp::new(|_| Reply::Http("503 Busy".into(), String::new()));
    let (_site, daemon) = fault(&collector);
    until("a request", || !collector.came(LOGS).is_empty());
    collector.say(move |came| match came.records().iter().any(is_refused) {
        true => Reply::Http(
            "400 Bad Request".into(),
            r#"{"message":"no cleared"}"#.into(),
        ),
        false => ok(),
    });
    daemon.until_log("a record left out: ");
    daemon.until_log("no cleared");
    let taken = collector.came(LOGS);
    let taken = taken
        .iter()
        .filter(|came| !came.records().iter().any(is_refused));
    let taken: Vec<Value> = taken.flat_map(Came::records).collect();
    assert_eq!(alarms(&taken)[0].1, "raised");
    // A partial success is told, and not sent again.
    collector.say(|_| {
        Reply::Http(
            "200 OK".into(),
            r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#.into(),
        )
    });
    feed(&mut _site.connect(), &cycle(1));
    daemon.until_log("does not take 1 of what was sent: too old");
    daemon.until_alarm("anomaly", "cleared", 2);
    std::thread::sleep(Duration::from_millis(1_500));
    let mut uids: Vec<String> = records(&collector.came(LOGS))
        .iter()
        .map(|one| word(one, "log.record.uid"))
        .filter(|uid| uid.starts_with(daemon.alarms().last().unwrap()["id"].as_str().unwrap()))
        .collect();
    let all = uids.len();
    uids.dedup();
    assert_eq!(uids.len(), all, "{uids:?}");
    daemon.terminate().ok();
}

#[test]
fn kills_of_the_daemon_lose_no_alarm_and_give_none_two_ids() {
    const KILLS: usize = 20;
    // Away half of the time, so that something waits when the daemon is killed.
    let away = Arc::new(AtomicUsize::new(0));
    let is_away = Arc::clone(&away);
    let collector = MadeUp::new(move |_| match is_away.load(Ordering::SeqCst) {
        0 => ok(),
        _ => Reply::Raw(Vec::new()),
    });
    let site = site(collector.port, ONLY_LOGS);
    let moment = |kill: usize| Duration::from_millis((kill as u64 * 37) % 120);
    kill_again_and_again(&site, KILLS, moment, |kill| {
        away.store(kill % 2, Ordering::SeqCst);
    });
    away.store(0, Ordering::SeqCst);
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(KILLS));
    daemon.until_alarm("anomaly", "cleared", 1);
    // No alarm is lost: what the service's own log knows was told.
    until("all that the log knows", || {
        let all = alarms(&records(&collector.came(LOGS)));
        untold(&known(&site), &all).is_empty()
    });
    daemon.terminate().ok();
    let known = known(&site);
    assert!(known.len() > KILLS / 5, "{}", known.len());
    // None has two ids, and the order is that of time: an alarm ends before the next one begins.
    let mut stands: Option<String> = None;
    let mut seen = std::collections::HashSet::new();
    let all = records(&collector.came(LOGS));
    println!("{} alarms, {} records came", known.len(), all.len());
    for one in all {
        let is_anomaly = word(&one, "anomalyd.alarm.kind") == "anomaly";
        if !is_anomaly || !seen.insert(word(&one, "log.record.uid")) {
            continue;
        }
        let id = word(&one, "anomalyd.alarm.id");
        match word(&one, "anomalyd.alarm.transition").as_str() {
            "raised" => {
                assert_eq!(stands, None, "{id} raised while another one stands");
                stands = Some(id);
            }
            "cleared" => {
                assert_eq!(stands.as_ref(), Some(&id), "{id} cleared");
                stands = None;
            }
            _ => assert_eq!(stands.as_ref(), Some(&id), "{id} updated"),
        }
    }
}

#[test]
fn a_collector_that_stays_away_fills_the_queue_to_its_limit_and_it_is_said() {
    let site = site(
        super::peer::free_port(),
        "queue_bytes = 65536\nmetrics_every = \"0s\"\n",
    );
    let daemon = site.run();
    let mut stream = site.connect();
    for number in 0..50 {
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number + 1);
    }
    daemon.until_log("too much waits for http://127.0.0.1");
    daemon.until_log("output.otlp.queue_bytes");
    until_full_and_within_its_limit(&site.path("state/queue-otlp"));
    daemon.terminate().ok();
    // One without a folder for its state says so, and works.
    std::fs::remove_dir_all(site.path("state")).unwrap();
    let daemon = site.run();
    daemon.until_log("what waits for the collector is kept in memory only");
    daemon.terminate().ok();
}

#[test]
fn what_waited_comes_no_faster_than_is_allowed() {
    let collector = MadeUp::new(|_| Reply::Http("503 Busy".into(), String::new()));
    let more = "metrics_every = \"0s\"\ncatch_up_per_second = 2\n";
    let site = site(collector.port, more);
    let daemon = site.run();
    let mut stream = site.connect();
    for number in 0..4 {
        feed(&mut stream, &cycle(number));
        daemon.until_alarm("anomaly", "cleared", number + 1);
    }
    let away = collector.came(LOGS).len();
    collector.say(|_| ok());
    until_all_has_come(&[], &daemon, || records(&collector.came(LOGS)));
    let came = collector.came(LOGS).split_off(away);
    let took = came.last().unwrap().at - came[0].at;
    let behind_the_first = records(&came[1..]).len() as f64;
    // Two at once, and two a second from then on.
    let least = (behind_the_first - 2.0) / 2.0;
    assert!(
        least > 1.0 && took.as_secs_f64() >= least * 0.9,
        "{took:?}, {behind_the_first}"
    );
    daemon.terminate().ok();
}

#[test]
fn headers_are_sent_and_never_logged() {
    let collector = MadeUp::new(|came| match came.head.contains("Bearer s3cret") {
        true => ok(),
        false => Reply::Http("401 Unauthorized".into(), String::new()),
    });
    let site = site(
        collector.port,
        "headers_file = \"@/headers\"\nmetrics_every = \"0s\"\n",
    );
    std::fs::write(site.path("headers"), "Authorization: Bearer wr0ng\n").unwrap();
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(0));
    daemon.until_log("does not let us in (401 Unauthorized); check headers_file");
    std::fs::write(site.path("headers"), "Authorization: Bearer s3cret\n").unwrap();
    daemon.reload();
    daemon.until_log("connected to");
    until_all_has_come(&[], &daemon, || {
        let came = collector.came(LOGS);
        let taken = came.iter().filter(|came| came.head.contains("s3cret"));
        taken.flat_map(Came::records).collect()
    });
    let log = daemon.log();
    assert!(!log.contains("s3cret") && !log.contains("wr0ng"), "{log}");
    daemon.terminate().ok();
}

#[test]
fn both_queues_are_checked_and_repaired() {
    let site = site(super::peer::free_port(), "");
    let daemon = site.run();
    feed(&mut site.connect(), &cycle(0));
    daemon.until_alarm("anomaly", "cleared", 1);
    daemon.until_log("alarms wait in the queue");
    daemon.terminate().ok();
    let folder = site.path("state/queue-otlp");
    let queue = |command: &str, json: bool| {
        let mut queue: Command = plant::anomalyd();
        queue
            .args(["queue", command, "--config"])
            .arg(site.config());
        if json {
            queue.arg("--json");
        }
        let output = queue.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (status, text) = queue("check", false);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("queue-otlp\n"), "{text}");
    let (_, json) = queue("check", true);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(
        json["queue-otlp"]["alarm"]["waiting"].as_u64() >= Some(2),
        "{json}"
    );
    // A torn tail.
    let file = std::fs::read_dir(&folder)
        .unwrap()
        .map(|one| one.unwrap().path());
    let file = file
        .filter(|one| one.display().to_string().contains("alarm-"))
        .max()
        .unwrap();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    assert_eq!(queue("check", false).0, 65);
    let (status, text) = queue("repair", false);
    assert!(status == 0 && text.contains("repaired"), "{text}");
    assert_eq!(queue("check", false).0, 0);
}
