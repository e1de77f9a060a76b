//! How long a message takes to a broker and back. Imports `histogram`.

use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use super::outcome::Broker;
use crate::histogram::Histogram;

/// About what an alarm with five sensors comes to.
const PAYLOAD_BYTES: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
#[error("the broker {address}: {reason}")]
pub struct BrokerError {
    address: String,
    reason: String,
}

/// Publishes `count` messages at a broker, one after the other, and takes the time until each comes
/// back. `address` is `host` or `host:port`.
///
/// # Errors
/// The broker is down, refuses us, or is too slow.
pub fn round_trips(address: &str, count: u64) -> Result<Broker, BrokerError> {
    let error = |reason: String| BrokerError {
        address: address.to_owned(),
        reason,
    };
    let (host, port) = match address.rsplit_once(':') {
        None => (address, 1883),
        Some((host, port)) => {
            let number = port
                .parse()
                .map_err(|_| error(format!("{port:?} is no port")))?;
            (host, number)
        }
    };
    let name = format!("anomalyd-bench-{}", std::process::id());
    let mut options = MqttOptions::new(&name, host, port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut connection) = Client::new(options, 16);
    let topic = format!("{name}/round-trip");
    let asked = client.subscribe(&topic, QoS::AtLeastOnce);
    asked.map_err(|reason| error(reason.to_string()))?;

    let mut trips = Histogram::default();
    let begin = Instant::now();
    let mut sent = None;
    while trips.count() < count {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        let event = connection
            .recv_timeout(left)
            .map_err(|_| error(format!("no answer within {} s", PATIENCE.as_secs())))?
            .map_err(|reason| error(reason.to_string()))?;
        match event {
            Event::Incoming(Packet::SubAck(_)) => {}
            Event::Incoming(Packet::Publish(_)) => {
                if let Some(sent) = sent.take() {
                    trips.note(Instant::elapsed(&sent));
                }
            }
            _ => continue,
        }
        sent = Some(Instant::now());
        client
            .publish(&topic, QoS::AtLeastOnce, false, vec![b'x'; PAYLOAD_BYTES])
            .map_err(|reason| error(reason.to_string()))?;
    }
    // The connection ends with us; the broker needs no farewell.
    let _ = client.disconnect();
    Ok(Broker {
        address: address.to_owned(),
        round_trips: trips,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_down_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = round_trips(&address, 1).unwrap_err().to_string();
        assert!(error.contains(&address), "{error}");
        assert!(round_trips("host:port", 1).is_err());
    }
}
