//! The page, the metrics and the health checks as their users and their enemies meet them: the real
//! program, asked over real connections.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]
// What the tests of `run` need of the shared files.
#![allow(dead_code)]

#[path = "web/client.rs"]
mod client;
#[path = "run/daemon.rs"]
mod daemon;
#[path = "web/history.rs"]
mod history;
#[path = "web/hostile.rs"]
mod hostile;
#[path = "web/metrics.rs"]
mod metrics;
#[path = "web/password.rs"]
mod password;
#[path = "run/plant.rs"]
mod plant;

use std::time::Duration;

use client::{Events, address, get, request};
use daemon::{Site, feed, until};
use plant::{FAULT_ROW, plant};
use serde_json::Value;

/// A socket for samples, and the page on a free port of this machine.
pub const WEB: &str = "[source.ndjson]\nlisten = \"@/ingest.sock\"\n[web]\nenabled = true\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn the_page_is_whole_in_itself_and_stands_in_no_other() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    let page = get(at, "/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    // All that it asks for is here.
    let mut asked = Vec::new();
    for part in page.text.split("=\"/").skip(1) {
        asked.push(format!("/{}", part.split('"').next().unwrap()));
    }
    for script in ["/page.js", "/plot.js", "/graph.js"] {
        asked.push(script.to_owned());
    }
    for path in asked {
        let found = get(at, &path);
        assert_eq!(found.status, 200, "{path}");
        let elsewhere = found.text.replace("http://www.w3.org/", "");
        assert!(
            !elsewhere.contains("http://") && !elsewhere.contains("https://"),
            "{path} names another server"
        );
    }
    let tag = page.header("etag").to_owned();
    let again = request(
        at,
        &format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n"),
    );
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let head = request(at, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), page.text.len().to_string());
    daemon.terminate().ok();
}

#[test]
fn a_page_is_told_everything_and_then_each_point_and_each_alarm() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..60]);
    until("a first point", || {
        let state: Value = serde_json::from_str(&get(at, "/api/state").text).unwrap();
        !state["now"].is_null() && !state["service"].is_null()
    });
    let mut events = Events::open(at);
    let hello = events.until("hello");
    assert_eq!(hello["plant"]["sensors"].as_array().unwrap().len(), 51);
    assert!(!hello["plant"]["edges"].as_array().unwrap().is_empty());
    assert_eq!(hello["now"]["values"].as_array().unwrap().len(), 51);
    assert_eq!(hello["service"]["status"]["state"], "watching");
    // One row after the other, as a plant gives them, and then the fault.
    for row in plant().lines[60..64].iter() {
        feed(&mut client, std::slice::from_ref(row));
        std::thread::sleep(Duration::from_millis(950));
    }
    let point = events.until("point");
    assert!(point["score"].as_f64().unwrap() >= 0.0, "{point}");
    let close = point["values"].as_array().unwrap().iter();
    let close = close.zip(point["expected"].as_array().unwrap());
    assert!(
        close
            .clone()
            .all(|(value, expected)| value.is_number() && expected.is_number())
    );

    feed(&mut client, &plant().lines[64..FAULT_ROW + 30]);
    let alarm = events.until("alarm");
    assert_eq!(alarm["kind"], "anomaly");
    let told = daemon.until_alarm("anomaly", "raised", 1);
    assert_eq!(alarm["id"], told["id"]);
    assert_eq!(alarm["sensors"][0]["sensor"], told["sensors"][0]["sensor"]);
    assert_eq!(
        alarm["plots"].as_array().unwrap().len(),
        told["sensors"].as_array().unwrap().len()
    );
    // A page that comes later has it too, and so has one after a restart.
    let listed = |at| {
        let state: Value = serde_json::from_str(&get(at, "/api/state").text).unwrap();
        state["alarms"].clone()
    };
    assert_eq!(listed(at)[0]["id"], told["id"]);
    daemon.terminate().ok();
}

#[test]
fn what_was_raised_before_a_restart_is_listed() {
    let site = Site::new(WEB);
    std::fs::create_dir(site.path("state")).unwrap();
    let daemon = site.run();
    feed(&mut site.connect(), &plant().lines);
    let told = daemon.until_alarm("anomaly", "cleared", 1);
    daemon.terminate().ok();
    let daemon = site.run();
    let state: Value = serde_json::from_str(&get(address(&daemon), "/api/state").text).unwrap();
    let known = state["alarms"].as_array().unwrap();
    assert!(
        known.iter().any(|alarm| alarm["id"] == told["id"]),
        "{known:?}"
    );
    daemon.terminate().ok();
}

#[test]
fn health_and_readiness_are_told_apart() {
    let site = Site::new("");
    std::fs::create_dir(site.path("state")).unwrap();
    let config = "\
state_directory = \"state\"
control_socket = \"control.sock\"
model = \"state/models/current.pt\"
[source.simulator]
[web]
enabled = true
listen = \"127.0.0.1:0\"
";
    std::fs::write(site.config(), config).unwrap();
    let daemon = site.run();
    let at = address(&daemon);
    until("learning", || get(at, "/readyz").text == "learning\n");
    assert_eq!(get(at, "/readyz").status, 503);
    assert_eq!(get(at, "/healthz").status, 200);
    daemon.terminate().ok();

    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    until("watching", || get(at, "/readyz").status == 200);
    assert_eq!(get(at, "/readyz").text, "watching\n");
    assert_eq!(get(at, "/healthz").text, "watching\n");
    daemon.terminate().ok();
}

#[test]
fn a_reload_moves_the_page_and_a_port_that_is_taken_costs_the_page_only() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let before = address(&daemon);
    daemon.reload();
    daemon.until_logged("reloaded:", 1);
    assert_eq!(get(before, "/healthz").status, 200, "the same goes on");

    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    site.write(&WEB.replace("127.0.0.1:0", &taken.to_string()));
    daemon.reload();
    daemon.until_log(&format!("{taken}: no page and no metrics: "));
    assert!(std::net::TcpStream::connect(before).is_err());
    feed(&mut site.connect(), &plant().lines[..FAULT_ROW + 30]);
    daemon.until_alarm("anomaly", "raised", 1);

    drop(other);
    site.write(
        &WEB.replace("127.0.0.1:0", &taken.to_string())
            .replace("enabled = true", "enabled = false"),
    );
    daemon.reload();
    daemon.until_logged("reloaded:", 3);
    site.write(&WEB.replace("127.0.0.1:0", &taken.to_string()));
    daemon.reload();
    daemon.until_log(&format!("page and metrics at http://{taken}"));
    assert_eq!(get(taken, "/healthz").status, 200);
    let started = std::time::Instant::now();
    let kept_open = Events::open(taken);
    daemon.terminate().ok();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "an open page keeps nobody from ending"
    );
    drop(kept_open);
}
