//! The page as people see it: the real program, looked at with headless Chromium on a phone and on a
//! desk, by light and in the dark, with the eyes, the keyboard and a screen reader.
//!
//! The pictures are left in `target/web-page`: look at them after a change of the page.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]
// What the other tests of the web need of the shared files.
#![allow(dead_code)]

#[path = "web/browser.rs"]
mod browser;
#[path = "web/client.rs"]
mod client;
#[path = "run/daemon.rs"]
mod daemon;
#[path = "run/plant.rs"]
mod plant;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use browser::Browser;
use client::address;
use daemon::{Daemon, Site, feed};
use plant::{FAULT_ROW, plant};

const PASSWORD: &str = "open sesame";
const PHONE: (u32, u32) = (360, 740);
const DESK: (u32, u32) = (1280, 900);
const IS_UP_TO_DATE: &str = "return document.getElementById('connection').textContent === 'up to date' \
    && document.querySelectorAll('#graph circle').length === 51;";

fn site(listen: &str, more: &str) -> Site {
    let site = Site::new("");
    std::fs::create_dir(site.path("state")).unwrap();
    std::fs::write(site.path("password"), PASSWORD).unwrap();
    site.write(&format!(
        "name = \"Water works\"\n[source.ndjson]\nlisten = \"@/ingest.sock\"\n\
         [web]\nenabled = true\nlisten = \"{listen}\"\n{more}"
    ));
    site
}

fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../web-page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Feeds rows so that the page sees many points: about one a second is shown of what comes.
fn feed_slowly(stream: &mut impl std::io::Write, rows: &[String]) {
    for rows in rows.chunks(40) {
        feed(stream, rows);
        std::thread::sleep(Duration::from_millis(920));
    }
}

fn url(daemon: &Daemon) -> String {
    format!("http://{}/", address(daemon))
}

/// Nothing is wrong on the page that is open, whatever it shows.
#[track_caller]
fn is_sound(browser: &mut Browser, url: &str, what: &str) {
    let (errors, asked) = browser.trouble();
    assert!(errors.is_empty(), "{what}: {errors:?}");
    assert!(asked.len() >= 6, "{what}: {asked:?}");
    for address in asked {
        assert!(address.starts_with(url), "{what}: asked {address}");
    }
    let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth;");
    assert!(wide.as_i64().unwrap() <= 0, "{what}: {wide} px too wide");
    let cut = browser.run(
        "return [...document.querySelectorAll('h1,h2,h3,p,dd,button,label,td,.card span')]
            .filter((one) => one.offsetParent && !one.classList.contains('hidden') && one.scrollWidth > one.clientWidth + 1
                && getComputedStyle(one).display !== 'inline')
            .map((one) => one.textContent.slice(0, 40));",
    );
    assert_eq!(cut, serde_json::json!([]), "{what}: cut off");
    // Text stands out from its ground as WCAG 2 wants it (AA: 4.5 to 1).
    let faint = browser.run(
        "const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
         const light = (text) => { const [r, g, b] = rgb(text).map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
             return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
         const ground = (one) => { for (let at = one; at; at = at.parentElement) { const c = getComputedStyle(at).backgroundColor;
             if (rgb(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
         const faint = [];
         for (const one of document.querySelectorAll('body *')) {
             if (!one.offsetParent || ![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
             const [a, b] = [light(getComputedStyle(one).color), light(ground(one))];
             const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
             if (ratio < 4.5) faint.push(`${one.tagName} ${one.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
         }
         return faint;",
    );
    assert_eq!(faint, serde_json::json!([]), "{what}: hard to read");
}

#[test]
fn it_is_sound_on_a_phone_and_on_a_desk_by_light_and_in_the_dark_quiet_and_in_alarm() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let site = site("127.0.0.1:0", "");
    let daemon = site.run();
    let url = url(&daemon);
    let mut client = site.connect();
    let looks = [
        ("phone-light", PHONE, "light"),
        ("phone-dark", PHONE, "dark"),
        ("desk-light", DESK, "light"),
        ("desk-dark", DESK, "dark"),
    ];
    feed_slowly(&mut client, &plant().lines[..FAULT_ROW - 20]);
    for (name, size, scheme) in looks {
        let what = format!("quiet-{name}");
        browser.open(&url, size, scheme);
        browser.until(&what, IS_UP_TO_DATE);
        browser.until(
            &what,
            "return document.getElementById('word').textContent === 'Watching';",
        );
        browser.picture(&pictures().join(format!("{what}.png")), size.0);
        is_sound(&mut browser, &url, &what);
        assert_eq!(browser.text("plant"), "Water works");
        assert!(browser.text("alarm-list").contains("None yet"), "{what}");
    }
    for row in &plant().lines[FAULT_ROW - 20..FAULT_ROW + 10] {
        feed(&mut client, std::slice::from_ref(row));
        std::thread::sleep(Duration::from_millis(920));
    }
    let alarm = daemon.until_alarm("anomaly", "raised", 1);
    let (id, sensor) = (
        alarm["id"].as_str().unwrap(),
        alarm["sensors"][0]["sensor"].as_str().unwrap(),
    );
    for (name, size, scheme) in looks {
        let what = format!("alarm-{name}");
        browser.open(&url, size, scheme);
        browser.until(&what, IS_UP_TO_DATE);
        browser.until(
            &what,
            "return document.getElementById('word').textContent === 'Alarm';",
        );
        browser.picture(&pictures().join(format!("{what}.png")), size.0);
        is_sound(&mut browser, &url, &what);
        let list = browser.text("alarm-list");
        assert!(
            list.contains(&format!("Alarm {id}: stands")) && list.contains(sensor),
            "{what}: {list}"
        );
        // A plot each, with both lines in it.
        let plots = browser.run("return [...document.querySelectorAll('.alarm svg')].map((svg) => ['seen', 'expected']
            .every((name) => (svg.querySelector('path.' + name)?.getAttribute('d') ?? '').length > 40));");
        let plots = plots.as_array().unwrap();
        assert_eq!(
            plots.len(),
            alarm["sensors"].as_array().unwrap().len(),
            "{what}"
        );
        assert!(plots.iter().all(|plot| *plot == true), "{what}: {plots:?}");
        let odd =
            browser.run("return document.querySelectorAll('#graph .odd, #graph .far').length;");
        assert!(odd.as_i64().unwrap() >= 1, "{what}");
    }
    daemon.terminate().ok();
}

#[test]
fn it_works_by_keyboard_and_with_a_screen_reader() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let site = site("127.0.0.1:0", "");
    let daemon = site.run();
    feed_slowly(&mut site.connect(), &plant().lines[..FAULT_ROW + 80]);
    browser.open(&url(&daemon), DESK, "light");
    browser.until("the page", IS_UP_TO_DATE);
    let names = browser.names();
    let roles: HashSet<&str> = names.iter().map(|(role, _)| role.as_str()).collect();
    for role in [
        "banner",
        "main",
        "contentinfo",
        "navigation",
        "heading",
        "status",
    ] {
        assert!(roles.contains(role), "{role} is not among {roles:?}");
    }
    for (role, name) in &names {
        let needs_name = [
            "button",
            "link",
            "radio",
            "textbox",
            "searchbox",
            "combobox",
            "image",
            "heading",
            "region",
            "meter",
        ];
        assert!(
            !needs_name.contains(&role.as_str()) || !name.is_empty(),
            "a {role} without a name"
        );
    }
    let told = |role: &str, part: &str| {
        names
            .iter()
            .any(|(own, name)| own == role && name.contains(part))
    };
    assert!(
        told("image", "Score over time")
            && told("image", "sensors;")
            && told("image", "Latency distribution")
    );
    let live = browser.run(
        "return [...document.querySelectorAll('[aria-live]')].map((one) => one.id).sort().join();",
    );
    assert_eq!(live, "alarm-news,headline");

    // From the top: the skip link, the links, and on to the choice of the time that is shown.
    browser.key("Tab", 9);
    let focused =
        "return document.activeElement.textContent.trim() || document.activeElement.value;";
    assert_eq!(browser.run(focused), "Skip to the content");
    let mut seen = Vec::new();
    for _ in 0..8 {
        browser.key("Tab", 9);
        seen.push(browser.run(focused));
        let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle;");
        assert_eq!(outline, "solid", "{seen:?}");
    }
    assert!(
        seen.contains(&"Alarms".into()) && seen.contains(&"0".into()),
        "{seen:?}"
    );
    browser.run("document.querySelector('input[name=range]').focus();");
    browser.key("ArrowRight", 39);
    browser.until("the history", "return document.getElementById('score-plot').getAttribute('aria-label').includes('from the history');");

    // The table beside the graph, without a mouse.
    browser.run("document.querySelector('#sensor-details summary').focus();");
    browser.key("Enter", 13);
    browser.until(
        "the table",
        "return document.querySelectorAll('#sensor-table tr').length === 51
        && document.querySelector('#sensor-table td').textContent !== '';",
    );
    browser.run("document.querySelector('#sensor-table button').focus();");
    browser.key("Enter", 13);
    browser.until(
        "the sensor",
        "return !document.getElementById('sensor').hidden;",
    );
    let first = browser.run("return document.querySelector('#sensor-table button').textContent;");
    assert_eq!(browser.text("sensor-name"), first.as_str().unwrap());
    browser.until(
        "its history",
        "return document.querySelector('#sensor-plot path.band') !== null;",
    );
    let (errors, _) = browser.trouble();
    assert!(errors.is_empty(), "{errors:?}");
    daemon.terminate().ok();
}

#[test]
fn who_signs_in_answers_alarms_with_a_click() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let site = site("127.0.0.1:0", "password_file = \"@/password\"\n");
    let daemon = site.run();
    let mut client = site.connect();
    feed_slowly(&mut client, &plant().lines[..FAULT_ROW + 40]);
    daemon.until_alarm("anomaly", "raised", 1);
    browser.open(&url(&daemon), PHONE, "light");
    browser.until("the page", IS_UP_TO_DATE);
    browser.until(
        "the button",
        "return !document.getElementById('sign-in').hidden;",
    );
    assert_eq!(
        browser.run("return document.querySelectorAll('.alarm button').length;"),
        0
    );
    for (password, signed_in) in [("wrong", false), (PASSWORD, true)] {
        if !signed_in {
            browser.run("document.getElementById('sign-in').click();");
        }
        browser.run("document.getElementById('password').focus();");
        browser.type_text(password);
        browser.key("Enter", 13);
        match signed_in {
            false => browser.until("a refusal", "return document.getElementById('login-error').textContent.includes('not the password');"),
            true => browser.until("to be let in", "return document.querySelectorAll('.alarm button').length >= 2;"),
        }
    }
    browser.picture(&pictures().join("signed-in-phone.png"), PHONE.0);
    browser.run("[...document.querySelectorAll('.alarm button')].find((one) => one.textContent === 'This was normal').click();");
    browser.until(
        "the verdict",
        "return document.getElementById('alarm-list').textContent.includes('said to be normal');",
    );
    browser.run("const menu = document.querySelector('.alarm select'); menu.focus(); menu.value = '3600'; menu.dispatchEvent(new Event('change'));");
    browser.until(
        "the mute",
        "return document.getElementById('muted').textContent.includes('is muted until');",
    );
    browser.run("document.querySelector('#muted button').click();");
    browser.until(
        "its end",
        "return document.getElementById('muted').textContent === '';",
    );
    browser.run("document.getElementById('sign-out').click();");
    browser.until(
        "to be out",
        "return document.querySelectorAll('.alarm button').length === 0;",
    );
    daemon.terminate().ok();
}

#[test]
fn it_comes_back_by_itself_after_a_restart() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    // A port of its own, as it must be the same one after the restart.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let site = site(&format!("127.0.0.1:{port}"), "");
    let daemon = site.run();
    feed(&mut site.connect(), &plant().lines[..60]);
    browser.open(&url(&daemon), PHONE, "light");
    browser.until("the page", IS_UP_TO_DATE);
    daemon.terminate().ok();
    browser.until(
        "to notice",
        "return document.getElementById('state').dataset.state === 'offline';",
    );
    assert!(browser.text("connection").contains("trying again"));
    browser.picture(&pictures().join("offline-phone.png"), PHONE.0);
    let daemon = site.run();
    feed(&mut site.connect(), &plant().lines[..60]);
    browser.until("to come back", IS_UP_TO_DATE);
    browser.until(
        "its state",
        "return document.getElementById('word').textContent === 'Watching';",
    );
    daemon.terminate().ok();
}
