//! Connections to a broker, one after the other: connect, subscribe, hand on, and when the
//! connection is lost wait and begin again. Imports its siblings of stage ingest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS, SubAck,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::time;

use super::super::{SourceContext, SourceState, SourceStatus, stopped};
use super::LOG_TARGET;
use super::routes::Routes;
use crate::backoff::Backoff;
use crate::broker;
use crate::message::Message;

/// Some brokers take no more in one subscription request (AWS IoT Core).
const FILTERS_A_REQUEST: usize = 8;
/// A connection that held this long was a good one.
const HELD: Duration = Duration::from_secs(10);
/// How long the goodbye to the broker may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Keeps a connection until a stop.
pub(super) async fn run(options: MqttOptions, mut routes: Routes, ctx: SourceContext) {
    let (host, port) = options.broker_address();
    let broker = format!("{host}:{port}");
    let filters = routes.filters();
    let mut stop = ctx.stop.clone();
    if filters.is_empty() {
        let reason = format!("no topic of {broker} belongs to a sensor of the model");
        warn!(target: LOG_TARGET, "{reason}; name the model's sensors in source.mqtt.topics");
        ctx.status.set_state(SourceState::Waiting { reason });
        return stopped(&mut stop).await;
    }
    let mut backoff = Backoff::new();
    let mut said = String::new();
    loop {
        let started = Instant::now();
        let mut session = Session::new(options.clone(), &filters, &broker, &ctx);
        let Some(reason) = session.hold(&mut routes, &mut said).await else {
            return;
        };
        if session.subscribed && started.elapsed() >= HELD {
            backoff.reset();
        }
        let wait = backoff.wait();
        let seconds = wait.as_secs_f64();
        if reason == said {
            debug!(target: LOG_TARGET, "{reason}; trying again in {seconds:.1} s");
        } else {
            warn!(
                target: LOG_TARGET,
                MESSAGE_ID = Message::SourceFailed.id();
                "{reason}; trying again in {seconds:.1} s, and then every minute until it works"
            );
            said.clone_from(&reason);
        }
        ctx.status.set_state(SourceState::Waiting { reason });
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = time::sleep(wait) => {}
        }
    }
}

/// One connection.
struct Session<'a> {
    client: AsyncClient,
    events: EventLoop,
    filters: &'a [String],
    broker: &'a str,
    ctx: &'a SourceContext,
    /// Requests on their way: packet identifier and filters, oldest first.
    sent: VecDeque<(u16, &'a [String])>,
    unsent: VecDeque<&'a [String]>,
    refused: Vec<&'a str>,
    subscribed: bool,
}

impl<'a> Session<'a> {
    fn new(
        options: MqttOptions,
        filters: &'a [String],
        broker: &'a str,
        ctx: &'a SourceContext,
    ) -> Self {
        let requests = filters.len().div_ceil(FILTERS_A_REQUEST);
        // Room for all subscriptions and the goodbye, so that no request ever has to wait.
        let (client, events) = AsyncClient::new(options, requests + 1);
        Session {
            client,
            events,
            filters,
            broker,
            ctx,
            sent: VecDeque::new(),
            unsent: VecDeque::new(),
            refused: Vec::new(),
            subscribed: false,
        }
    }

    /// Runs the connection. Returns why it was lost, or nothing after a stop. `said` is the reason
    /// that was logged last.
    async fn hold(&mut self, routes: &mut Routes, said: &mut String) -> Option<String> {
        let mut stop = self.ctx.stop.clone();
        loop {
            let event = tokio::select! {
                biased;
                () = stopped(&mut stop) => {
                    self.drain(routes);
                    self.say_goodbye(routes).await;
                    return None;
                }
                event = self.events.poll() => event,
            };
            let lost = match event {
                Ok(event) => self.handle(event, routes, said),
                Err(error) => Some(broker::reason(&error, self.broker)),
            };
            if lost.is_some() {
                self.drain(routes);
                return lost;
            }
        }
    }

    /// Returns why the connection must be given up, if it must.
    fn handle(&mut self, event: Event, routes: &mut Routes, said: &mut String) -> Option<String> {
        match event {
            Event::Incoming(Packet::Publish(message)) => self.hand_on(&message, routes),
            Event::Incoming(Packet::ConnAck(_)) => return self.subscribe(),
            Event::Outgoing(Outgoing::Subscribe(packet)) => {
                if let Some(filters) = self.unsent.pop_front() {
                    self.sent.push_back((packet, filters));
                }
            }
            Event::Incoming(Packet::SubAck(answer)) => {
                self.note_answer(&answer);
                if self.unsent.is_empty() && self.sent.is_empty() {
                    return self.finish_subscribing(routes, said);
                }
            }
            _ => {}
        }
        None
    }

    fn hand_on(&self, message: &Publish, routes: &mut Routes) {
        let now = self.ctx.clock.now();
        routes.read_message(&message.topic, &message.payload, message.retain, now);
    }

    fn subscribe(&mut self) -> Option<String> {
        for filters in self.filters.chunks(FILTERS_A_REQUEST) {
            let request = filters.iter().map(|filter| SubscribeFilter {
                path: filter.clone(),
                qos: QoS::AtLeastOnce,
            });
            if self.client.try_subscribe_many(request).is_err() {
                return Some(format!("{}: cannot subscribe to {filters:?}", self.broker));
            }
            self.unsent.push_back(filters);
        }
        None
    }

    fn note_answer(&mut self, answer: &SubAck) {
        let Some(at) = self
            .sent
            .iter()
            .position(|(packet, _)| *packet == answer.pkid)
        else {
            return;
        };
        let Some((_, filters)) = self.sent.remove(at) else {
            return;
        };
        for (index, filter) in filters.iter().enumerate() {
            let granted = matches!(
                answer.return_codes.get(index),
                Some(SubscribeReasonCode::Success(_))
            );
            if !granted {
                self.refused.push(filter);
            }
        }
    }

    fn finish_subscribing(&mut self, routes: &Routes, said: &mut String) -> Option<String> {
        let status: &Arc<SourceStatus> = &self.ctx.status;
        let refusals: Vec<String> = self
            .refused
            .iter()
            .map(|topic| format!("{topic:?} (sensors {})", routes.sensors_of(topic)))
            .collect();
        let problem = (!refusals.is_empty()).then(|| {
            format!(
                "{} refused the subscription to {}; allow this user to read it in the broker's access list",
                self.broker,
                refusals.join(", ")
            )
        });
        status.set_problem(problem.clone());
        if self.refused.len() == self.filters.len() {
            return problem;
        }
        if let Some(problem) = problem {
            error!(target: LOG_TARGET, "{problem}");
        }
        info!(
            target: LOG_TARGET,
            MESSAGE_ID = Message::SourceRestored.id();
            "connected to {}, {} topics",
            self.broker,
            self.filters.len() - self.refused.len()
        );
        said.clear();
        self.subscribed = true;
        status.set_state(SourceState::Connected);
        None
    }

    /// Hands on what was read from the network and not yet looked at.
    fn drain(&mut self, routes: &mut Routes) {
        while let Some(event) = self.events.state.events.pop_front() {
            if let Event::Incoming(Packet::Publish(message)) = event {
                self.hand_on(&message, routes);
            }
        }
    }

    /// Tells the broker, so that it does not take the silence for a failure.
    async fn say_goodbye(&mut self, routes: &mut Routes) {
        if self.events.network.is_none() || self.client.try_disconnect().is_err() {
            return;
        }
        let said = time::timeout(GOODBYE, async {
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        self.hand_on(&message, routes);
                    }
                    Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        });
        if said.await.is_err() {
            debug!(target: LOG_TARGET, "{} did not take the goodbye in time", self.broker);
        }
    }
}
