//! A mosquitto of one's own on a free loopback port, and a client that publishes to it.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::harness::PATIENCE;
use super::peer::{Peer, free_port};

pub struct Broker {
    pub port: u16,
    pub dir: TempDir,
    peer: Peer,
}

/// The program, or nothing (and why) on a machine that does not have it.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps it in sbin, which is not in every user's path.
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        println!("skipped: there is no {name} on this machine (Debian: apt-get install {name})");
    }
    found
}

impl Broker {
    /// A broker that lets anyone in.
    pub fn start() -> Option<Broker> {
        Broker::start_with(|_| "allow_anonymous true\n".to_owned())
    }

    /// `settings` may put files into the folder that it is given.
    pub fn start_with(settings: impl FnOnce(&Path) -> String) -> Option<Broker> {
        let program = program("mosquitto")?;
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = settings(dir.path());
        // Started as root it would become a user who cannot read the folder. It must not drop what
        // is published faster than it is read, as it does by default beyond 1000 messages.
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\npersistence false\nmax_queued_messages 0\n{settings}"
        );
        fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
        let file = dir.path().join("mosquitto.conf");
        let peer = Peer::start(port, move || {
            let mut command = Command::new(&program);
            command.arg("-c").arg(&file);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        });
        Some(Broker { port, dir, peer })
    }

    /// A broker that lets in who says `password` and is `anomalyd`.
    pub fn start_with_password(password: &'static str) -> Option<Broker> {
        let passwd = program("mosquitto_passwd")?;
        Broker::start_with(|dir| {
            let file = dir.join("passwords");
            let mut command = Command::new(&passwd);
            command.args(["-b", "-c"]).arg(&file);
            command.args(["anomalyd", password]);
            assert!(command.output().unwrap().status.success());
            format!("allow_anonymous false\npassword_file {}\n", file.display())
        })
    }

    /// As a power failure does.
    pub fn kill(&mut self) {
        self.peer.kill();
    }

    pub fn restart(&mut self) {
        self.peer.restart();
    }
}

/// Publishes to a broker that lets anyone in.
pub struct Publisher {
    client: AsyncClient,
    task: JoinHandle<()>,
    acknowledged: Arc<AtomicU64>,
    published: u64,
}

impl Publisher {
    pub fn new(port: u16) -> Publisher {
        let mut options = MqttOptions::new("publisher", "127.0.0.1", port);
        options.set_max_packet_size(1 << 22, 1 << 22);
        let (client, mut events) = AsyncClient::new(options, 100);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&acknowledged);
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                    Ok(_) => {}
                    Err(error) => panic!("the publisher lost its connection: {error}"),
                }
            }
        });
        Publisher {
            client,
            task,
            acknowledged,
            published: 0,
        }
    }

    pub async fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.send(topic, payload.into(), false).await;
    }

    /// The broker keeps it for clients that subscribe later.
    pub async fn retain(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.send(topic, payload.into(), true).await;
    }

    async fn send(&mut self, topic: &str, payload: Vec<u8>, retain: bool) {
        let sent = self
            .client
            .publish(topic, QoS::AtLeastOnce, retain, payload);
        sent.await.unwrap();
        self.published += 1;
    }

    /// Waits until the broker took everything.
    pub async fn finish(self) {
        let started = Instant::now();
        while self.acknowledged.load(Ordering::Relaxed) < self.published {
            assert!(
                started.elapsed() < PATIENCE,
                "the broker does not take what is published"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.client.disconnect().await.unwrap();
        self.task.await.unwrap();
    }
}
