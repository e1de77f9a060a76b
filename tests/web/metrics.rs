//! `/metrics`, as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::WEB;
use super::client::{address, get};
use super::daemon::{Site, feed, until};
use super::plant::plant;

/// The value of the first line that begins with `name` and has no labels.
pub fn value(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The kind of every metric of the page.
fn kinds(text: &str) -> BTreeMap<String, String> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let kind = |line: &str| {
        let (name, kind) = line.split_once(' ').unwrap();
        (name.to_owned(), kind.to_owned())
    };
    heads.map(kind).collect()
}

#[test]
fn the_metrics_are_sound_and_documented() {
    let site = Site::new(WEB);
    std::fs::create_dir(site.path("state")).unwrap();
    let daemon = site.run();
    let at = address(&daemon);
    feed(&mut site.connect(), &plant().lines[..300]);
    until("frames", || {
        value(&get(at, "/metrics").text, "anomalyd_frames_scored_total") > Some(200.0)
    });
    let answer = get(at, "/metrics");
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text;
    let mut kinds = kinds(&text);
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, number) = line.rsplit_once(' ').unwrap();
        number.parse::<f64>().unwrap();
        let (name, own) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            name.strip_suffix(end)
                .filter(|base| kinds.contains_key(*base))
        });
        let base = base.unwrap_or(name);
        let kind = kinds
            .get(base)
            .unwrap_or_else(|| panic!("{line} has no type"));
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        labels
            .entry(base.to_owned())
            .or_default()
            .insert(own.to_owned());
    }
    for (name, values) in &labels {
        assert!(values.len() <= 20, "{name} has {} series", values.len());
    }
    assert_eq!(value(&text, "anomalyd_sensors"), Some(51.0));
    assert!(value(&text, "anomalyd_inference_duration_seconds_count") > Some(100.0));
    assert!(value(&text, "anomalyd_memory_resident_bytes") > Some(1e6));

    daemon.terminate().ok();
    promtool(&["check", "metrics"], &text);

    // On a board with a thermometer and the firmware's mailbox.
    let site = Site::new(&WEB.replace('@', ""));
    made_up_machine(site.dir.path());
    let daemon = site.run_as_root_folder();
    let at = address(&daemon);
    until("a look at the machine", || {
        value(&get(at, "/metrics").text, "anomalyd_temperature_celsius") == Some(61.0)
    });
    let board = get(at, "/metrics").text;
    assert_eq!(value(&board, "anomalyd_throttled"), Some(0.0));
    kinds.extend(self::kinds(&board));
    daemon.terminate().ok();

    // Each is in the table of the documentation, and nothing else is.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrations.md");
    let documentation = std::fs::read_to_string(path).unwrap();
    let documented: BTreeSet<&str> = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("| `anomalyd_")?.split(['`', '{']).next())
        .collect();
    let own: BTreeSet<&str> = kinds
        .keys()
        .map(|name| name.strip_prefix("anomalyd_").unwrap())
        .collect();
    let only_here: Vec<_> = own.difference(&documented).collect();
    assert!(only_here.is_empty(), "not documented: {only_here:?}");
    // What this machine cannot show.
    let absent = [
        "oom_kills_total",
        "memory_cgroup_bytes",
        "memory_limit_bytes",
        "cpu_frequency_hertz",
        "clock_synchronised",
        "state_volatile",
    ];
    let only_there: Vec<_> = documented
        .difference(&own)
        .filter(|name| !absent.contains(*name))
        .collect();
    assert!(only_there.is_empty(), "documented only: {only_there:?}");
}

/// With a processor at 61 degrees that is not slowed down.
fn made_up_machine(root: &Path) {
    for (path, content) in [
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "61000\n"),
        ("dev/vcio", "0"),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// Runs promtool, where it is installed (Debian's package `prometheus`), with `input`.
fn promtool(args: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(
            std::env::var_os("ANOMALYD_REQUIRE_ALL").is_none(),
            "promtool is not installed"
        );
        eprintln!("promtool {args:?} is skipped: it is not installed");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

const SHARED: &str = "rootfs-overlay/service/usr/share/anomalyd";

#[test]
fn the_alert_rules_are_sound_and_fire_as_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHARED);
    let rules = folder.join("prometheus-rules.yml");
    promtool(
        &["check", "rules", "--lint=all", rules.to_str().unwrap()],
        "",
    );
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/rules-test.yml");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
}

/// The configurations of docs/integrations.md, as they stand there.
#[test]
fn the_documented_configurations_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documentation = std::fs::read_to_string(folder.join("docs/integrations.md")).unwrap();
    let (_, section) = documentation
        .split_once("## Prometheus and Grafana")
        .unwrap();
    let block = |kind: &str| {
        let (_, rest) = section.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let site = Site::new(&format!(
        "[source.ndjson]\nlisten = \"@/ingest.sock\"\n{}listen = \"127.0.0.1:0\"\n",
        block("toml")
    ));
    let daemon = site.run();
    assert_eq!(get(address(&daemon), "/metrics").status, 200);
    daemon.terminate().ok();

    let shared = folder.join(SHARED);
    let prometheus = block("yaml").replace("/usr/share/anomalyd", shared.to_str().unwrap());
    let path = site.path("prometheus.yml");
    std::fs::write(&path, prometheus).unwrap();
    promtool(&["check", "config", path.to_str().unwrap()], "");
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documentation = std::fs::read_to_string(folder.join("docs/integrations.md")).unwrap();
    let dashboard =
        std::fs::read_to_string(folder.join(SHARED).join("grafana-dashboard.json")).unwrap();
    let read: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(read["panels"].as_array().unwrap().len() >= 8);
    let rules = std::fs::read_to_string(folder.join(SHARED).join("prometheus-rules.yml")).unwrap();
    for text in [&dashboard, &rules] {
        let mut count = 0;
        for (at, _) in text.match_indices("anomalyd_") {
            let name: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(&name);
            assert!(
                documentation.contains(&format!("| `{base}")),
                "{name} is not among the metrics"
            );
            count += 1;
        }
        assert!(count >= 8, "{count}");
    }
}
