//! Messages to and from a running worker, with a deadline for each: a stopped or hung worker never
//! blocks its client. Imports `engine::EngineError` only.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::process::WorkerProcess;
use super::protocol::{self, Message, ProtocolError, Shape};
use crate::engine::EngineError;

/// Why a worker cannot be used any more.
#[derive(Debug)]
pub enum Fault {
    /// No (whole) message by the deadline.
    Timeout,
    /// Its pipes are closed: it has ended or is ending.
    Closed,
    /// It sent what it must not; the text says what it did.
    Rubbish(String),
    /// It said itself that it cannot work.
    Refused(String),
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Self {
        Fault::Rubbish(format!("sent {error}"))
    }
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        // Reading or writing a pipe fails only because the other end is gone.
        Fault::Closed
    }
}

/// A worker process and what has arrived of its next message.
#[derive(Debug)]
pub struct Connection {
    process: WorkerProcess,
    stdout: ChildStdout,
    /// Of the message being received, its length included.
    received: Vec<u8>,
    sent: Vec<u8>,
}

impl Connection {
    /// Starts the worker.
    ///
    /// # Errors
    /// [`EngineError::WorkerMissing`] when it cannot be executed.
    pub fn start(worker: &Path, arguments: &[&OsStr]) -> Result<Self, EngineError> {
        let (process, stdout) = WorkerProcess::start(worker, arguments)?;
        let unblocked = |pipe: BorrowedFd<'_>| {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| {
                EngineError::WorkerMissing {
                    path: worker.to_path_buf(),
                    source: error.into(),
                }
            })
        };
        unblocked(stdout.as_fd())?;
        if let Some(stdin) = &process.stdin {
            unblocked(stdin.as_fd())?;
        }
        Ok(Connection {
            process,
            stdout,
            received: Vec::new(),
            sent: Vec::new(),
        })
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills the worker and says why, after "the torch worker".
    pub fn end(&mut self, fault: &Fault) -> String {
        // One that has closed its pipes is about to end and to have a status.
        let patience = match fault {
            Fault::Closed => Duration::from_millis(200),
            _ => Duration::ZERO,
        };
        let ended = self.process.end(patience);
        match fault {
            Fault::Timeout => format!("did not answer in time and {ended}"),
            Fault::Closed => ended,
            Fault::Rubbish(what) => format!("{what} and {ended}"),
            // It has complained of the same on its stderr.
            Fault::Refused(why) => format!("cannot run the model: {why}"),
        }
    }

    /// Waits for the worker's first message; returns the digest of the model it has loaded.
    ///
    /// # Errors
    /// [`Fault::Timeout`] leaves what has arrived for the next call.
    pub fn receive_hello(&mut self, deadline: Instant) -> Result<[u8; 32], Fault> {
        match self.receive(protocol::SHORT_MESSAGE, deadline)? {
            Message::Hello {
                version: protocol::VERSION,
                digest,
                ..
            } => Ok(digest),
            Message::Hello { version, .. } => Err(Fault::Refused(format!(
                "it speaks version {version} of the protocol and this is version {}: install anomalyd-torch of the same release",
                protocol::VERSION
            ))),
            Message::Failed {
                request: 0,
                message,
            } => Err(Fault::Refused(message)),
            _ => Err(Fault::Rubbish("sent a message out of turn".to_owned())),
        }
    }

    /// Sends windows to run.
    ///
    /// # Errors
    /// The worker does not take them.
    pub fn send_run(
        &mut self,
        request: u64,
        shape: Shape,
        windows: &[f32],
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.sent.clear();
        protocol::encode_run(request, shape, windows, &mut self.sent);
        let Some(mut stdin) = self.process.stdin.as_ref() else {
            return Err(Fault::Closed);
        };
        let mut rest = &self.sent[..];
        while !rest.is_empty() {
            match stdin.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(stdin.as_fd(), PollFlags::POLLOUT, deadline)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for a message of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Fault::Timeout`] leaves what has arrived for the next call.
    pub fn receive(&mut self, limit: usize, deadline: Instant) -> Result<Message, Fault> {
        // A refusal may be longer than a small output.
        let limit = limit.max(protocol::SHORT_MESSAGE);
        self.fill(4, deadline)?;
        let length = self.received.first_chunk().copied().unwrap_or_default();
        let length = protocol::decode_length(length, limit)?;
        self.fill(4 + length, deadline)?;
        let message = Message::decode(&self.received[4..]);
        self.received.clear();
        Ok(message?)
    }

    /// Reads until `length` bytes of the message are there.
    fn fill(&mut self, length: usize, deadline: Instant) -> Result<(), Fault> {
        let mut have = self.received.len();
        self.received.resize(length.max(have), 0);
        let outcome = loop {
            if have >= length {
                break Ok(());
            }
            match self.stdout.read(&mut self.received[have..length]) {
                Ok(0) => break Err(Fault::Closed),
                Ok(read) => have += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Err(fault) = wait(self.stdout.as_fd(), PollFlags::POLLIN, deadline) {
                        break Err(fault);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error.into()),
            }
        };
        self.received.truncate(have);
        outcome
    }
}

fn wait(pipe: BorrowedFd<'_>, event: PollFlags, deadline: Instant) -> Result<(), Fault> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Fault::Timeout);
    }
    // Rounded up, or the last millisecond would be a busy loop.
    let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
    let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
    // Interrupted by a signal or not: the caller's loop looks again.
    let _ = poll(&mut [PollFd::new(pipe, event)], timeout);
    Ok(())
}
