//! Sensors behind an MQTT 3.1.1 broker: bare payloads, or one value out of a JSON payload.
//!
//! | publisher | topic | path, where |
//! |---|---|---|
//! | Shelly, first generation | `shellies/em-1/emeter/0/power` | none, the payload is the number |
//! | Shelly, second generation | `shelly-1/events/rpc` | `params.switch:0.apower` |
//! | Zigbee2MQTT | `zigbee2mqtt/tank 1` | `temperature` |
//! | Tasmota | `tele/pump/SENSOR` | `ENERGY.Power`, time path `Time` |
//! | rtl_433 | `rtl_433/+/events` | `temperature_C` where `id` is 42 |
//! | PLC gateway | `plant/line1` | `tags[3].value` |
//!
//! Rules:
//! - A payload that is no number is a missing value for its sensor ("offline"). A JSON payload
//!   that does not have the path says nothing about the sensor: devices send their values in turns.
//! - The time is that of arrival, or, where asked for, the payload's own.
//! - A retained message is taken as if it arrived now, and counted: its age is not known, but the
//!   last value of a sensor that reports only changes is the best there is. It is held no longer
//!   than any other value. A payload with its own time (and `time = payload`) is dated rightly.
//! - The session is clean: what was published while the connection was down is not delivered
//!   later, where it would be dated wrongly.
//! - A broker that is down, refuses the password or closes the connection is reported and tried
//!   again, after 1 s at first and 1 min at most; then everything is subscribed anew.
//!
//! Imports `frame`, `broker` and its siblings of stage ingest.

pub mod routes;
mod session;
mod topic;

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::json::JsonPath;
use super::{IngestError, Source, SourceContext, SourceFuture, SourceState};
use routes::Routes;

use crate::broker::{self, BrokerConfig, BrokerError};

const LOG_TARGET: &str = "in-mqtt";

/// One broker and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttConfig {
    pub broker: BrokerConfig,
    pub sensors: Vec<MqttSensor>,
    pub time: TimeFrom,
    /// Of times in payloads that are written without one.
    pub zone: TimeZone,
}

/// What dates a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFrom {
    /// The clock, when the message arrives.
    Arrival,
    /// The payload: the sensor's `time_path`, else the top-level key `time`, `timestamp`, `ts` or
    /// `t`. The clock where there is none or it cannot be read.
    Payload,
}

/// Where one sensor's values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSensor {
    /// As the model calls it.
    pub sensor: String,
    /// A topic, or a filter with `+` and `#`.
    pub topic: String,
    /// Where the value stands in a JSON payload; without one, the payload is the value.
    pub path: Option<JsonPath>,
    /// Where the time stands. Dates this sensor by its payload even with [`TimeFrom::Arrival`].
    pub time_path: Option<JsonPath>,
    /// Only payloads whose fields have these values are about this sensor. Compared as numbers
    /// where both are, else as text.
    pub conditions: Vec<(JsonPath, String)>,
}

impl MqttSensor {
    /// A sensor that is a topic's whole payload.
    pub fn new(sensor: impl Into<String>, topic: impl Into<String>) -> Self {
        MqttSensor {
            sensor: sensor.into(),
            topic: topic.into(),
            path: None,
            time_path: None,
            conditions: Vec::new(),
        }
    }
}

/// Reads sensors from a broker. Drops the oldest rows where the queue is full.
pub struct MqttSource {
    name: String,
    config: MqttConfig,
}

impl MqttSource {
    /// # Errors
    /// A topic is not a topic filter, a sensor has conditions but no path, or the CA file cannot be
    /// read or holds no certificate.
    pub fn new(config: MqttConfig) -> Result<Self, IngestError> {
        // Before anything runs, so that a reload can refuse it.
        options(&config)?;
        for sensor in &config.sensors {
            topic::check(&sensor.topic).map_err(|reason| IngestError::Topic {
                sensor: sensor.sensor.clone(),
                topic: sensor.topic.clone(),
                reason,
            })?;
            if sensor.path.is_none() && !sensor.conditions.is_empty() {
                return Err(IngestError::WhereWithoutPath {
                    sensor: sensor.sensor.clone(),
                });
            }
        }
        Ok(MqttSource {
            name: format!("mqtt {}:{}", config.broker.host, config.broker.port),
            config,
        })
    }
}

impl Source for MqttSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture {
        Box::pin(async move {
            let status = Arc::clone(&ctx.status);
            let result = match options(&self.config) {
                Ok(options) => {
                    let routes = Routes::new(&self.config, &ctx);
                    session::run(options, routes, ctx).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            status.set_state(SourceState::Ended);
            result
        })
    }
}

fn options(config: &MqttConfig) -> Result<rumqttc::MqttOptions, IngestError> {
    broker::options(&config.broker).map_err(|error| match error {
        BrokerError::CaFile { path, reason } => IngestError::CaFile { path, reason },
    })
}
