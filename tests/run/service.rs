//! The service towards systemd, and the commands that talk to it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use super::SOCKET;
use super::daemon::{PATIENCE, Site, feed};
use super::plant::{anomalyd, plant};

/// Runs a command that asks the service of `site`.
fn ask(site: &Site, args: &[&str]) -> Output {
    let mut command = anomalyd();
    command.args(args).arg("--config").arg(site.config());
    command.output().unwrap()
}

fn status(site: &Site) -> serde_json::Value {
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
    for _ in 0..3 {
        notices.until("WATCHDOG=1");
    }
    let line = notices.until("STATUS=");
    assert!(
        line.contains("samples/s") && line.contains("engine native"),
        "{line}"
    );

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
