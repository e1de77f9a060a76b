//! Stage 2: where samples come from. A [`Source`] turns what devices, gateways and files deliver
//! into [`Sample`](crate::frame::Sample)s of the model's sensors and puts them into the one
//! [`SampleQueue`] that the inference thread empties.
//!
//! Imports `frame` and `clock`. Rules that hold for every source:
//! - The samples of one message or line stay together in the queue (one *row*).
//! - A name that is not one of the model's sensors is ignored and named once in the log.
//! - A value that is text, empty, NaN or infinite is missing (NaN) for that sensor alone, counted,
//!   and logged at most once a minute a sensor.
//! - Nothing that a peer sends ends a source or makes it grow without bound.
//! - Sources that read a byte stream (stdin, a socket, a file) wait while the queue is full;
//!   MQTT, whose broker waits for nobody, lets the queue drop its oldest rows and count them.

pub mod csv;
pub mod intake;
pub mod json;
pub mod lines;
pub mod mqtt;
pub mod ndjson;
pub mod queue;
pub mod simulator;
pub mod status;
pub mod tail;
pub mod time;
pub mod value;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;

pub use queue::{Ingested, Popped, SampleQueue};
pub use status::{SourceCounters, SourceState, SourceStatus};

/// Something that delivers samples until it ends or is told to stop.
pub trait Source: Send {
    /// As it is called in the log and in `anomalyd status`: `mqtt plant-broker:1883`.
    fn name(&self) -> &str;

    /// Runs until the source ends by itself (end of stdin) or `ctx.stop` turns true, then returns
    /// within a second with everything it had read in the queue. Returns an error only where
    /// waiting and trying again cannot help; everything else shows in `ctx.status`.
    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture;
}

/// What [`Source::run`] returns.
pub type SourceFuture = Pin<Box<dyn Future<Output = Result<(), IngestError>> + Send>>;

/// What a source is given to work with. Cloned for each source, but for `status`, which is its own.
#[derive(Clone)]
pub struct SourceContext {
    pub sensors: Arc<SensorIndex>,
    pub queue: Arc<SampleQueue>,
    /// Dates what carries no time of its own.
    pub clock: Arc<dyn Clock + Send + Sync>,
    pub status: Arc<SourceStatus>,
    /// True (or a sender that is gone) says: stop.
    pub stop: watch::Receiver<bool>,
}

/// Returns when `stop` turns true or its sender is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could ever say stop, which means the same.
    let _ = stop.wait_for(|&stop| stop).await;
}

/// The model's sensors by name.
#[derive(Debug, Clone, Default)]
pub struct SensorIndex {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
}

impl SensorIndex {
    /// `names` in the model's order; a sample's sensor is its position here. Of two equal names
    /// the first counts.
    pub fn new(names: &[String]) -> Self {
        let mut by_name = HashMap::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            by_name.entry(name.clone()).or_insert(index);
        }
        SensorIndex {
            names: names.to_vec(),
            by_name,
        }
    }

    pub fn get(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a sensor, or a question mark where there is no such sensor.
    pub fn name(&self, sensor: usize) -> &str {
        self.names.get(sensor).map_or("?", String::as_str)
    }
}

/// Why a source ended although it was not told to.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("cannot read {what}: {source}")]
    Read { what: String, source: io::Error },
    #[error("cannot listen on {}: {source}", path.display())]
    Listen { path: PathBuf, source: io::Error },
    #[error(
        "cannot listen on {}: another process listens there; stop it or set another source.ndjson.listen",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "cannot listen on {}: there is a file that is not a socket; move it or set another source.ndjson.listen",
        path.display()
    )]
    NotASocket { path: PathBuf },
    #[error("sensor {sensor}: topic {topic:?} is not an MQTT topic filter: {reason}")]
    Topic {
        sensor: String,
        topic: String,
        reason: &'static str,
    },
    #[error(
        "sensor {sensor}: a where needs a path, because only a JSON payload has fields to compare"
    )]
    WhereWithoutPath { sensor: String },
    #[error("CA file {}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
}
