//! `anomalyd ended`: what the unit runs after the service, however that ended (`ExecStopPost=`), so
//! that no end goes unreported. Not for people.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::health::cgroup::Cgroup;
use crate::message::Message;

#[derive(Debug, Args)]
pub struct EndedArgs {}

/// Journals how the service ended, unless it was asked to. systemd says it in the environment
/// (systemd.exec(5), `$SERVICE_RESULT`).
pub fn run(_: &EndedArgs) -> anyhow::Result<ExitCode> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let result = variable("SERVICE_RESULT");
    let status = variable("EXIT_STATUS");
    // Its group is still the service's.
    let kills = Cgroup::own(Path::new("/")).and_then(|group| group.memory_events().oom_kill);
    crate::logging::start(log::LevelFilter::Info);
    if let Some((message, text)) = told(&result, &status, kills.unwrap_or(0)) {
        log::error!(target: "daemon", MESSAGE_ID = message.id(), ANOMALYD_RESULT = result.as_str(); "{text}");
    }
    Ok(ExitCode::SUCCESS)
}

fn told(result: &str, status: &str, oom_kills: u64) -> Option<(Message, String)> {
    const AGAIN: &str = "systemd starts it again with what it had saved";
    let killed = result == "signal" && status == "KILL";
    let told = match result {
        "" | "success" => return None,
        "oom-kill" => (Message::OutOfMemory, out_of_memory()),
        _ if killed && oom_kills > 0 => (Message::OutOfMemory, out_of_memory()),
        "watchdog" => (
            Message::Crashed,
            format!("inference did not move and the watchdog ended the service; {AGAIN}"),
        ),
        "signal" | "core-dump" => (
            Message::Crashed,
            format!("the service was ended by SIG{status}; {AGAIN}"),
        ),
        "exit-code" => (
            Message::Crashed,
            format!("the service ended with exit status {status}; its own last message says why"),
        ),
        other => (
            Message::Crashed,
            format!("the service ended: {other}; see systemctl status anomalyd"),
        ),
    };
    Some(told)
}

fn out_of_memory() -> String {
    "the kernel killed the service for want of memory; systemd starts it again with what it had \
     saved. Its cap: systemctl show anomalyd -p MemoryMax"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_end_has_its_words_and_a_good_one_none() {
        let message = |result, status, kills| told(result, status, kills).map(|told| told.0);
        assert_eq!(message("success", "0", 0), None);
        assert_eq!(message("success", "0", 3), None);
        assert_eq!(message("signal", "KILL", 0), Some(Message::Crashed));
        assert_eq!(message("signal", "KILL", 1), Some(Message::OutOfMemory));
        assert_eq!(message("oom-kill", "KILL", 0), Some(Message::OutOfMemory));
        assert_eq!(message("watchdog", "ABRT", 1), Some(Message::Crashed));
        assert_eq!(message("exit-code", "78", 0), Some(Message::Crashed));
    }
}
