//! A contender seen from outside: commands to it, and what its processes have used.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// A running engine. It ends with this value.
pub struct Contender {
    pub name: &'static str,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contender {
    pub fn spawn(name: &'static str, command: &mut Command) -> anyhow::Result<Contender> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name}: cannot be started: {command:?}"))?;
        let (Some(commands), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("{name}: has no pipes");
        };
        Ok(Contender {
            name,
            process,
            commands,
            answers: BufReader::new(answers),
        })
    }

    /// Sends a command (`contend.rs` has them) and waits until it is done.
    pub fn ask(&mut self, command: &str) -> anyhow::Result<()> {
        // Where it is gone the answer says so as well.
        let _ = writeln!(self.commands, "{command}");
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim_end() != "done" {
            bail!("{}: answered {answer:?} to {command:?}", self.name);
        }
        Ok(())
    }

    /// CPU time of `windows` windows, `batch` at a time, in all of its processes.
    pub fn run(&mut self, windows: usize, batch: usize) -> anyhow::Result<Duration> {
        let before = self.cpu()?;
        self.ask(&format!("run {windows} {batch}"))?;
        Ok(self.cpu()? - before)
    }

    /// Of all threads so far, to the nanosecond: /proc/PID/stat counts in ticks of 10 ms.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanos = 0;
        for id in self.processes() {
            for task in fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
                let text = fs::read_to_string(task.path().join("schedstat"))?;
                let first = text.split(' ').next().unwrap_or_default();
                nanos += first.parse::<u64>().context("schedstat")?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory of all processes in KiB, and how much of it is anonymous.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let (mut resident, mut anonymous) = (0, 0);
        for id in self.processes() {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
                    .with_context(|| format!("/proc/{id}/status has no {name}"))
            };
            resident += field("VmRSS:")?;
            anonymous += field("RssAnon:")?;
        }
        Ok((resident, anonymous))
    }

    /// The process and its children; no contender has grandchildren.
    fn processes(&self) -> Vec<u32> {
        let id = self.process.id();
        let mut all = vec![id];
        for task in fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
        {
            let children = task.and_then(|task| fs::read_to_string(task.path().join("children")));
            let children = children.unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
        all
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and is only waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
