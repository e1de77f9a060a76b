//! Clients that are slow, greedy, rude or somebody else's: refused within bounds, while detection
//! goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::client::{address, closes_within, get, request, try_request};
use super::daemon::{Daemon, Site, feed, until};
use super::plant::{FAULT_ROW, plant};
use super::{WEB, metrics};

fn resident_kilobytes(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// The debug build's own size is another one; what clients cost on top is not.
const MORE_KILOBYTES: u64 = 8_000;

#[test]
fn five_hundred_open_connections_hurt_nobody() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..FAULT_ROW - 10]);
    until("the frames", || {
        metrics::value(&get(at, "/metrics").text, "anomalyd_frames_total") > Some(600.0)
    });
    let before = resident_kilobytes(&daemon);
    let mut crowd: Vec<TcpStream> = Vec::new();
    for i in 0..500 {
        let mut stream = TcpStream::connect(at).unwrap();
        // A half request each, of different lengths.
        let _ = stream.write_all(format!("GET /{} HTTP/1.1\r\nHost: lo", "x".repeat(i)).as_bytes());
        crowd.push(stream);
    }
    feed(&mut client, &plant().lines[FAULT_ROW - 10..FAULT_ROW + 60]);
    let alarm = daemon.until_alarm("anomaly", "raised", 1);
    assert!(alarm["id"].is_string());
    let during = resident_kilobytes(&daemon);
    assert!(
        during < before + MORE_KILOBYTES,
        "{before} kB, then {during} kB"
    );
    // Others of this address are told to come again, at once.
    let started = Instant::now();
    let refused = try_request(
        at,
        format!("GET /healthz HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes(),
    );
    assert!(refused.is_none_or(|answer| answer.status == 503));
    assert!(started.elapsed() < Duration::from_secs(2));
    // Those who say no more are let go, and then there is room again.
    let mut held = crowd.drain(..48);
    assert!(closes_within(
        held.next().as_mut().unwrap(),
        Duration::from_secs(30)
    ));
    drop(held);
    until("room", || {
        try_request(
            at,
            format!("GET /healthz HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes(),
        )
        .is_some_and(|answer| answer.status == 200)
    });
    let text = get(at, "/metrics").text;
    let refused = metrics::value(&text, "anomalyd_web_connections_refused_total").unwrap();
    assert!(refused >= 452.0, "{refused}");
    daemon.terminate().ok();
}

#[test]
fn what_is_no_proper_request_is_refused() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    let refused = |request: &str| try_request(at, request.as_bytes()).map(|answer| answer.status);
    // Huge heads, many headers, a long path.
    let long = "x".repeat(200_000);
    let many: String = (0..1_000).map(|i| format!("X-{i}: 1\r\n")).collect();
    for (request, statuses) in [
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
            [431, 431],
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
            [431, 431],
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            [414, 431],
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), [421, 400]),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n".to_owned(),
            [421, 400],
        ),
        (
            "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(),
            [400, 505],
        ),
        (
            "GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            [400, 400],
        ),
        ("\x16\x03\x01\x02\0\x01".to_owned(), [400, 400]),
        ("{\"do\":\"reload\"}\n\n".to_owned(), [400, 400]),
    ] {
        let shown: String = request.chars().take(40).collect();
        let got = refused(&request);
        assert!(
            got.is_none() || got.is_some_and(|got| statuses.contains(&got)),
            "{shown:?}: {got:?}"
        );
    }
    // Paths out of the way, in all their spellings.
    for path in [
        "/..",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page.js/",
        "/page.js%00",
        "/PAGE.JS",
        "/./page.js",
        "/api",
        "/api/",
        "/api/state/",
        "/metrics/x",
        "/etc/anomalyd/anomalyd.toml",
        "/\\..\\x",
    ] {
        assert_eq!(get(at, path).status, 404, "{path}");
    }
    // Methods.
    for (method, path, status) in [
        ("POST", "/", 405),
        ("DELETE", "/metrics", 405),
        ("PUT", "/api/state", 405),
        ("OPTIONS", "/api/ack", 405),
        ("GET", "/api/ack", 405),
        ("TRACE", "/", 405),
        ("BREW", "/healthz", 405),
        ("POST", "/readyz", 405),
    ] {
        let answer = request(
            at,
            &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
        );
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
    // Queries.
    for query in [
        "seconds=x",
        "seconds=-1",
        "seconds=99999999999999999999",
        "sensor=%ff",
        "a=b",
        "seconds=60&sensor=%",
    ] {
        assert_eq!(
            get(at, &format!("/api/history?{query}")).status,
            400,
            "{query}"
        );
    }
    assert_eq!(get(at, "/healthz").status, 200);
    daemon.terminate().ok();
}

#[test]
fn another_name_for_this_machine_is_refused() {
    let site = Site::new(&format!("{WEB}hosts = \"scada.example.org\"\n"));
    let daemon = site.run();
    let at = address(&daemon);
    let ask = |path: &str, host: &str| {
        request(at, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    for path in [
        "/",
        "/metrics",
        "/api/state",
        "/api/events",
        "/api/history",
        "/api/session",
    ] {
        assert_eq!(ask(path, "evil.example"), 421, "{path}");
        assert_eq!(
            ask(path, &format!("evil.example:{}", at.port())),
            421,
            "{path}"
        );
    }
    assert_eq!(ask("/metrics", "scada.example.org"), 200);
    assert_eq!(ask("/metrics", "192.168.7.7:8080"), 200);
    assert_eq!(
        ask("/healthz", "evil.example"),
        200,
        "a load balancer's name is its own affair"
    );
    daemon.terminate().ok();
}

/// Takes nothing of a large answer.
fn sleeper(at: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).unwrap();
    let asked = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n").repeat(40);
    let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
    let _ = stream.write_all(asked.as_bytes());
    stream
}

#[test]
fn clients_that_sleep_are_let_go_and_detection_goes_on() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..FAULT_ROW - 10]);
    until("a point", || get(at, "/api/state").text.contains("FIT101"));
    let before = resident_kilobytes(&daemon);
    // Some that never end their head, some that never end their body, some that read nothing.
    let mut heads: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(at).unwrap()).collect();
    for head in &mut heads {
        head.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    }
    let mut bodies: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(at).unwrap()).collect();
    for body in &mut bodies {
        let head = format!(
            "POST /api/login HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{{"
        );
        body.write_all(head.as_bytes()).unwrap();
    }
    let mut readers: Vec<TcpStream> = (0..8).map(|_| sleeper(at, "/api/state")).collect();
    let pages: Vec<TcpStream> = (0..20).map(|_| sleeper(at, "/api/events")).collect();
    // A byte now and then does not help.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(12) {
        for head in &mut heads {
            let _ = head.write_all(b"X");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    feed(&mut client, &plant().lines[FAULT_ROW - 10..FAULT_ROW + 60]);
    daemon.until_alarm("anomaly", "raised", 1);
    let during = resident_kilobytes(&daemon);
    assert!(
        during < before + MORE_KILOBYTES,
        "{before} kB, then {during} kB"
    );
    for stream in heads.iter_mut().chain(&mut bodies) {
        assert!(closes_within(stream, Duration::from_secs(20)));
    }
    until("the sleepers to be let go", || {
        let text = get(at, "/metrics").text;
        metrics::value(&text, "anomalyd_web_connections").is_some_and(|open| open <= 21.0)
    });
    let clients = metrics::value(&get(at, "/metrics").text, "anomalyd_web_event_clients").unwrap();
    assert!(clients <= 16.0, "{clients}");
    drop(pages);
    let mut rest = Vec::new();
    let _ = readers[0].read_to_end(&mut rest);
    daemon.terminate().ok();
}
