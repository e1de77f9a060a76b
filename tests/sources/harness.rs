//! Runs one source and looks at what it puts into the queue.

// Each test crate that includes this file uses a part of it.
#![allow(dead_code)]

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anomalyd::clock::Clock;
use anomalyd::frame::{Sample, Timestamp};
use anomalyd::ingest::{
    IngestError, Ingested, SampleQueue, SensorIndex, Source, SourceContext, SourceState,
    SourceStatus,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// No wait in these tests is meant to come near it.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Running {
    pub queue: Arc<SampleQueue>,
    pub status: Arc<SourceStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), IngestError>>,
    buf: Vec<Ingested>,
}

pub fn start(
    source: impl Source + 'static,
    sensors: &[&str],
    clock: impl Clock + Sync + 'static,
    queue_samples: usize,
) -> Running {
    let names: Vec<String> = sensors.iter().map(|&name| name.to_owned()).collect();
    let (stop, stopped) = watch::channel(false);
    let queue = Arc::new(SampleQueue::new(queue_samples));
    let status = Arc::new(SourceStatus::new(source.name()));
    let ctx = SourceContext {
        sensors: Arc::new(SensorIndex::new(&names)),
        queue: Arc::clone(&queue),
        clock: Arc::new(clock),
        status: Arc::clone(&status),
        stop: stopped,
    };
    Running {
        buf: queue.buffer(),
        queue,
        status,
        stop,
        task: tokio::spawn(Box::new(source).run(ctx)),
    }
}

impl Running {
    /// The next samples, at least `count`.
    pub async fn samples(&mut self, count: usize) -> Vec<Ingested> {
        let mut samples = Vec::new();
        let started = Instant::now();
        while samples.len() < count {
            self.queue.pop_wait(&mut self.buf, Duration::ZERO);
            samples.append(&mut self.buf);
            assert!(
                started.elapsed() < PATIENCE,
                "{} of {count} samples came; {:?}, {:?}",
                samples.len(),
                self.status.state(),
                self.status.counters()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        samples
    }

    /// Sensor and value of the next samples, NaN as -1.
    pub async fn values(&mut self, count: usize) -> Vec<(usize, f64)> {
        let samples = self.samples(count).await;
        samples
            .iter()
            .map(|ingested| plain(ingested.sample))
            .collect()
    }

    pub async fn until(&self, what: &str, reached: impl Fn(&SourceStatus) -> bool) {
        let started = Instant::now();
        while !reached(&self.status) {
            assert!(
                started.elapsed() < PATIENCE,
                "{what} did not happen; {:?}, {:?}, {:?}",
                self.status.state(),
                self.status.problem(),
                self.status.counters()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn connected(&self) {
        self.until("a connection", |status| {
            status.state() == SourceState::Connected
        })
        .await;
    }

    /// Waits for the end that the source comes to by itself.
    pub async fn end(self) -> (Result<(), IngestError>, Vec<(usize, f64)>) {
        let result = within(PATIENCE, self.task).await.unwrap();
        assert_eq!(self.status.state(), SourceState::Ended);
        let mut buf = self.queue.buffer();
        self.queue.pop_wait(&mut buf, Duration::ZERO);
        (result, buf.iter().map(|i| plain(i.sample)).collect())
    }

    /// Tells the source to stop, which has to take less than a second; what it leaves is returned.
    pub async fn stop(self) -> Vec<(usize, f64)> {
        self.stop.send(true).unwrap();
        let result = within(Duration::from_secs(1), self.task).await.unwrap();
        result.unwrap();
        assert_eq!(self.status.state(), SourceState::Ended);
        let mut buf = self.queue.buffer();
        self.queue.pop_wait(&mut buf, Duration::ZERO);
        buf.iter().map(|i| plain(i.sample)).collect()
    }
}

pub fn plain(sample: Sample) -> (usize, f64) {
    let value = if sample.value.is_nan() {
        -1.0
    } else {
        sample.value
    };
    (sample.sensor, value)
}

pub async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("not done within {limit:?}"),
    }
}

/// A time to which the tests' clocks are set: 2025-11-25T12:00:00Z.
pub const NOON: Timestamp = Timestamp(1_764_072_000_000_000_000);
