//! What may be changed, by whom.

use std::net::SocketAddr;

use serde_json::Value;

use super::WEB;
use super::client::{Answer, address, get, post, request};
use super::daemon::{Daemon, Site, feed, until};
use super::plant::{FAULT_ROW, plant};

const PASSWORD: &str = "open sesame";

fn with_password() -> (Site, Daemon, SocketAddr) {
    let site = Site::new(WEB);
    std::fs::write(site.path("password"), format!("{PASSWORD}\n")).unwrap();
    site.write(&format!("{WEB}password_file = \"@/password\"\n"));
    let daemon = site.run();
    let at = address(&daemon);
    (site, daemon, at)
}

fn sign_in(at: SocketAddr, password: &str) -> Answer {
    let body = serde_json::json!({ "password": password }).to_string();
    post(at, "/api/login", &body, "")
}

/// The cookie header of who has signed in.
fn cookie(at: SocketAddr) -> String {
    let answer = sign_in(at, PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
}

const CHANGES: [(&str, &str); 3] = [
    ("/api/ack", r#"{"alarm":"a7k2","as":"real"}"#),
    ("/api/mute", r#"{"what":"FIT101","seconds":3600}"#),
    ("/api/unmute", r#"{"what":"FIT101"}"#),
];

#[test]
fn without_a_password_nothing_can_be_changed() {
    let site = Site::new(WEB);
    let daemon = site.run();
    let at = address(&daemon);
    feed(&mut site.connect(), &plant().lines[..60]);
    for (path, body) in CHANGES {
        let answer = post(at, path, body, "Cookie: anomalyd=0\r\n");
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(
            answer.json()["text"]
                .as_str()
                .unwrap()
                .contains("web.password_file")
        );
    }
    assert_eq!(sign_in(at, "").status, 403);
    let session = get(at, "/api/session").json();
    assert_eq!(
        session,
        serde_json::json!({"password": false, "signed_in": false})
    );
    daemon.terminate().ok();
}

#[test]
fn who_signs_in_acknowledges_and_mutes() {
    let (site, daemon, at) = with_password();
    let mut client = site.connect();
    feed(&mut client, &plant().lines[..FAULT_ROW + 60]);
    let alarm = daemon.until_alarm("anomaly", "raised", 1);
    let id = alarm["id"].as_str().unwrap();
    for (path, body) in CHANGES {
        assert_eq!(post(at, path, body, "").status, 401, "{path}");
        let guessed = format!("Cookie: anomalyd={}\r\n", "0".repeat(64));
        assert_eq!(post(at, path, body, &guessed).status, 401, "{path}");
    }
    let cookie = cookie(at);
    let session = request(
        at,
        &format!("GET /api/session HTTP/1.1\r\nHost: {at}\r\n{cookie}\r\n"),
    );
    assert_eq!(session.json()["signed_in"], true);

    let acked = post(
        at,
        "/api/ack",
        &format!(r#"{{"alarm":"{id}","as":"normal"}}"#),
        &cookie,
    );
    assert_eq!(
        (acked.status, &acked.json()["ok"]),
        (200, &Value::Bool(true))
    );
    until("the verdict", || {
        get(at, "/api/state").json()["alarms"][0]["verdict"] == "normal"
    });
    let unknown = post(at, "/api/ack", r#"{"alarm":"zzzz","as":"real"}"#, &cookie);
    assert_eq!(unknown.status, 409);
    assert!(unknown.json()["text"].as_str().unwrap().contains("zzzz"));

    let muted = post(
        at,
        "/api/mute",
        r#"{"what":"FIT101","seconds":3600}"#,
        &cookie,
    );
    assert_eq!(muted.status, 200, "{muted:?}");
    until("the mute", || {
        get(at, "/api/state").json()["service"]["status"]["muted"][0]["what"] == "FIT101"
    });
    assert_eq!(
        post(at, "/api/unmute", r#"{"what":"FIT101"}"#, &cookie).status,
        200
    );
    daemon.until_log("127.0.0.1 signed in");
    assert!(!daemon.log().contains(PASSWORD));

    for (path, body) in [
        ("/api/mute", r#"{"what":"FIT101","seconds":0}"#),
        ("/api/mute", r#"{"what":"FIT101","seconds":99999999}"#),
        ("/api/mute", r#"{"what":"FIT101"}"#),
        ("/api/ack", r#"{"alarm":"a7k2","as":"nonsense"}"#),
        ("/api/ack", r#"{"do":"reload"}"#),
        ("/api/unmute", "[]"),
    ] {
        assert_eq!(post(at, path, body, &cookie).status, 400, "{path} {body}");
    }
    let long = format!(r#"{{"what":"{}"}}"#, "x".repeat(5_000));
    assert_eq!(post(at, "/api/unmute", &long, &cookie).status, 413);

    assert_eq!(post(at, "/api/logout", "{}", &cookie).status, 200);
    let (path, body) = CHANGES[0];
    assert_eq!(post(at, path, body, &cookie).status, 401);
    daemon.terminate().ok();
}

#[test]
fn another_page_changes_nothing_with_our_cookie() {
    let (_site, daemon, at) = with_password();
    let cookie = cookie(at);
    let send = |headers: &str| {
        let body = r#"{"what":"FIT101"}"#;
        let length = body.len();
        let head = format!(
            "POST /api/unmute HTTP/1.1\r\nHost: {at}\r\n{cookie}Content-Length: {length}\r\n"
        );
        request(at, &format!("{head}{headers}\r\n{body}")).status
    };
    let json = "Content-Type: application/json\r\n";
    assert_eq!(
        send(json),
        409,
        "it is let through and the sensor is not muted"
    );
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        assert_eq!(send(headers), 415, "{headers}");
    }
    for headers in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(send(&format!("{json}{headers}")), 403, "{headers}");
    }
    daemon.terminate().ok();
}

#[test]
fn passwords_cannot_be_tried_one_after_the_other() {
    let (_site, daemon, at) = with_password();
    for _ in 0..5 {
        assert_eq!(sign_in(at, "open barley").status, 401);
    }
    let refused = sign_in(at, PASSWORD);
    assert_eq!(refused.status, 429);
    let after: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&after));
    let text = get(at, "/metrics").text;
    assert_eq!(
        super::metrics::value(&text, "anomalyd_web_logins_failed_total"),
        Some(6.0)
    );
    daemon.terminate().ok();
}
