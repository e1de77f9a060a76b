//! How long a message takes to a broker and back, and an alarm over the queue on disk and the broker to a
//! reader. Imports `histogram`, `alarm`, `broker`, `output`.

use std::path::Path;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use super::outcome::Broker;
use crate::alarm::{AlarmEvent, AlarmKind, SensorEvidence, Transition};
use crate::broker::BrokerConfig;
use crate::frame::Timestamp;
use crate::histogram::Histogram;
use crate::output::mqtt::MqttOutputConfig;
use crate::output::{PostConfig, Unposted};

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
    let (host, port) = place(address)?;
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
        alarms: None,
    })
}

/// Tells `count` alarms, one after the other, to an output as the service has it, with its queue below
/// `folder`, and takes the time until each reaches a reader.
///
/// # Errors
/// The broker is down, refuses us, or is too slow; the output cannot be started.
pub fn alarms(address: &str, folder: &Path, count: u64) -> Result<Histogram, BrokerError> {
    let error = |reason: String| BrokerError {
        address: address.to_owned(),
        reason,
    };
    let (host, port) = place(address)?;
    let name = format!("anomalyd-bench-{}", std::process::id());
    let mut options = MqttOptions::new(format!("{name}-reader"), host, port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut connection) = Client::new(options, 16);
    client
        .subscribe(format!("{name}/bench/alarm"), QoS::AtLeastOnce)
        .map_err(|reason| error(reason.to_string()))?;

    let config = output(host, port, &name);
    let post = Unposted::open(PostConfig::Mqtt(config), folder).start(folder);
    let post = post.map_err(|reason| error(reason.to_string()))?;
    let sender = post.sender();
    let mut times = Histogram::default();
    let begin = Instant::now();
    let mut sent = None;
    // The first alarm also waits for the connection; it is not counted.
    let mut told = 0;
    while times.count() < count {
        let left = (PATIENCE * 6).saturating_sub(begin.elapsed());
        let event = connection
            .recv_timeout(left)
            .map_err(|_| error(format!("{} of {count} alarms came in time", times.count())))?
            .map_err(|reason| error(reason.to_string()))?;
        match event {
            Event::Incoming(Packet::SubAck(_)) => {}
            Event::Incoming(Packet::Publish(_)) => {
                if let Some(sent) = sent.take()
                    && told > 1
                {
                    times.note(Instant::elapsed(&sent));
                }
            }
            _ => continue,
        }
        let event = alarm(told);
        told += 1;
        sent = Some(Instant::now());
        sender.alarm(&event);
    }
    // The connection ends with us; the broker needs no farewell.
    let _ = client.disconnect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    if let Ok(runtime) = runtime {
        runtime.block_on(post.finish(Duration::from_secs(1)));
    }
    Ok(times)
}

fn output(host: &str, port: u16, name: &str) -> MqttOutputConfig {
    MqttOutputConfig {
        broker: BrokerConfig {
            host: host.to_owned(),
            port,
            client_id: name.to_owned(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(30),
        },
        prefix: name.to_owned(),
        device: "bench".to_owned(),
        name: None,
        score_every: Duration::ZERO,
        health_every: Duration::ZERO,
        home_assistant: false,
        home_assistant_prefix: String::new(),
        queue_bytes: 8 << 20,
        // Alarms of a fault come one by one; here they come as fast as they arrive.
        catch_up_per_second: 10_000,
    }
}

/// One with five sensors, raised and cleared in turns, so that each is news.
fn alarm(number: u64) -> AlarmEvent {
    let fault = number / 2;
    let sensor = |number: usize| SensorEvidence {
        sensor: format!("SENSOR{number}"),
        unit: "m3/h".to_owned(),
        seen: Some(0.62),
        expected: Some(1.71),
        from: vec!["P401".to_owned(), "P402".to_owned()],
        head: "neighbour",
        strength: 12.0,
    };
    let raised_at = Timestamp::from_seconds(1_764_000_000).plus(Duration::from_secs(fault));
    AlarmEvent {
        id: format!("a{fault}"),
        kind: AlarmKind::Anomaly,
        transition: match number % 2 {
            0 => Transition::Raised,
            _ => Transition::Cleared,
        },
        time: raised_at,
        raised_at,
        score: 3.4,
        peak_score: 9.1,
        threshold: 1.0,
        sensors: (0..5).map(sensor).collect(),
        model: "bench 1".to_owned(),
        degraded: None,
        verdict: None,
    }
}

/// `host` or `host:port`.
fn place(address: &str) -> Result<(&str, u16), BrokerError> {
    let Some((host, port)) = address.rsplit_once(':') else {
        return Ok((address, 1883));
    };
    let port = port.parse().map_err(|_| BrokerError {
        address: address.to_owned(),
        reason: format!("{port:?} is no port"),
    })?;
    Ok((host, port))
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
