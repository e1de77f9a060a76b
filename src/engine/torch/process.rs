//! A running worker process: started with pipes, its complaints kept and logged, ended for certain.
//! Imports `engine::EngineError` only.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::engine::EngineError;

/// Time between closing a worker's stdin and killing it.
const GRACE: Duration = Duration::from_secs(1);

/// Lines of stderr kept for an error message.
const KEPT_LINES: usize = 4;

/// Bytes of one stderr line that are kept and logged: a worker that prints garbage without a line
/// end must not fill the memory.
const LINE_LIMIT: u64 = 1024;

/// A started worker. Dropping it closes its stdin, waits a second, and kills it.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    /// Open as long as the worker shall live: it ends itself when this closes.
    pub stdin: Option<ChildStdin>,
    complaints: Arc<Mutex<VecDeque<String>>>,
    stderr_reader: Option<JoinHandle<()>>,
}

impl WorkerProcess {
    /// Starts `path` with `arguments`; its stdout is returned beside it, its stderr goes to the
    /// log (target `torch`).
    ///
    /// # Errors
    /// [`EngineError::WorkerMissing`] when it cannot be executed.
    pub fn start(
        path: &Path,
        arguments: &[&std::ffi::OsStr],
    ) -> Result<(Self, ChildStdout), EngineError> {
        let missing = |source| EngineError::WorkerMissing {
            path: path.to_path_buf(),
            source,
        };
        let mut child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(missing)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut process = WorkerProcess {
            child,
            stdin,
            complaints: Arc::default(),
            stderr_reader: None,
        };
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(missing(std::io::Error::other("its pipes are not there")));
        };
        let complaints = Arc::clone(&process.complaints);
        process.stderr_reader = Some(
            thread::Builder::new()
                .name("torch-log".to_owned())
                .spawn(move || keep_complaints(stderr, &complaints))
                .map_err(missing)?,
        );
        Ok((process, stdout))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the worker if it does not end itself within `patience`, and says which, and what it
    /// had complained of: for error messages like "ended with signal: 9 (SIGKILL)".
    pub fn end(&mut self, patience: Duration) -> String {
        self.stdin = None;
        let own = self.wait(patience);
        if own.is_none() {
            // Fails only when the worker has just ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let lines = self.last_complaints();
        match own {
            Some(status) => format!("ended with {status}{lines}"),
            None => format!("was killed{lines}"),
        }
    }

    /// Waits for a worker that has closed its stdout to end.
    ///
    /// # Errors
    /// [`EngineError::Worker`] when it does not end within a second of its own, or fails.
    pub fn finish(&mut self) -> Result<(), EngineError> {
        self.stdin = None;
        match self.wait(GRACE) {
            Some(status) if status.success() => Ok(()),
            _ => Err(EngineError::Worker(self.end(Duration::ZERO))),
        }
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }

    fn last_complaints(&mut self) -> String {
        // A grandchild may hold stderr open after the worker is gone: do not wait for it for long.
        let deadline = Instant::now() + Duration::from_millis(200);
        while let Some(reader) = &self.stderr_reader {
            if reader.is_finished() {
                self.stderr_reader = None;
            } else if Instant::now() >= deadline {
                break;
            } else {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let lines = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for line in lines.iter() {
            text.push_str(if text.is_empty() { ": " } else { "; " });
            text.push_str(line);
        }
        text
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.stdin = None;
        if self.wait(GRACE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn keep_complaints(stderr: impl Read, complaints: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match stderr
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            continue;
        }
        log::warn!(target: "torch", "{line}");
        let mut kept = complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes an executable script. Another process writes it: a worker that some other test starts
    /// at this moment would inherit our handle, and a file that is open for writing cannot be run.
    pub fn install(script: &str, path: &Path) {
        let plain = path.with_extension("txt");
        std::fs::write(&plain, script).unwrap();
        let status = Command::new("install")
            .arg("-m755")
            .args([&plain, path])
            .status();
        assert!(status.unwrap().success());
        std::fs::remove_file(plain).unwrap();
    }

    fn shell(script: &str) -> WorkerProcess {
        WorkerProcess::start(Path::new("/bin/sh"), &["-c".as_ref(), script.as_ref()])
            .unwrap()
            .0
    }

    #[test]
    fn a_failed_worker_is_described_with_its_last_complaints() {
        let mut process = shell("for i in 1 2 3 4 5; do echo line $i >&2; done; exit 3");
        let text = process.finish().unwrap_err().to_string();
        assert!(
            text.contains("exit status: 3: line 2; line 3; line 4; line 5"),
            "{text}"
        );
        assert!(shell("exit 0").finish().is_ok());
    }

    #[test]
    fn a_worker_that_ignores_its_stdin_is_killed_after_the_grace() {
        let process = shell("exec sleep 60");
        let id = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
        let start = Instant::now();
        drop(process);
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(
            nix::sys::signal::kill(id, None),
            Err(nix::errno::Errno::ESRCH)
        );
    }

    #[test]
    fn endless_output_without_a_line_end_is_bounded() {
        let mut process = shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1");
        let text = process.finish().unwrap_err().to_string();
        assert!(text.len() < 6000, "{}", text.len());
    }
}
