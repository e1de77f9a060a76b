//! `anomalyd doctor` on made-up trees: one where all is well, and one a trap.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "cli/engines.rs"]
mod engines;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use engines::worker;
use serde_json::Value;
use tempfile::TempDir;

const UNIT: &str = "sys/fs/cgroup/system.slice/anomalyd.service";
const WATCHDOG: &str = "sys/class/watchdog/watchdog0";
const CONFIG: &str = "etc/anomalyd/anomalyd.toml";
const MODEL: &str = "var/lib/anomalyd/models/current.pt";
const SOURCE: &str = "[source.ndjson]\nlisten = \"/run/anomalyd/ingest.sock\"\n";

struct Ran {
    status: i32,
    stdout: String,
}

/// A Raspberry Pi as it should be.
struct Pi {
    root: TempDir,
}

impl Pi {
    fn new() -> Self {
        let pi = Pi {
            root: tempfile::tempdir().unwrap(),
        };
        let user = nix::unistd::getuid();
        for (path, content) in [
            (
                "sys/fs/cgroup/cgroup.controllers",
                "cpuset cpu io memory pids\n",
            ),
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            (
                "proc/pressure/memory",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            ),
            ("dev/vcio", "0\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "52345\n"),
            ("run/systemd/timesync/synchronized", ""),
            (
                "etc/systemd/system.conf",
                "[Manager]\nRuntimeWatchdogSec=15s\n",
            ),
            ("etc/systemd/journald.conf", "[Journal]\n#Storage=auto\n"),
            ("var/log/journal/.keep", ""),
            ("usr/share/zoneinfo/Europe/Paris", "TZif2"),
            ("boot/firmware/cmdline.txt", "console=tty1 rootwait\n"),
            (
                "etc/passwd",
                &format!("root:x:0:0::/:/bin/sh\nanomalyd:x:{user}:5::/:/bin/false\n"),
            ),
            (CONFIG, SOURCE),
        ] {
            pi.put(path, content);
        }
        for (file, content) in [
            ("cgroup.procs", "10\n"),
            ("memory.max", "104857600\n"),
            ("memory.high", "94371840\n"),
            ("memory.current", "20971520\n"),
        ] {
            pi.put(&format!("{UNIT}/{file}"), content);
        }
        for (file, content) in [
            ("identity", "Broadcom BCM2835 Watchdog timer\n"),
            ("timeout", "15\n"),
        ] {
            pi.put(&format!("{WATCHDOG}/{file}"), content);
        }
        symlink("/usr/share/zoneinfo/Europe/Paris", pi.path("etc/localtime")).unwrap();
        pi.put(MODEL, "");
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.pt");
        fs::copy(demo, pi.path(MODEL)).unwrap();
        pi
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Exit status and standard output of `anomalyd doctor`.
    fn doctor(&self, options: &[&str]) -> Ran {
        self.with_worker(options, Path::new(""))
    }

    /// As it is with a torch worker that the environment names.
    fn with_worker(&self, options: &[&str], worker: &Path) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_anomalyd"))
            .arg("doctor")
            .args(options)
            .arg("--root")
            .arg(self.root.path())
            .env("ANOMALYD_TORCH", worker)
            .output()
            .unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
        }
    }

    /// `check` must fail and no other, and what it says must hold `words`.
    fn fails(&self, check: &str, words: &[&str]) {
        let ran = self.doctor(&["--json"]);
        let checks: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        let failed: Vec<&Value> = checks.iter().filter(|c| c["verdict"] == "fail").collect();
        let [failed] = failed.as_slice() else {
            panic!("{check} alone should fail: {failed:#?}");
        };
        assert_eq!(failed["check"], check, "{failed}");
        assert_eq!(ran.status, 1, "{check}");
        let text = format!("{}: {}", failed["found"], failed["remedy"]);
        for word in words {
            assert!(text.contains(word), "{check}: no {word:?} in {text}");
        }
        let lines = self.doctor(&[]).stdout;
        assert!(lines.contains(&format!("FAIL  {check}")), "{lines}");
        narrow(&lines);
    }
}

/// No line is longer than a terminal, but for a path or name that must stay whole.
fn narrow(lines: &str) {
    for line in lines.lines() {
        let whole = line
            .get(25..)
            .is_some_and(|text| !text.trim().contains(' '));
        assert!(line.chars().count() <= 80 || whole, "{line}");
    }
}

/// A healthy Pi, then what `break_it` does to it.
fn broken(break_it: impl FnOnce(&Pi)) -> Pi {
    let pi = Pi::new();
    break_it(&pi);
    pi
}

#[test]
fn all_is_well_on_a_good_machine() {
    let pi = Pi::new();
    let ran = pi.doctor(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert!(!ran.stdout.contains("FAIL"), "{}", ran.stdout);
    for line in [
        "ok    memory controller  the kernel has it",
        "ok    memory limit       memory.max is 100 MiB for this service, 20 MiB used",
        "ok    pressure           ",
        "ok    power supply       no under-voltage since boot",
        "ok    throttling         not throttled since boot",
        "ok    temperature        52 C",
        "ok    clock              synchronised ",
        " ago (no clock chip: ",
        "ok    journal            kept across restarts in /var/log/journal",
        "ok    hardware watchdog  restarts a hung machine after 15 s",
        "ok    configuration      1 source",
        "ok    time zone          Europe/Paris; times of samples without a zone are",
        "ok    state directory    ",
        "ok    disk               ",
        "ok    model              demo-plant 1, 51 sensors",
        "ok    golden vectors     16 reproduced on engine native",
        "skip  torch worker       ",
        "15 ok, 0 failed, 1 skipped",
    ] {
        assert!(
            ran.stdout.contains(line),
            "{line:?} is not in\n{}",
            ran.stdout
        );
    }
    narrow(&ran.stdout);
    let json: Vec<Value> = serde_json::from_str(&pi.doctor(&["--json"]).stdout).unwrap();
    assert_eq!(json.len(), 16);
    assert!(json.iter().all(|check| check["remedy"].is_null()));
}

#[test]
fn nothing_at_all_is_told_too() {
    let empty = tempfile::tempdir().unwrap();
    let pi = Pi { root: empty };
    let ran = pi.doctor(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("FAIL  configuration"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("skip  memory controller"),
        "{}",
        ran.stdout
    );
    narrow(&ran.stdout);
}

#[test]
fn the_memory_controller_and_the_limit() {
    let pi = broken(|pi| {
        pi.put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
        pi.remove(UNIT);
    });
    pi.fails(
        "memory controller",
        &["cgroup_enable=memory", "/boot/firmware/cmdline.txt"],
    );
    let pi = broken(|pi| pi.put(&format!("{UNIT}/memory.max"), "max\n"));
    pi.fails("memory limit", &["runs without one", "MemoryMax="]);
    let pi = broken(|pi| pi.remove(&format!("{UNIT}/memory.max")));
    pi.fails("memory limit", &["not in force"]);
}

#[test]
fn power_and_heat() {
    for (bits, check, words) in [
        ("0x1", "power supply", ["under-voltage now", "5.1 V 3 A"]),
        (
            "0x10000",
            "power supply",
            ["under-voltage since boot", "cable"],
        ),
        ("0x4", "throttling", ["is throttled now", "cool the board"]),
        (
            "0x80000",
            "throttling",
            ["was at the temperature limit since boot", "cool"],
        ),
    ] {
        let pi = broken(|pi| pi.put("dev/vcio", bits));
        pi.fails(check, &words);
    }
    let sysfs = "sys/devices/platform/soc/soc:firmware/get_throttled";
    let pi = broken(|pi| {
        pi.remove("dev/vcio");
        pi.put(sysfs, "20000\n");
    });
    pi.fails("throttling", &["was capped in its frequency since boot"]);
    let pi = broken(|pi| pi.put("sys/class/thermal/thermal_zone0/temp", "82100\n"));
    pi.fails("temperature", &["82 C", "fan"]);
}

#[test]
fn clock_watchdog_journal_and_zone() {
    let pi = broken(|pi| pi.remove("run/systemd/timesync/synchronized"));
    pi.fails("clock", &["not synchronised", "timesyncd.conf"]);
    let pi = broken(|pi| pi.remove("run/systemd"));
    pi.fails("clock", &["no time service runs", "set-ntp"]);

    let pi = broken(|pi| pi.remove("etc/systemd/system.conf"));
    pi.fails("hardware watchdog", &["off", "RuntimeWatchdogSec=15s"]);
    let drop_in = "etc/systemd/system.conf.d/40-rpi.conf";
    let pi = broken(|pi| pi.put(drop_in, "[Manager]\nRuntimeWatchdogSec=1min\n"));
    pi.fails(
        "hardware watchdog",
        &["RuntimeWatchdogSec=60s switches it off"],
    );
    let pi = broken(|pi| pi.put(&format!("{WATCHDOG}/state"), "inactive\n"));
    pi.fails("hardware watchdog", &["set but not running"]);
    let pi = broken(|pi| pi.remove(WATCHDOG));
    pi.fails("hardware watchdog", &["dtparam=watchdog=on"]);

    let pi = broken(|pi| pi.remove("var/log/journal"));
    pi.fails("journal", &["lost at each restart", "mkdir"]);
    let volatile = "usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf";
    let pi = broken(|pi| pi.put(volatile, "[Journal]\nStorage=volatile\n"));
    pi.fails("journal", &["Storage=volatile", "Storage=persistent"]);

    let pi = broken(|pi| pi.remove("usr/share/zoneinfo"));
    pi.fails("time zone", &["Europe/Paris", "set-timezone"]);
}

#[test]
fn the_state_directory() {
    let pi = broken(|pi| {
        pi.put(
            CONFIG,
            &format!("state_directory = \"/var/lib/other\"\n{SOURCE}"),
        )
    });
    pi.fails("state directory", &["is not there", "systemctl start"]);
    let memory = "22 1 0:9 / /var rw,relatime shared:1 - tmpfs tmpfs rw\n";
    let pi = broken(|pi| pi.put("proc/self/mountinfo", memory));
    pi.fails("state directory", &["in memory", "data partition"]);
    let folder = "var/lib/anomalyd";
    let pi =
        broken(|pi| fs::set_permissions(pi.path(folder), Permissions::from_mode(0o555)).unwrap());
    pi.fails("state directory", &["is read-only", "chmod"]);
    fs::set_permissions(pi.path(folder), Permissions::from_mode(0o755)).unwrap();
    let pi = broken(|pi| pi.put("etc/passwd", "anomalyd:x:4000000:5::/:/bin/false\n"));
    pi.fails(
        "state directory",
        &["belongs to another user", "chown -R anomalyd"],
    );
}

/// On a file system of its own, in a mount namespace of its own; where the machine grants none
/// this is told, and fails where everything is to be there.
#[test]
fn a_full_disk_and_one_that_is_mounted_read_only() {
    let pi = Pi::new();
    let run = |script: &str| {
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
            .env("ROOT", pi.root.path())
            .env("DOCTOR", env!("CARGO_BIN_EXE_anomalyd"))
            .env_remove("ANOMALYD_TORCH")
            .output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mount = "mkdir -p $ROOT/full; mount -t tmpfs -o size=1m tmpfs $ROOT/full; echo mounted; ";
    let doctor = "$DOCTOR doctor --root $ROOT";
    pi.put(CONFIG, &format!("state_directory = \"/full\"\n{SOURCE}"));
    // In its user namespace the script's user is root.
    pi.put("etc/passwd", "anomalyd:x:0:0::/:/bin/false\n");
    let full = "head -c 1020000 /dev/zero > $ROOT/full/x; ";
    let full = run(&format!("{mount}{full}{doctor}")).unwrap_or_default();
    if !full.starts_with("mounted") {
        let required = std::env::var_os("ANOMALYD_REQUIRE_ALL").is_some();
        assert!(!required, "no mount namespace here");
        eprintln!("the test of full disks is skipped: no mount namespace here");
        return;
    }
    assert!(
        full.contains("FAIL  disk               nearly full, 0 MB free"),
        "{full}"
    );
    assert!(full.contains("1 failed"), "{full}");
    let fixed = "mount -o remount,ro $ROOT/full; ";
    let read_only = run(&format!("{mount}{fixed}{doctor}")).unwrap();
    assert!(read_only.contains("FAIL  state directory"), "{read_only}");
    assert!(read_only.contains("read-only"), "{read_only}");
}

#[test]
fn the_configuration() {
    let pi = broken(|pi| {
        pi.put(
            CONFIG,
            &format!("nmae = \"x\"\nengine = \"fast\"\n{SOURCE}"),
        )
    });
    pi.fails(
        "configuration",
        &["anomalyd.toml:1: nmae", "and 1 more", "check-config"],
    );
    let pi = broken(|pi| pi.remove(CONFIG));
    pi.fails("configuration", &["anomalyd.toml"]);
}

#[test]
fn the_model() {
    let pi = broken(|pi| pi.remove(MODEL));
    let ran = pi.doctor(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("skip  model              none yet: the service learns one")
    );

    let named = format!("model = \"/var/lib/anomalyd/models/mine.pt\"\n{SOURCE}");
    let pi = broken(|pi| pi.put(CONFIG, &named));
    pi.fails("model", &["anomalyd.toml:1", "is not there"]);

    let pi = broken(|pi| {
        let mut bytes = fs::read(pi.path(MODEL)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        fs::write(pi.path(MODEL), bytes).unwrap();
    });
    pi.fails("model", &["current.pt", "train again"]);

    let others = "[source.mqtt]\nhost = \"h\"\ntopics.XYZ = \"a\"\n";
    let pi = broken(|pi| pi.put(CONFIG, others));
    pi.fails(
        "model",
        &[
            "not of this configuration",
            "no topic is of a sensor of the model",
        ],
    );
}

#[test]
fn the_torch_worker() {
    let fake = "usr/libexec/anomalyd/anomalyd-torch";
    let config = format!("torch_worker = \"/{fake}\"\n{SOURCE}");
    let pi = broken(|pi| {
        pi.put(CONFIG, &config);
        pi.put(
            fake,
            "#!/bin/sh\necho 'libtorch.so: cannot open' >&2\nexit 127\n",
        );
        fs::set_permissions(pi.path(fake), Permissions::from_mode(0o755)).unwrap();
    });
    pi.fails(
        "torch worker",
        &["libtorch.so: cannot open", "engine = \\\"native\\\""],
    );
    let needed = format!("engine = \"torch\"\n{SOURCE}");
    let pi = broken(|pi| pi.put(CONFIG, &needed));
    pi.fails("torch worker", &["not installed", "anomalyd-torch"]);
    let Some(worker) = worker("the doctor's start of the torch worker") else {
        return;
    };
    let ran = Pi::new().with_worker(&[], &worker);
    let line = "ok    torch worker       starts, 16 golden vectors reproduced";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
    assert_eq!(ran.status, 0);
}
