//! Two Modbus devices, one of them dead: what a user sees of it.

use std::process::Command;

use super::daemon::{Site, until};
use super::modbus_server;
use super::peer::free_port;
use super::plant::{anomalyd, output, plant};

#[test]
fn a_dead_device_is_said_once_and_shown_beside_the_live_one() {
    let Some(server) = modbus_server::start() else {
        return;
    };
    let sensors = plant().sensors();
    let site = Site::new(&format!(
        "[[source.modbus]]\nname = \"live\"\nhost = \"127.0.0.1\"\nport = {}\npoll = \"100ms\"\n\
         [source.modbus.registers]\n{} = \"holding 0\"\n{} = {{ register = \"holding 700\" }}\n\
         [[source.modbus]]\nname = \"dead\"\nhost = \"127.0.0.1\"\nport = {}\n\
         [source.modbus.registers]\n{} = \"40001\"\n",
        server.port,
        sensors[0],
        sensors[1],
        free_port(),
        sensors[2],
    ));
    let daemon = site.run();
    daemon.until_log("unit 1 answers, 2 requests a round");
    daemon.until_log("nothing listens at 127.0.0.1");
    let status = || {
        let mut status: Command = anomalyd();
        status
            .args(["status", "--socket"])
            .arg(site.path("control.sock"));
        output(&mut status)
    };
    let mut shown = String::new();
    until("both sources in the status", || {
        shown = status();
        shown.contains("connected, but 127.0.0.1") && shown.contains("waiting: nothing listens at")
    });
    assert!(
        shown.contains("does not have holding registers 700 to 700"),
        "{shown}"
    );
    // Tried again by now, more than once.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let finished = daemon.terminate();
    finished.ok();
    let count = |part: &str| finished.log.matches(part).count();
    assert_eq!(count("nothing listens at"), 1, "{}", finished.log);
    assert_eq!(count("does not have holding"), 1, "{}", finished.log);
}
