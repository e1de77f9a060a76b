//! How the service starts and ends, and with which exit status.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::daemon::Site;
use super::plant::{parsed, plant};
use super::{SOCKET, STDIN};

#[test]
fn without_a_standard_input_there_is_nothing_to_do() {
    let site = Site::new(STDIN);
    let finished = site.run_with(Stdio::null(), &[]).finish();
    assert!(
        finished
            .ok()
            .log
            .contains("stopping: all sources have ended")
    );

    // Really closed, as some supervisors start programs.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" run --config \"$1\" <&-"]);
    shell.arg(env!("CARGO_BIN_EXE_anomalyd")).arg(site.config());
    assert!(shell.output().unwrap().status.success());

    // Beside another source it is only one that has ended.
    let site = Site::new(
        "[[source.ndjson]]\n[[source.ndjson]]\nname = \"b\"\nlisten = \"@/ingest.sock\"\n",
    );
    let daemon = site.run_with(Stdio::null(), &[]);
    daemon.until_log("stdin: ended");
    site.connect();
    daemon.terminate().ok();
}

#[test]
fn a_wrong_configuration_ends_with_78_and_a_damaged_model_with_65() {
    let status = |site: &Site| {
        let finished = site.run_with(Stdio::null(), &[]).finish();
        (finished.status.code(), finished.log)
    };
    let site = Site::new("[source.ndjson]\nlistn = \"stdin\"\n");
    let (code, log) = status(&site);
    assert_eq!(code, Some(78));
    assert!(
        log.contains("anomalyd.toml:5: source.ndjson.listn: unknown key; did you mean \"listen\"?"),
        "{log}"
    );

    site.write("[source.simulator]\nfaults = \"faults.toml\"\n");
    fs::write(site.path("faults.toml"), "[[fault]]\nkind = \"rust\"\n").unwrap();
    let (code, log) = status(&site);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("faults.toml:2: fault.kind"), "{log}");

    site.write(
        "[source.mqtt]\nhost = \"127.0.0.1\"\ntls = true\nca_file = \"ca.pem\"\n[source.mqtt.topics]\nLIT101 = \"a\"\n",
    );
    fs::write(site.path("ca.pem"), "no certificate").unwrap();
    let (code, log) = status(&site);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("source.mqtt.ca_file: CA file "), "{log}");

    fs::remove_file(site.config()).unwrap();
    assert_eq!(status(&site).0, Some(78));

    site.write(STDIN);
    fs::write(site.path("model.pt"), "not a model").unwrap();
    let (code, log) = status(&site);
    assert_eq!(code, Some(65));
    assert!(log.contains("model.pt: "), "{log}");
}

#[test]
fn a_second_service_on_a_socket_is_turned_away() {
    let site = Site::new(SOCKET);
    let first = site.run();
    site.connect();
    let second = site.run_with(Stdio::null(), &[]).finish();
    assert_eq!(second.status.code(), Some(1), "{}", second.log);
    assert!(
        second.log.contains("another process listens there"),
        "{}",
        second.log
    );
    // The first one keeps its socket.
    super::daemon::feed(&mut site.connect(), &plant().lines[..900]);
    first.until_alarm("anomaly", "raised", 1);
    first.terminate().ok();
}

#[test]
fn sigterm_ends_a_busy_service_at_once_and_all_that_was_read_is_judged() {
    let site = Site::new(STDIN);
    let mut daemon = site.run();
    let mut stdin = daemon.stdin.take().unwrap();
    let stop = AtomicBool::new(false);
    let finished = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Rows without end, as fast as they are taken; the pipe breaks with the service.
            let start = parsed(&plant().lines[0]);
            for second in 0_i64.. {
                let mut row = start.clone();
                row["time"] = (1_800_000_000 + second).into();
                let line = format!("{row}\n");
                if stop.load(Ordering::Relaxed) || stdin.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        daemon.until_log("watching");
        std::thread::sleep(Duration::from_secs(1));
        let finished = daemon.terminate();
        stop.store(true, Ordering::Relaxed);
        finished
    });
    assert!(
        finished.took < Duration::from_secs(2),
        "{:?}",
        finished.took
    );
    assert!(
        finished.ok().log.contains(" frames scored in "),
        "{}",
        finished.log
    );
    assert!(!finished.log.contains("were lost"), "{}", finished.log);
    assert!(!finished.log.contains("samples lost"), "{}", finished.log);
}
