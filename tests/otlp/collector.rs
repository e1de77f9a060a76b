//! A collector, Rotel, and behind it or in its place a receiver that is built on the standard's own
//! message types.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::daemon::until;
use super::peer::{Peer, free_port, python};

/// The file of what came.
const RECEIVED: &str = "received";

/// The receiver, with what it was sent in a file that outlives it.
pub struct Receiver {
    pub port: u16,
    python: PathBuf,
    dir: TempDir,
    peer: Peer,
}

impl Receiver {
    /// None after saying that the test is skipped.
    pub fn start() -> Option<Receiver> {
        let python = python("rotel, opentelemetry.proto")?;
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let peer = Peer::start(port, command(&python, port, dir.path(), &[]));
        Some(Receiver {
            port,
            python,
            dir,
            peer,
        })
    }

    pub fn restart(&mut self) {
        self.peer.restart();
    }

    /// With the certificate and key in `folder`.
    pub fn restart_with_tls(&mut self, folder: &Path) {
        let certificate = [folder.join("server.pem"), folder.join("server.key")];
        let command = command(&self.python, self.port, self.dir.path(), &certificate);
        self.peer.become_another(command);
        self.peer.restart();
    }

    pub fn kill(&mut self) {
        self.peer.kill();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(RECEIVED)
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

/// What starts it.
fn command(
    python: &Path,
    port: u16,
    folder: &Path,
    certificate: &[PathBuf],
) -> impl Fn() -> Command + Send + Sync + use<> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp/receiver.py");
    let mut arguments = vec![script, port.to_string().into(), folder.join(RECEIVED)];
    arguments.extend_from_slice(certificate);
    let python = python.to_owned();
    move || {
        let mut command = Command::new(&python);
        command.args(&arguments);
        command
    }
}

/// Rotel, which passes everything on to a receiver, in protobuf.
pub fn start_collector(receiver: &Receiver) -> Peer {
    let find =
        "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let found = Command::new(&receiver.python)
        .args(["-c", find])
        .output()
        .unwrap();
    let agent = String::from_utf8(found.stdout).unwrap().trim().to_owned();
    let (port, other, behind) = (free_port(), free_port(), receiver.port);
    Peer::start(port, move || {
        let mut command = Command::new(&agent);
        command
            .arg("start")
            .arg("--otlp-http-endpoint")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--otlp-grpc-endpoint")
            .arg(format!("127.0.0.1:{other}"))
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .arg("--otlp-exporter-endpoint")
            .arg(format!("http://127.0.0.1:{behind}"))
            .stdout(Stdio::null());
        command
    })
}
