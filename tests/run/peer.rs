//! Another program at a loopback port of its own: a broker, a device, a collector.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Ends with the test.
pub struct Peer {
    pub port: u16,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    process: Option<Child>,
}

impl Peer {
    /// Returns when something listens at `port`. `command` starts it each time.
    pub fn start(port: u16, command: impl Fn() -> Command + Send + Sync + 'static) -> Peer {
        let mut peer = Peer {
            port,
            command: Box::new(command),
            process: None,
        };
        peer.restart();
        peer
    }

    /// As a power failure does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn restart(&mut self) {
        let mut command = (self.command)();
        self.process = Some(command.stdin(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let program = command.get_program();
            assert!(begin.elapsed() < PATIENCE, "{program:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Another way to start it, from the next time on.
    pub fn become_another(&mut self, command: impl Fn() -> Command + Send + Sync + 'static) {
        self.command = Box::new(command);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The Python of `scripts/python-env.sh` where it has `modules`; none after saying that the test is
/// skipped.
pub fn python(modules: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let there = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        let required = std::env::var_os("ANOMALYD_REQUIRE_ALL").is_some();
        assert!(!required, "no {modules}: run scripts/python-env.sh");
        println!("skipped: there is no {modules}; scripts/python-env.sh gets it");
    }
    there.then_some(python)
}
