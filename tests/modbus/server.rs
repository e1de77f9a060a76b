//! A pymodbus server of one's own on a free loopback port.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    pub port: u16,
    python: PathBuf,
    process: Child,
}

impl Server {
    /// None after saying that the test is skipped.
    pub fn start() -> Option<Server> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/python/bin/python");
        let there = Command::new(&python)
            .args(["-c", "import pymodbus"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !there {
            let required = std::env::var_os("ANOMALYD_REQUIRE_ALL").is_some();
            assert!(!required, "no pymodbus: run scripts/python-env.sh");
            println!("skipped: there is no pymodbus; scripts/python-env.sh gets it");
            return None;
        }
        let port = free_port();
        let process = spawn(&python, port);
        Some(Server {
            port,
            python,
            process,
        })
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = spawn(&self.python, self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a failed test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(python: &Path, port: u16) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modbus/server.py");
    let process = Command::new(python)
        .arg(script)
        .arg(port.to_string())
        // It prints every packet of a device that does not exist.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "pymodbus does not listen"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}
