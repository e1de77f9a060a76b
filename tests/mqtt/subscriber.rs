//! Who reads what the daemon publishes.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

use super::daemon::until;

#[derive(Debug, Clone)]
pub struct Heard {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub at: std::time::SystemTime,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

#[derive(Clone)]
pub struct Subscriber {
    heard: Arc<Mutex<Vec<Heard>>>,
    client: Client,
}

impl Subscriber {
    /// Listens to all topics; it does when this returns.
    pub fn new(port: u16) -> Subscriber {
        Subscriber::with(MqttOptions::new("subscriber", "127.0.0.1", port))
    }

    pub fn with(mut options: MqttOptions) -> Subscriber {
        options
            .set_max_packet_size(1 << 22, 1 << 22)
            .set_keep_alive(Duration::from_secs(60));
        let (client, mut connection) = Client::new(options, 100);
        client.subscribe("#", QoS::AtLeastOnce).unwrap();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let is_ready = Arc::new(Mutex::new(false));
        let (all, ready) = (Arc::clone(&heard), Arc::clone(&is_ready));
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => *ready.lock().unwrap() = true,
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        all.lock().unwrap().push(Heard {
                            topic: message.topic,
                            payload: message.payload.to_vec(),
                            retained: message.retain,
                            at: std::time::SystemTime::now(),
                        });
                    }
                    Ok(_) => {}
                    // The broker is gone, and with it this subscriber.
                    Err(_) => return,
                }
            }
        });
        until("a subscription", || *is_ready.lock().unwrap());
        Subscriber { heard, client }
    }

    /// Everything so far on topics that end so, oldest first.
    pub fn on(&self, end: &str) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|one| one.topic.ends_with(end))
            .cloned()
            .collect()
    }

    pub fn json_on(&self, end: &str) -> Vec<Value> {
        self.on(end).iter().map(Heard::json).collect()
    }

    /// Waits until what came on topics that end so is as wanted.
    pub fn until(&self, end: &str, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut last = Vec::new();
        until(&format!("{what} on {end}"), || {
            last = self.json_on(end);
            wanted(&last)
        });
        last
    }

    pub fn publish(&self, topic: &str, payload: &str) {
        self.client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .unwrap();
    }
}
