//! The engine that asks a worker process, and gets another when the worker dies, hangs or answers
//! rubbish. Imports `engine` only.
//!
//! [`Engine::step`] waits for an answer only as long as [`TorchConfig::timeout`]; while a new worker
//! is waited for or loads its model it fails at once, so that the stream is never held up. The
//! window of the last T frames is kept here, not in the worker.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::connection::{Connection, Fault};
use super::locate::locate;
use super::protocol::{Message, Shape};
use crate::engine::{Engine, EngineError, Expectation, WindowOutputs};
use crate::message::Message as Journaled;

/// Values in one request of [`Engine::run_windows`] at most (1 MiB): a batch is as good as ten.
const BATCH_VALUES: usize = 1 << 18;

/// How the worker is run.
#[derive(Debug, Clone)]
pub struct TorchConfig {
    /// The worker program; found by [`locate`] when absent.
    pub worker: Option<PathBuf>,
    /// Threads libtorch may use for a window.
    pub threads: u32,
    /// For the answer to one window.
    pub timeout: Duration,
    /// For loading the model.
    pub load_timeout: Duration,
    /// Wait before the first restart; doubled with each worker that fails in turn.
    pub backoff: Duration,
    /// The longest wait. A worker that has lived this long starts the doubling anew.
    pub longest_backoff: Duration,
}

impl Default for TorchConfig {
    fn default() -> Self {
        TorchConfig {
            worker: None,
            threads: 1,
            timeout: Duration::from_secs(2),
            load_timeout: Duration::from_secs(60),
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(60),
        }
    }
}

/// A TorchScript model in a worker process.
#[derive(Debug)]
pub struct TorchEngine {
    config: TorchConfig,
    worker: PathBuf,
    model: PathBuf,
    /// SHA-256 of the model file when the engine was opened.
    digest: [u8; 32],
    /// `[1,T,F]`
    shape: Shape,
    /// Up to `[T,F]`, oldest frame first.
    window: Vec<f32>,
    state: State,
    /// The wait before the next restart.
    backoff: Duration,
    restarts: u64,
    request: u64,
}

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
        reason: String,
    },
    Loading {
        connection: Connection,
        deadline: Instant,
    },
    Ready {
        connection: Connection,
        since: Instant,
    },
}

impl TorchEngine {
    /// Starts a worker for the file `model`, which takes windows of `window` (T) frames of
    /// `sensors` (F), and waits until it has loaded it.
    ///
    /// # Errors
    /// There is no worker program, or it cannot load or run the model. Nothing is retried here.
    pub fn open(
        model: &Path,
        window: usize,
        sensors: usize,
        config: TorchConfig,
    ) -> Result<Self, EngineError> {
        let worker = locate(config.worker.as_deref())?;
        let digest = digest(model).map_err(|error| {
            EngineError::Worker(format!("cannot be given {}: {error}", model.display()))
        })?;
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let shape = Shape {
            batch: 1,
            window: length(window),
            sensors: length(sensors),
        };
        if shape.values().is_none() {
            return Err(EngineError::Worker(format!(
                "cannot take windows of {window} frames of {sensors} sensors"
            )));
        }
        let mut engine = TorchEngine {
            worker,
            model: model.to_path_buf(),
            digest,
            shape,
            window: Vec::with_capacity(window * sensors),
            state: State::Waiting {
                until: Instant::now(),
                reason: String::new(),
            },
            backoff: config.backoff,
            restarts: 0,
            request: 0,
            config,
        };
        let mut connection = engine.start()?;
        let deadline = Instant::now() + engine.config.load_timeout;
        match engine.greet(&mut connection, deadline) {
            Ok(()) => {
                engine.state = State::Ready {
                    connection,
                    since: Instant::now(),
                };
                Ok(engine)
            }
            Err(fault) => Err(EngineError::Worker(connection.end(&fault))),
        }
    }

    /// Workers started after the first.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The worker's process id, while there is one.
    pub fn worker_id(&self) -> Option<u32> {
        match &self.state {
            State::Waiting { .. } => None,
            State::Loading { connection, .. } | State::Ready { connection, .. } => {
                Some(connection.id())
            }
        }
    }

    fn start(&self) -> Result<Connection, EngineError> {
        let [window, sensors, threads] =
            [self.shape.window, self.shape.sensors, self.config.threads]
                .map(|number| number.to_string());
        Connection::start(
            &self.worker,
            &[
                "serve".as_ref(),
                "--model".as_ref(),
                self.model.as_os_str(),
                "--window".as_ref(),
                window.as_ref(),
                "--sensors".as_ref(),
                sensors.as_ref(),
                "--threads".as_ref(),
                threads.as_ref(),
            ],
        )
    }

    fn greet(&self, connection: &mut Connection, deadline: Instant) -> Result<(), Fault> {
        match connection.receive_hello(deadline)? {
            digest if digest == self.digest => Ok(()),
            _ => Err(Fault::Rubbish(format!(
                "loaded another model than before: {} was changed in place; restart anomalyd to take the new one",
                self.model.display()
            ))),
        }
    }

    /// A worker that is ready for a request, taken out of the state: whoever takes it puts it back
    /// if it is still good.
    fn ready(&mut self, patient: bool) -> Result<(Connection, Instant), EngineError> {
        let now = Instant::now();
        let waiting = State::Waiting {
            until: now,
            reason: String::new(),
        };
        let (mut connection, deadline) = match std::mem::replace(&mut self.state, waiting) {
            State::Ready { connection, since } => return Ok((connection, since)),
            State::Loading {
                connection,
                deadline,
            } => (connection, deadline),
            State::Waiting { until, reason } if now < until && !patient => {
                let left = (until - now).as_secs_f64();
                let error =
                    EngineError::Worker(format!("{reason}; the next is started in {left:.1} s"));
                self.state = State::Waiting { until, reason };
                return Err(error);
            }
            State::Waiting { .. } => {
                self.restarts += 1;
                match self.start() {
                    Ok(connection) => (connection, now + self.config.load_timeout),
                    Err(error) => {
                        self.wait(error.to_string());
                        return Err(error);
                    }
                }
            }
        };
        let until = if patient { deadline } else { now.min(deadline) };
        match self.greet(&mut connection, until) {
            Ok(()) => {
                log::info!(
                    target: "torch",
                    MESSAGE_ID = Journaled::WorkerRestarted.id();
                    "the worker is ready again (restart {})", self.restarts
                );
                Ok((connection, Instant::now()))
            }
            Err(Fault::Timeout) if Instant::now() < deadline => {
                self.state = State::Loading {
                    connection,
                    deadline,
                };
                Err(EngineError::Worker(
                    "is being restarted and loads its model".to_owned(),
                ))
            }
            Err(fault) => Err(self.fail(connection, &fault)),
        }
    }

    /// Ends a worker that cannot be trusted any more.
    fn fail(&mut self, mut connection: Connection, fault: &Fault) -> EngineError {
        let reason = connection.end(fault);
        log::error!(
            target: "torch",
            MESSAGE_ID = Journaled::WorkerRestarted.id();
            "the torch worker {reason}; restarting it in {:?}", self.backoff
        );
        self.wait(reason.clone());
        EngineError::Worker(reason)
    }

    fn wait(&mut self, reason: String) {
        self.state = State::Waiting {
            until: Instant::now() + self.backoff,
            reason,
        };
        self.backoff = (self.backoff * 2).min(self.config.longest_backoff);
    }

    /// Sends `windows` `[B,T,F]` and returns what the model makes of them.
    fn ask(
        &mut self,
        shape: Shape,
        windows: &[f32],
        patient: bool,
    ) -> Result<WindowOutputs, EngineError> {
        let (mut connection, since) = self.ready(patient)?;
        self.request += 1;
        // A large batch of a slow model takes longer than a window, but not for ever.
        let deadline = Instant::now() + self.config.timeout * if patient { 30 } else { 1 };
        let answer = connection
            .send_run(self.request, shape, windows, deadline)
            .and_then(|()| connection.receive(shape.output_length(), deadline))
            .and_then(|message| checked(message, self.request, shape));
        match answer {
            Ok(answer) => {
                if since.elapsed() >= self.config.longest_backoff {
                    self.backoff = self.config.backoff;
                }
                self.state = State::Ready { connection, since };
                answer
            }
            Err(fault) => Err(self.fail(connection, &fault)),
        }
    }

    fn frame(&self) -> usize {
        self.shape.sensors as usize
    }

    /// Puts the frame `x` `[F]` at the end of the window.
    fn take(&mut self, x: &[f32]) {
        let (sensors, values) = (self.frame(), self.frame() * self.shape.window as usize);
        if self.window.len() == values {
            self.window.copy_within(sensors.., 0);
            self.window.truncate(values - sensors);
        }
        self.window.extend_from_slice(x);
    }
}

impl Engine for TorchEngine {
    fn name(&self) -> &'static str {
        "torch"
    }

    fn reset(&mut self) {
        self.window.clear();
    }

    fn step(&mut self, x: &[f32], out: &mut Expectation) -> Result<bool, EngineError> {
        let sensors = self.frame();
        if x.len() != sensors {
            return Err(EngineError::Worker(format!(
                "cannot take a frame of {} values for {sensors} sensors",
                x.len()
            )));
        }
        let values = sensors * self.shape.window as usize;
        self.take(x);
        if self.window.len() < values {
            return Ok(false);
        }
        let window = std::mem::take(&mut self.window);
        let answer = self.ask(self.shape, &window, false);
        self.window = window;
        let answer = answer?;
        out.reconstruction.clear();
        out.reconstruction
            .extend_from_slice(&answer.reconstruction[values - sensors..]);
        out.neighbour = answer.neighbour;
        Ok(true)
    }

    /// Only the window moves on: the worker is not asked.
    fn skip(&mut self, x: &[f32]) {
        if x.len() == self.frame() {
            self.take(x);
        }
    }

    fn run_windows(&mut self, windows: &[f32], batch: usize) -> Result<WindowOutputs, EngineError> {
        let (sensors, values) = (self.frame(), self.frame() * self.shape.window as usize);
        if windows.len() != batch * values {
            return Err(EngineError::Worker(format!(
                "cannot take {} values for {batch} windows of {values}",
                windows.len()
            )));
        }
        let mut outputs = WindowOutputs {
            reconstruction: Vec::with_capacity(batch * values),
            neighbour: Vec::with_capacity(batch * sensors),
        };
        for part in windows.chunks((BATCH_VALUES / values).max(1) * values) {
            // Cannot truncate: a part holds at most BATCH_VALUES windows.
            let shape = Shape {
                batch: (part.len() / values) as u32,
                ..self.shape
            };
            let answer = self.ask(shape, part, true)?;
            outputs
                .reconstruction
                .extend_from_slice(&answer.reconstruction);
            outputs.neighbour.extend_from_slice(&answer.neighbour);
        }
        Ok(outputs)
    }
}

/// The answer to `request`, or its refusal; anything else is the fault of a broken worker.
fn checked(
    message: Message,
    request: u64,
    shape: Shape,
) -> Result<Result<WindowOutputs, EngineError>, Fault> {
    match message {
        Message::Output {
            request: answered,
            shape: of,
            reconstruction,
            neighbour,
        } => {
            if answered != request || of != shape {
                return Err(Fault::Rubbish(
                    "answered another request than it was asked".to_owned(),
                ));
            }
            let neighbour = neighbour.unwrap_or_else(|| vec![0.0; shape.frames()]);
            if !reconstruction
                .iter()
                .chain(&neighbour)
                .all(|value| value.is_finite())
            {
                return Err(Fault::Rubbish(
                    "answered with values that are not finite".to_owned(),
                ));
            }
            Ok(Ok(WindowOutputs {
                reconstruction,
                neighbour,
            }))
        }
        Message::Failed {
            request: answered,
            message,
        } if answered == request => Ok(Err(EngineError::Worker(format!(
            "cannot run the window: {message}"
        )))),
        _ => Err(Fault::Rubbish("sent a message out of turn".to_owned())),
    }
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    std::fs::read(path).map(|bytes| Sha256::digest(&bytes).into())
}

#[cfg(test)]
mod tests;
