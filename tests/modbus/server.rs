//! A pymodbus server of one's own on a free loopback port.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Stdio};

use super::peer::{Peer, free_port, python};

/// None after saying that the test is skipped.
pub fn start() -> Option<Peer> {
    let python = python("pymodbus")?;
    let port = free_port();
    Some(Peer::start(port, move || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modbus/server.py");
        let mut command = Command::new(&python);
        command.arg(script).arg(port.to_string());
        // It prints every packet of a device that does not exist.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }))
}
