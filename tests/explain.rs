//! `anomalyd explain` on made-up state folders.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/program.rs"]
mod program;

use std::fs;

use program::{run, run_well};
use serde_json::Value;
use tempfile::TempDir;

const ALARMS: &str = r#"{"id":"b3xx","kind":"anomaly","raised_at":"2026-11-24T08:00:00Z","cleared_at":"2026-11-24T08:20:00Z","score":1.2,"peak_score":1.4,"threshold":1.0,"sensors":[],"model":"plant 1"}
{"id":"a7k2","kind":"anomaly","raised_at":"2026-11-25T14:03:07Z","score":3.42,"peak_score":3.42,"threshold":1.0,"sensors":[],"model":"plant 1"}
{"id":"a7k2","kind":"anomaly","raised_at":"2026-11-25T14:03:07Z","cleared_at":"2026-11-25T14:09:47Z","score":3.42,"peak_score":9.07,"threshold":3.0,"sensors":[{"sensor":"FIT401","unit":"m3/h","seen":0.62,"expected":1.71,"from":["P401","P402","FIT501"],"head":"neighbour","strength":12.04},{"sensor":"UV 401","seen":1.0,"expected":2.0,"from":[],"head":"raw","strength":5.0}],"model":"plant 1","verdict":"real","degraded":"every second sample scored"}
{"id":"s0ft","kind":"silent","raised_at":"2026-11-25T15:00:00Z","score":0.0,"peak_score":0.0,"threshold":1.0,"sensors":[{"sensor":"LIT101","unit":"mm","seen":812.0,"expected":null,"from":[],"head":"silent","strength":0.0}],"model":"plant 1"}
{"id":"torn","kind":"ano"#;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("var/lib/anomalyd")).unwrap();
    fs::write(folder.path().join("var/lib/anomalyd/alarms.jsonl"), ALARMS).unwrap();
    folder
}

#[test]
fn an_alarm_is_explained_in_words() {
    let folder = folder();
    let ran = run_well(folder.path(), "explain --state var/lib/anomalyd a7k2");
    assert_eq!(
        ran.stdout,
        "\
alarm a7k2: 2 readings were not as the model expects them
  when     raised 2026-11-25 14:03:07 UTC, cleared after 6 min 40 s
  score    3.4 when raised, 9.1 at its peak (1.0 raises); recent alarms that
           nobody confirmed had raised the bar 3.0-fold
  model    plant 1
  verdict  confirmed as real: not counted as a false alarm
  degraded when it was raised: every second sample scored

FIT401  seen 0.6 m3/h, expected 1.7 from P401, P402, FIT501
  12.0 times what is usual, by what its neighbours in the sensor graph read:
  P401, P402 and FIT501 said most of it

UV 401  seen 1, expected 2
  5.0 times what is usual, by its own mean in training

what to do
  anomalyd ack a7k2 --normal
      nothing was wrong: it stays counted; while it stands its readings are
      slowly learnt
  anomalyd mute FIT401 --for 2h
      someone works on this sensor: it raises and explains nothing for a time
"
    );
}

#[test]
fn a_silent_sensor_that_stands_is_explained() {
    let folder = folder();
    // The usual place, under another root.
    let ran = run_well(folder.path(), "explain --root . s0ft");
    for part in [
        "alarm s0ft: a sensor stopped reporting\n",
        "raised 2026-11-25 15:00:00 UTC, stands\n",
        "nobody has said yet what it was\n",
        "LIT101  silent, last value 812 mm\n",
        "anomalyd mute s0ft --for 2h\n",
        "anomalyd ack s0ft --real\n",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("score"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn json_has_the_evidence_and_the_next_steps() {
    let folder = folder();
    let ran = run_well(
        folder.path(),
        "explain --state var/lib/anomalyd --json a7k2",
    );
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["sensors"][0]["expected"], 1.71);
    assert_eq!(value["sensors"][0]["head"], "neighbour");
    assert_eq!(value["degraded"], "every second sample scored");
    assert_eq!(value["next"][0], "anomalyd ack a7k2 --normal");
}

#[test]
fn an_unknown_alarm_names_the_latest() {
    let folder = folder();
    let ran = run(folder.path(), "explain --state var/lib/anomalyd zzzz");
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    let said =
        "there is no alarm zzzz in var/lib/anomalyd/alarms.jsonl; the latest are s0ft, a7k2, b3xx";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let ran = run(folder.path(), "explain --state nowhere a7k2");
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("no alarm was kept there yet"),
        "{}",
        ran.stderr
    );
    // A configuration that was named must be there.
    let ran = run(folder.path(), "explain --config missing.toml a7k2");
    assert_eq!(ran.status, 78, "{}", ran.stderr);
}

#[test]
fn a_configuration_says_where_the_state_is() {
    let folder = folder();
    let text = "model = \"m.pt\"\nstate_directory = \"/var/lib/anomalyd\"\n[source.ndjson]\nlisten = \"/run/a.sock\"\n";
    fs::write(folder.path().join("a.toml"), text).unwrap();
    let ran = run_well(folder.path(), "explain --config a.toml --root . b3xx");
    assert!(
        ran.stdout.starts_with("alarm b3xx: the readings were not"),
        "{}",
        ran.stdout
    );
}
