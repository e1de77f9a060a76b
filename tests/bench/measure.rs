//! Runs `anomalyd bench` in a folder of its own, on a made-up machine where sensors are concerned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// No wait is meant to come near it.
const PATIENCE: Duration = Duration::from_secs(120);

fn anomalyd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anomalyd"));
    command.stdin(Stdio::null()).env_remove("NOTIFY_SOCKET");
    command
}

/// What a machine with a processor of 61 degrees shows below `root`, and throttling as `bits`.
pub fn tree(root: &Path, bits: &str) {
    for (file, content) in [
        ("sys/class/thermal/thermal_zone0/temp", "61000\n"),
        ("dev/vcio", bits),
    ] {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A run to be started.
pub struct Measurement {
    pub folder: TempDir,
    pub command: Command,
}

pub struct Running {
    folder: TempDir,
    child: Child,
}

pub struct Ran {
    pub folder: TempDir,
    pub out: PathBuf,
    pub result: Value,
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Measurement {
    pub fn new(bits: &str) -> Measurement {
        // A socket's path must be short: not below a build folder.
        let folder = tempfile::tempdir().unwrap();
        tree(&folder.path().join("root"), bits);
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.pt");
        let mut command = anomalyd();
        command.args([
            "bench",
            "run",
            "--out",
            "results.json",
            "--report",
            "report.html",
        ]);
        command.arg("--root").arg(folder.path().join("root"));
        command.env("TMPDIR", temporary).current_dir(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Where the model is, unless a test names another one.
        fs::create_dir(folder.path().join("models")).unwrap();
        fs::copy(model, folder.path().join("models/demo.pt")).unwrap();
        Measurement { folder, command }
    }

    pub fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap();
        Running {
            folder: self.folder,
            child,
        }
    }

    pub fn finish(self) -> Ran {
        self.start().finish()
    }
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub fn finish(self) -> Ran {
        let output = self.child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let out = self.folder.path().join("results.json");
        let result = fs::read(&out).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        Ran {
            out,
            result: serde_json::from_slice(&result).unwrap(),
            folder: self.folder,
            status: output.status.code(),
            stdout,
            stderr,
        }
    }
}

/// A short run on a sound machine.
pub fn measured() -> &'static Ran {
    static RAN: OnceLock<Ran> = OnceLock::new();
    RAN.get_or_init(|| {
        let mut measurement = Measurement::new("0x0");
        measurement.command.args(["--seconds", "4"]);
        measurement.finish()
    })
}

/// Waits until the measured service's status is as `wanted`; gives its control socket.
pub fn status_of_service(running: &Running, wanted: impl Fn(&Value) -> bool) -> PathBuf {
    let service = format!("tmp/anomalyd-bench-{}/control.sock", running.child.id());
    let socket = running.folder.path().join(service);
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < PATIENCE, "the service does not get there");
        let mut command = anomalyd();
        let output = command
            .args(["status", "--json", "--socket"])
            .arg(&socket)
            .output();
        let status = serde_json::from_slice(&output.unwrap().stdout).unwrap_or(Value::Null);
        if wanted(&status) {
            return socket;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Status, stdout and stderr of `anomalyd bench compare`.
pub fn compare(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = anomalyd();
    command
        .args(["bench", "compare"])
        .args(args)
        .current_dir(folder);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}
