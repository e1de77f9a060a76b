//! Alarms, scores, health and status at an MQTT 3.1.1 broker.
//!
//! | topic | retained | what |
//! |---|---|---|
//! | `PREFIX/DEVICE/status` | yes | online, state, alarms that stand, the queue; offline as last will |
//! | `PREFIX/DEVICE/alarm` | no | each event of an alarm |
//! | `PREFIX/DEVICE/score` | no | the score, at most every `score_every` |
//! | `PREFIX/DEVICE/health` | yes | readings of the machine |
//! | `PREFIX/DEVICE/health/event` | no | a limit crossed, a step of degrading |
//!
//! Rules:
//! - An alarm is on the disk before it is published, and leaves the [`queue`](super::queue) when the
//!   broker has confirmed it. It may come twice, then under the same id in `message`.
//! - A score is published and forgotten while the broker is there; while it is away, one a minute is
//!   kept. Readings likewise, one in 15 minutes.
//! - The connection is one of its own, on a thread of its own (`post`): nothing that it does holds up
//!   scoring.
//!
//! Imports `alarm`, `frame`, `broker`, `message`, and of the outputs `post`, `store` and `queue`.

mod courier;
mod discovery;
mod link;
mod rounds;
mod score;
mod words;

pub(super) use courier::Courier;
pub use score::ScoreSlot;

use std::time::Duration;

use crate::broker::BrokerConfig;

const LOG_TARGET: &str = "out-mqtt";

#[derive(Debug, Clone, PartialEq)]
pub struct MqttOutputConfig {
    pub broker: BrokerConfig,
    pub prefix: String,
    pub device: String,
    /// What the plant is called.
    pub name: Option<String>,
    /// Zero: never.
    pub score_every: Duration,
    /// Zero: never.
    pub health_every: Duration,
    pub home_assistant: bool,
    pub home_assistant_prefix: String,
    pub queue_bytes: u64,
    pub catch_up_per_second: u32,
}

impl MqttOutputConfig {
    /// Host and port.
    pub fn address(&self) -> String {
        format!("{}:{}", self.broker.host, self.broker.port)
    }
}

#[cfg(test)]
fn example() -> MqttOutputConfig {
    MqttOutputConfig {
        broker: BrokerConfig {
            host: "127.0.0.1".to_owned(),
            port: 1883,
            client_id: "anomalyd-pi".to_owned(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(5),
        },
        prefix: "anomalyd".to_owned(),
        device: "pi".to_owned(),
        name: None,
        score_every: Duration::from_secs(10),
        health_every: Duration::from_secs(300),
        home_assistant: true,
        home_assistant_prefix: "homeassistant".to_owned(),
        queue_bytes: 1 << 20,
        catch_up_per_second: 50,
    }
}
