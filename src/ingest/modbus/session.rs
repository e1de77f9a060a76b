//! Connections to a device, one after the other: connect, read round after round, and when the
//! connection is lost wait and begin again. Imports its siblings of stage ingest.

use std::time::{Duration, Instant};

use log::{debug, info, warn};
use tokio::net::TcpStream;
use tokio::time::{self, MissedTickBehavior};
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::Slave;

use super::super::intake::Intake;
use super::super::value::Reading;
use super::super::{SourceContext, SourceState, stopped};
use super::answer::{Device, Failure, Words};
use super::plan::{Request, plan};
use super::value::decode;
use super::{LOG_TARGET, ModbusConfig, ModbusSensor};
use crate::backoff::Backoff;
use crate::frame::Timestamp;
use crate::message::Message;

/// A connection that held this long was a good one.
const HELD: Duration = Duration::from_secs(10);
/// The least time between two log lines about what a device refuses.
const BETWEEN_WORDS: Duration = Duration::from_secs(60);

/// Keeps a connection until a stop.
pub(super) async fn run(
    name: &str,
    config: &ModbusConfig,
    sensors: Vec<(usize, ModbusSensor)>,
    intake: Intake,
    ctx: SourceContext,
) {
    let device = config.device(name);
    let mut stop = ctx.stop.clone();
    if sensors.is_empty() {
        let device = device.name;
        let reason = format!("no register of {device} belongs to a sensor of the model");
        warn!(target: LOG_TARGET, "{reason}; name the model's sensors in source.modbus.registers");
        ctx.status.set_state(SourceState::Waiting { reason });
        return stopped(&mut stop).await;
    }
    let mut session = Session {
        requests: plan(sensors, config),
        device,
        config,
        ctx: &ctx,
        intake,
        said: String::new(),
        problem: None,
        said_problem: (None, None),
        answered: false,
    };
    let mut backoff = Backoff::new();
    loop {
        let started = Instant::now();
        let reason = tokio::select! {
            biased;
            () = stopped(&mut stop) => None,
            reason = session.hold() => Some(reason),
        };
        // What a stop or a lost connection leaves of a round is still a row.
        session.intake.push_patiently(&mut stop).await;
        let Some(reason) = reason else {
            return;
        };
        if session.answered && started.elapsed() >= HELD {
            backoff.reset();
        }
        let wait = backoff.wait();
        session.report_lost(reason, wait);
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = time::sleep(wait) => {}
        }
    }
}

/// Why a connection must be given up.
enum Lost {
    /// It was closed before the first question of a round.
    Idle(String),
    For(String),
}

struct Session<'a> {
    requests: Vec<Request>,
    device: Device<'a>,
    config: &'a ModbusConfig,
    ctx: &'a SourceContext,
    intake: Intake,
    /// The reason for having no connection that was logged last.
    said: String,
    /// What is wrong although the device answers.
    problem: Option<String>,
    /// As above, as it was logged last, and when.
    said_problem: (Option<String>, Option<Instant>),
    /// There was an answer on this connection.
    answered: bool,
}

impl Session<'_> {
    /// Runs connections until one is lost, and returns why.
    async fn hold(&mut self) -> String {
        self.answered = false;
        let poll = self.config.poll;
        let mut ticks = time::interval_at(time::Instant::now() + poll, poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stop = self.ctx.stop.clone();
        loop {
            let mut connection = match self.connect().await {
                Ok(connection) => connection,
                Err(reason) => return reason,
            };
            let mut rounds = 0_u64;
            loop {
                if rounds > 0 {
                    ticks.tick().await;
                }
                match self.round(&mut connection).await {
                    Ok(()) => rounds += 1,
                    // Closed since the last round, by a device that does so when it is not asked for
                    // a while, or after each answer: asked again on another one at once.
                    Err(Lost::Idle(_)) if rounds > 0 => break,
                    Err(Lost::Idle(reason) | Lost::For(reason)) => return reason,
                }
                self.intake.push_patiently(&mut stop).await;
            }
        }
    }

    async fn connect(&self) -> Result<Context, String> {
        let address = (self.config.host.as_str(), self.config.port);
        let connecting = time::timeout(self.config.timeout, TcpStream::connect(address));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.device.unreachable(&error)),
            Err(_) => return Err(self.device.no_connection_in_time()),
        };
        // A request is one small packet: nothing is gained by holding it back.
        let _ = stream.set_nodelay(true);
        Ok(tcp::attach_slave(stream, Slave(self.config.unit)))
    }

    /// Asks for all registers once.
    ///
    /// # Errors
    /// The connection must be given up. What was read before stands in the row.
    async fn round(&mut self, connection: &mut Context) -> Result<(), Lost> {
        let mut time = None;
        let mut problem = None;
        let mut values = false;
        for index in 0..self.requests.len() {
            let answer = self.ask(index, connection).await;
            let time = *time.get_or_insert_with(|| self.ctx.clock.now());
            match answer {
                Ok(words) => {
                    values = true;
                    self.take(index, &words, time);
                }
                Err(Failure::Closed(reason)) if index == 0 => return Err(Lost::Idle(reason)),
                Err(Failure::Lost(reason) | Failure::Closed(reason)) => {
                    return Err(Lost::For(reason));
                }
                Err(Failure::Broken(reason)) => {
                    self.ctx.status.count_bad();
                    return Err(Lost::For(reason));
                }
                Err(Failure::Busy(reason)) => problem = problem.or(Some(reason)),
                Err(Failure::Refused(reason)) => {
                    self.refuse(index, time, &reason);
                    problem = problem.or(Some(reason));
                }
            }
        }
        self.report(problem, values);
        Ok(())
    }

    /// Asks for the registers of one request.
    async fn ask(&self, index: usize, connection: &mut Context) -> Result<Words, Failure> {
        let request = &self.requests[index];
        // By the call itself, because the methods for each kind panic in debug builds where the
        // answer has another size.
        let answer = time::timeout(self.config.timeout, connection.call(request.call()));
        match answer.await {
            Ok(Ok(Ok(response))) => request.accept(&self.device, response),
            Ok(Ok(Err(code))) => Err(self.device.exception(request, code)),
            Ok(Err(error)) => Err(self.device.failure(&error)),
            Err(_) => Err(self.device.silent()),
        }
    }

    /// Puts the values of an answer into the row.
    fn take(&mut self, index: usize, words: &[u16], time: Timestamp) {
        let request = &self.requests[index];
        for wanted in &request.wanted {
            let Some(words) = words.get(wanted.range(request)) else {
                continue;
            };
            let reading = decode(&wanted.sensor, words);
            let origin = self.device.name;
            let shown = "the device's word for no value";
            self.intake.add(wanted.index, time, reading, shown, &origin);
        }
    }

    /// The sensors of a request that the device refuses have no value.
    fn refuse(&mut self, index: usize, time: Timestamp, reason: &str) {
        for wanted in &self.requests[index].wanted {
            let origin = self.device.name;
            self.intake
                .add(wanted.index, time, Reading::Missing, reason, &origin);
        }
    }

    /// Tells how a whole round went. `values`: at least one request gave some.
    fn report(&mut self, problem: Option<String>, values: bool) {
        if problem != self.problem {
            self.ctx.status.set_problem(problem.clone());
            self.problem.clone_from(&problem);
        }
        self.say_problem();
        if let (Some(reason), false) = (problem, values) {
            self.ctx.status.set_state(SourceState::Waiting { reason });
            self.answered = false;
        } else if !self.answered {
            self.answered = true;
            self.said.clear();
            self.ctx.status.set_state(SourceState::Connected);
            info!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::SourceRestored.id();
                "{} answers, {} a round",
                self.device.name,
                match self.requests.len() {
                    1 => "1 request".to_owned(),
                    more => format!("{more} requests"),
                }
            );
        }
    }

    /// Logs a problem that came or went, but not each time where it comes and goes.
    fn say_problem(&mut self) {
        let (said, at) = &self.said_problem;
        let lately = at.is_some_and(|at| at.elapsed() < BETWEEN_WORDS);
        if *said == self.problem || lately {
            return;
        }
        match &self.problem {
            Some(problem) => warn!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::SourceFailed.id();
                "{problem}; asking again in each round"
            ),
            None => info!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::SourceRestored.id();
                "{} gives all registers",
                self.device.name
            ),
        }
        self.said_problem = (self.problem.clone(), Some(Instant::now()));
    }

    fn report_lost(&mut self, reason: String, wait: Duration) {
        let seconds = wait.as_secs_f64();
        if reason == self.said {
            debug!(target: LOG_TARGET, "{reason}; trying again in {seconds:.1} s");
        } else {
            warn!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::SourceFailed.id();
                "{reason}; trying again in {seconds:.1} s, and then every minute until it works"
            );
            self.said.clone_from(&reason);
        }
        self.ctx.status.set_state(SourceState::Waiting { reason });
    }
}
