//! A collector, Rotel, and behind it or in its place a receiver that is built on the standard's own
//! message types.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::daemon::until;

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// None after saying that the test is skipped.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/bin/python");
    let there = Command::new(&python)
        .args(["-c", "import rotel, opentelemetry.proto"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        let required = std::env::var_os("ANOMALYD_REQUIRE_ALL").is_some();
        assert!(!required, "no collector: run scripts/python-env.sh");
        println!("skipped: there is no collector; scripts/python-env.sh gets it");
    }
    there.then_some(python)
}

fn started(mut command: Command, port: u16) -> Child {
    let process = command.stdin(Stdio::null()).spawn().unwrap();
    until("a listener", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    process
}

/// The receiver, with what it was sent in a file that outlives it.
pub struct Receiver {
    pub port: u16,
    python: PathBuf,
    dir: TempDir,
    process: Option<Child>,
}

impl Receiver {
    /// None after saying that the test is skipped.
    pub fn start() -> Option<Receiver> {
        let mut receiver = Receiver {
            port: free_port(),
            python: python()?,
            dir: tempfile::tempdir().unwrap(),
            process: None,
        };
        receiver.restart();
        Some(receiver)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("received")
    }

    pub fn restart(&mut self) {
        self.start_with(&[]);
    }

    /// With the certificate and key in `folder`.
    pub fn restart_with_tls(&mut self, folder: &Path) {
        self.start_with(&[folder.join("server.pem"), folder.join("server.key")]);
    }

    fn start_with(&mut self, certificate: &[PathBuf]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp/receiver.py");
        let mut command = Command::new(&self.python);
        command
            .arg(script)
            .arg(self.port.to_string())
            .arg(self.file())
            .args(certificate);
        self.process = Some(started(command, self.port));
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// What came so far, in order: `log`s or `metric`s.
    pub fn received(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.filter(|line: &Value| line["kind"] == kind).collect()
    }

    pub fn until(&self, kind: &str, what: &str, reached: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        until(what, || {
            all = self.received(kind);
            reached(&all)
        });
        all
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Rotel, which passes everything on to a receiver, in protobuf.
pub struct Collector {
    pub port: u16,
    process: Child,
}

impl Collector {
    pub fn start(receiver: &Receiver) -> Collector {
        let find =
            "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
        let found = Command::new(&receiver.python)
            .args(["-c", find])
            .output()
            .unwrap();
        let agent = String::from_utf8(found.stdout).unwrap();
        let (port, other) = (free_port(), free_port());
        let mut command = Command::new(agent.trim());
        command
            .arg("start")
            .arg("--otlp-http-endpoint")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--otlp-grpc-endpoint")
            .arg(format!("127.0.0.1:{other}"))
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .arg("--otlp-exporter-endpoint")
            .arg(format!("http://127.0.0.1:{}", receiver.port))
            .stdout(Stdio::null());
        Collector {
            port,
            process: started(command, port),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
