//! The service towards systemd, and the commands that talk to it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::SOCKET;
use super::daemon::{PATIENCE, Site, feed, until};
use super::plant::{FAULT_ROW, anomalyd, plant};

/// Runs a command that asks the service of `site`.
fn ask(site: &Site, args: &[&str]) -> Output {
    let mut command = anomalyd();
    command.args(args).arg("--config").arg(site.config());
    command.output().unwrap()
}

pub fn status(site: &Site) -> serde_json::Value {
    let output = ask(site, &["status", "--json"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The messages that a service sends to systemd.
struct Notices(UnixDatagram);

impl Notices {
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// The next message with `part`.
    fn until(&self, part: &str) -> String {
        loop {
            let notice = self.next();
            if notice.lines().any(|line| line.starts_with(part)) {
                return notice;
            }
        }
    }
}

#[test]
fn systemd_is_told_of_progress_and_how_it_stands() {
    let site = Site::new(SOCKET);
    let path = site.path("notify.sock");
    let notices = Notices(UnixDatagram::bind(&path).unwrap());
    notices.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let env = [
        ("NOTIFY_SOCKET", path.as_path()),
        ("WATCHDOG_USEC", Path::new("200000")),
    ];
    let daemon = site.run_with(Stdio::null(), &env);
    let ready = notices.next();
    assert!(
        ready.starts_with("READY=1\nSTATUS=watching 51 sensors"),
        "{ready}"
    );
    let line = notices.until("STATUS=");
    assert!(
        line.contains("samples/s") && line.contains("engine native"),
        "{line}"
    );

    for _ in 0..3 {
        notices.until("WATCHDOG=1");
    }
    daemon.terminate().ok();
}

#[test]
fn the_commands_reach_the_service() {
    let site = Site::new(SOCKET);
    let nobody = ask(&site, &["status"]);
    assert_eq!(nobody.status.code(), Some(1));
    let error = String::from_utf8_lossy(&nobody.stderr);
    assert!(error.contains("does not run here"), "{error}");

    let daemon = site.run();
    let mut client = site.connect();
    feed(&mut client, &plant().lines);
    let alarm = daemon.until_alarm("anomaly", "raised", 1);
    let status = status(&site);
    assert_eq!(status["state"], "watching");
    assert_eq!(status["sensors"]["total"], 51);
    assert_eq!(status["engine"], "native");
    assert_eq!(status["sources"][0]["state"], "connected");
    assert!(status["frames"].as_u64().unwrap() > 100, "{status}");
    assert!(status["latency_p99_ms"].as_f64().unwrap() > 0.0, "{status}");
    assert!(
        status["health"]["rss_bytes"].as_u64().unwrap() > 1_000_000,
        "{status}"
    );
    let text = String::from_utf8(ask(&site, &["status"]).stdout).unwrap();
    assert!(
        text.contains("watching   model normal 1 (2 heads), engine native"),
        "{text}"
    );
    let id = alarm["id"].as_str().unwrap();

    let reloaded = ask(&site, &["reload"]);
    let said = String::from_utf8_lossy(&reloaded.stdout);
    assert!(said.starts_with("reloaded: watching 51 sensors"), "{said}");
    site.write("[source]\nnonsense = 1\n");
    let socket = site.path("control.sock");
    let refused = ask(&site, &["reload", "--socket", socket.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("nonsense") && said.contains("stays"),
        "{said}"
    );
    site.write(SOCKET);

    let said = String::from_utf8(ask(&site, &["ack", id, "--real"]).stdout).unwrap();
    assert!(said.contains(id), "{said}");
    let wrong = ask(&site, &["ack", "zzzz", "--normal"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("zzzz"));
    let said = String::from_utf8(ask(&site, &["mute", "LIT101", "--for", "2h"]).stdout).unwrap();
    assert!(said.contains("LIT101"), "{said}");
    let status = self::status(&site);
    assert_eq!(status["muted"][0]["what"], "LIT101");
    assert!(ask(&site, &["unmute", "LIT101"]).status.success());
    assert_eq!(ask(&site, &["unmute", "LIT101"]).status.code(), Some(1));

    let finished = daemon.terminate();
    finished.ok();
    assert!(
        finished.took < Duration::from_secs(5),
        "{:?}",
        finished.took
    );
    assert!(!site.path("control.sock").exists());
}

#[test]
fn what_is_known_of_an_alarm_survives_a_kill() {
    let site = Site::new(SOCKET);
    std::fs::create_dir(site.path("state")).unwrap();
    let daemon = site.run();
    let (before, after) = plant().lines.split_at(FAULT_ROW + 60);
    feed(&mut site.connect(), before);
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    let id = raised["id"].as_str().unwrap().to_owned();
    let saved = site.path("state/state.json");
    until("the state on disk", || {
        std::fs::read_to_string(&saved).is_ok_and(|state| state.contains(&id))
    });
    daemon.signal(Signal::SIGKILL);
    daemon.finish();

    let daemon = site.run();
    daemon.until_log(&format!("alarm {id} stands"));
    let mut client = site.connect();
    let open = status(&site)["alarms"]["open"].clone();
    assert_eq!(open[0]["id"], id.as_str());
    assert!(ask(&site, &["ack", &id, "--real"]).status.success());
    feed(&mut client, after);
    let cleared = daemon.until_alarm("anomaly", "cleared", 1);
    assert_eq!(cleared["id"], id.as_str());
    assert_eq!(cleared["verdict"], "real");
    assert_eq!(
        status(&site)["alarms"]["week_confirmed"],
        0,
        "it is of another year"
    );
    daemon.terminate().ok();
    let explained = String::from_utf8(ask(&site, &["explain", &id]).stdout).unwrap();
    assert!(explained.contains("confirmed as real"), "{explained}");
}

#[test]
fn without_a_model_it_learns_one_and_watches() {
    let site = Site::new("");
    std::fs::create_dir(site.path("state")).unwrap();
    let config = "\
state_directory = \"state\"
control_socket = \"control.sock\"
model = \"state/models/current.pt\"
learn_for = \"30m\"
[source.simulator]
rate = 200.0
";
    std::fs::write(site.config(), config).unwrap();
    let daemon = site.run();
    daemon.until_log("learning, for there is no model");
    let learning = status(&site);
    assert_eq!(learning["state"], "learning");
    // Ended half-way, it goes on where it was.
    until("something to go on from", || {
        let text = status(&site)["state_text"].as_str().unwrap().to_owned();
        text.contains(" s of 30 min")
    });
    daemon.terminate().ok();
    let daemon = site.run();
    daemon.until_log("learned from");
    daemon.until_log("reloaded: watching 51 sensors every 1s: model plant 1, engine native");
    until("a score", || status(&site)["scored"].as_u64() > Some(0));
    assert_eq!(status(&site)["state"], "watching");
    daemon.terminate().ok();
    let daemon = site.run();
    daemon.until_log("watching 51 sensors every 1s: model plant 1");
    daemon.terminate().ok();
}

/// A machine without the memory controller, as a Raspberry Pi's firmware starts it.
pub fn made_up_machine(root: &Path, millicelsius: &str) {
    for (path, content) in [
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", millicelsius),
        ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n"),
        ("proc/self/cgroup", "0::/system.slice/anomalyd.service\n"),
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("dev/vcio", "50000"),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

#[test]
fn a_hot_machine_is_told_of_and_alarms_say_what_was_left_out() {
    let site = Site::new("[source.ndjson]\nlisten = \"/ingest.sock\"\n");
    made_up_machine(site.dir.path(), "86000\n");
    let daemon = site.run_as_root_folder();
    daemon.until_log("watching 51 sensors");
    let missing = "the kernel has no memory controller, so MemoryMax= does nothing";
    assert_eq!(daemon.log().matches(missing).count(), 1, "{}", daemon.log());
    // Two steps down the ladder, each after ten seconds.
    daemon.until_log("degraded: every second sample is scored (temperature 86");
    let status = status(&site);
    assert_eq!(status["state"], "degraded");
    assert_eq!(status["board"], "Raspberry Pi 4 Model B Rev 1.4");
    assert!(
        status["health_text"]
            .as_str()
            .unwrap()
            .starts_with("86 C, not throttled")
    );

    feed(&mut site.connect(), &plant().lines);
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    let degraded = raised["degraded"].as_str().unwrap();
    assert!(
        degraded.contains("every second sample is scored"),
        "{degraded}"
    );
    assert_eq!(daemon.log().matches(missing).count(), 1);
    daemon.terminate().ok();
}
