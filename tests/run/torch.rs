//! The torch engine under the live service: its worker may die or hang.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anomalyd::engine::torch::locate;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::daemon::{Daemon, Site, feed, until};
use super::plant::{FAULT_ROW, plant};
use super::service::{made_up_machine, status};

/// The worker, or nothing (and why) on a machine that does not have it.
fn worker() -> Option<PathBuf> {
    match locate(None) {
        Ok(worker) => Some(worker),
        Err(error) if std::env::var_os("ANOMALYD_REQUIRE_ALL").is_none() => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The process id of the daemon's worker.
fn child_of(daemon: &Daemon) -> Pid {
    let mut found = None;
    until("a worker", || {
        found = children(daemon.id()).pop();
        found.is_some()
    });
    Pid::from_raw(found.unwrap())
}

fn children(parent: u32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut fields = rest.split(' ');
        fields.next() != Some("Z") && fields.next() == Some(&parent.to_string())
    })
    .collect()
}

#[test]
fn a_worker_that_dies_or_hangs_costs_scores_and_makes_no_alarm() {
    let Some(worker) = worker() else { return };
    let site = Site::new(&format!(
        "engine = \"torch\"\ntorch_worker = {:?}\n[source.ndjson]\n",
        worker.display().to_string()
    ));
    let mut daemon = site.run();
    daemon.until_log("engine torch, 1 source");
    let mut rows = plant().lines.iter().cycle();
    let mut sent = 0;
    let mut feed_until = |daemon: &mut Daemon, part: &str, count: usize| {
        until(&format!("{part:?}"), || {
            // Only rows without a fault.
            assert!(sent < FAULT_ROW, "{}", daemon.log());
            daemon.feed(&[rows.next().unwrap().clone()]);
            sent += 1;
            std::thread::sleep(Duration::from_millis(60));
            daemon.log().matches(part).count() >= count
        });
    };
    for _ in 0..20 {
        feed_until(&mut daemon, "watching", 1);
    }
    let first = child_of(&daemon);
    kill(first, Signal::SIGKILL).unwrap();
    feed_until(
        &mut daemon,
        "unscored, no alarm made up: the torch worker",
        1,
    );
    feed_until(&mut daemon, "scoring again; ", 1);
    let second = child_of(&daemon);
    assert_ne!(first, second);

    kill(second, Signal::SIGSTOP).unwrap();
    feed_until(
        &mut daemon,
        "unscored, no alarm made up: the torch worker",
        2,
    );
    feed_until(&mut daemon, "scoring again; ", 2);
    daemon.close_stdin();
    let finished = daemon.finish();
    assert!(finished.ok().alarms.is_empty(), "{:?}", finished.alarms);
    assert!(finished.log.contains("frames unscored"), "{}", finished.log);
    assert!(
        !finished.log.contains("samples too late"),
        "{}",
        finished.log
    );
}

#[test]
fn heat_drops_the_torch_engine_for_the_native_one_and_it_comes_back() {
    if worker().is_none() {
        return;
    }
    let site = Site::new("engine = \"torch\"\n[source.ndjson]\nlisten = \"/ingest.sock\"\n");
    made_up_machine(site.dir.path(), "60000\n");
    let daemon = site.run_as_root_folder();
    daemon.until_log("engine torch, 1 source");
    let worker = child_of(&daemon);
    let mut socket = site.connect();
    let mut lines = plant().lines[..FAULT_ROW].chunks(10).cycle();
    let mut scores_more = || {
        let before = status(&site)["scored"].as_u64();
        feed(&mut socket, lines.next().unwrap());
        until("more scores", || status(&site)["scored"].as_u64() > before);
    };
    for _ in 0..3 {
        scores_more();
    }
    let temperature = site.dir.path().join("sys/class/thermal/thermal_zone0/temp");
    fs::write(&temperature, "81000\n").unwrap();
    daemon.until_log("degraded: the torch engine is dropped for the native one");
    until("the native engine", || status(&site)["engine"] == "native");
    assert!(
        children(daemon.id()).is_empty(),
        "worker {worker} is still there"
    );
    scores_more();
    fs::write(&temperature, "60000\n").unwrap();
    // It must have been cool for a minute.
    std::thread::sleep(Duration::from_secs(30));
    daemon.until_log("recovering: nothing is left out");
    until("the torch engine", || status(&site)["engine"] == "torch");
    scores_more();
    daemon.terminate().ok();
}

#[test]
fn both_engines_raise_the_same_alarms() {
    let Some(worker) = worker() else { return };
    let site = Site::new(&format!(
        "engine = \"torch\"\ntorch_worker = {:?}\n[source.ndjson]\n",
        worker.display().to_string()
    ));
    let mut daemon = site.run();
    let lines = &plant().lines[..FAULT_ROW + 300];
    daemon.feed(lines);
    daemon.close_stdin();
    let finished = daemon.finish();
    let ids = |alarms: &[String]| -> Vec<(String, String)> {
        let alarms = alarms.iter().map(|line| super::plant::parsed(line));
        alarms
            .map(|event| (event["id"].to_string(), event["transition"].to_string()))
            .collect()
    };
    assert_eq!(ids(&finished.ok().alarms), ids(&plant().replayed(lines)));
}
