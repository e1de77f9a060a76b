//! One connection to the broker: what is on its way, and what has arrived. Imports `queue`.

use std::collections::{HashMap, VecDeque};

use rumqttc::{AsyncClient, ConnectionError, Event, LastWill, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::output::queue::Class;

/// Messages of the queue that may be on their way. Packet ids must not run out before the broker
/// confirms in another order than ours.
pub const MOST_ON_THE_WAY: usize = 16;
/// What else may be: status, discovery, scores, readings, a subscription, the goodbye.
const OTHERS: usize = 16;

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Queued(Class, u64),
    Status,
    Other,
}

/// What the connection says.
pub enum Heard {
    /// The broker let us in.
    Connected,
    /// A subscription was answered.
    Subscribed(bool),
    Arrived(Sent),
    /// Someone published on a topic that we asked for.
    Published(String, Vec<u8>),
    /// The goodbye is out.
    Gone,
    Lost(ConnectionError),
}

pub struct Link {
    client: AsyncClient,
    heard: mpsc::Receiver<Result<Event, ConnectionError>>,
    task: JoinHandle<()>,
    /// Given to the client, in order; it has no packet id yet.
    unnumbered: VecDeque<Sent>,
    numbered: HashMap<u16, Sent>,
    /// Of the queue, oldest first; those that have arrived before an older one are marked.
    on_the_way: VecDeque<(Class, u64, bool)>,
}

impl Link {
    pub fn open(mut options: MqttOptions, will: LastWill) -> Link {
        options
            .set_last_will(will)
            .set_inflight((MOST_ON_THE_WAY + OTHERS) as u16);
        let (client, mut events) = AsyncClient::new(options, MOST_ON_THE_WAY + OTHERS);
        let (tell, heard) = mpsc::channel(16);
        // On a task of its own: it may not be left in the middle of what it does.
        let task = tokio::spawn(async move {
            loop {
                let event = events.poll().await;
                let lost = event.is_err();
                if tell.send(event).await.is_err() || lost {
                    return;
                }
            }
        });
        Link {
            client,
            heard,
            task,
            unnumbered: VecDeque::new(),
            numbered: HashMap::new(),
            on_the_way: VecDeque::new(),
        }
    }

    /// The next thing that matters.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let event = match self.heard.recv().await {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Heard::Lost(error),
                None => return Heard::Lost(ConnectionError::RequestsDone),
            };
            match event {
                Event::Incoming(Packet::ConnAck(_)) => return Heard::Connected,
                Event::Incoming(Packet::SubAck(answer)) => {
                    let refused = rumqttc::SubscribeReasonCode::Failure;
                    return Heard::Subscribed(!answer.return_codes.contains(&refused));
                }
                Event::Incoming(Packet::PubAck(answer)) => {
                    if let Some(sent) = self.numbered.remove(&answer.pkid) {
                        return Heard::Arrived(sent);
                    }
                }
                Event::Incoming(Packet::Publish(message)) => {
                    return Heard::Published(message.topic, message.payload.to_vec());
                }
                Event::Outgoing(Outgoing::Publish(packet)) => {
                    // Without a packet id nothing is confirmed.
                    if let Some(sent) = self.unnumbered.pop_front()
                        && packet != 0
                    {
                        self.numbered.insert(packet, sent);
                    }
                }
                Event::Outgoing(Outgoing::Disconnect) => return Heard::Gone,
                _ => {}
            }
        }
    }

    /// Whether more of the queue may be sent.
    pub fn has_room(&self, most: usize) -> bool {
        self.on_the_way.len() < most
    }

    pub fn is_idle(&self) -> bool {
        self.unnumbered.is_empty() && self.numbered.is_empty()
    }

    /// Gives a message to the connection; false where it takes no more just now.
    pub fn publish(&mut self, topic: &str, payload: Vec<u8>, sent: Sent, retain: bool) -> bool {
        self.publish_as(topic, payload, sent, retain, QoS::AtLeastOnce)
    }

    /// As [`Link::publish`]; whether it arrives is never known, and it takes no room from others.
    pub fn publish_once(&mut self, topic: &str, payload: Vec<u8>) -> bool {
        self.unnumbered.len() < OTHERS / 2
            && self.publish_as(topic, payload, Sent::Other, false, QoS::AtMostOnce)
    }

    fn publish_as(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        sent: Sent,
        retain: bool,
        qos: QoS,
    ) -> bool {
        let given = self.client.try_publish(topic, qos, retain, payload).is_ok();
        if given {
            self.unnumbered.push_back(sent);
            if let Sent::Queued(class, number) = sent {
                self.on_the_way.push_back((class, number, false));
            }
        }
        given
    }

    pub fn subscribe(&mut self, topic: &str) -> bool {
        self.client.try_subscribe(topic, QoS::AtLeastOnce).is_ok()
    }

    pub fn say_goodbye(&mut self) -> bool {
        self.client.try_disconnect().is_ok()
    }

    /// One of the queue that cannot be sent: it counts as arrived with the next one that has.
    pub fn leave_out(&mut self, class: Class, number: u64) {
        self.on_the_way.push_back((class, number, true));
    }

    /// One of the queue has arrived: gives how far everything of its class has.
    pub fn arrived(&mut self, class: Class, number: u64) -> Option<u64> {
        for sent in &mut self.on_the_way {
            if (sent.0, sent.1) == (class, number) {
                sent.2 = true;
            }
        }
        let mut through = None;
        while let Some(at) = self.on_the_way.iter().position(|sent| sent.0 == class) {
            let (_, number, arrived) = self.on_the_way[at];
            if !arrived {
                break;
            }
            self.on_the_way.remove(at);
            through = Some(number);
        }
        through
    }

    /// The oldest message of the queue that is on its way.
    pub fn oldest(&self) -> Option<(Class, u64)> {
        let (class, number, _) = self.on_the_way.front()?;
        Some((*class, *number))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
