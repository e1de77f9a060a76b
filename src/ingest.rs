//! Stage 2: where samples come from. A [`Source`] turns what devices, gateways and files deliver
//! into [`Sample`](crate::frame::Sample)s of the model's sensors and puts them into the one
//! [`SampleQueue`] that the inference thread empties; the clients of a socket it reads itself meanwhile
//! ([`Direct`]).
//!
//! Imports `frame` and `clock`. Rules that hold for every source:
//! - The samples of one message or line stay together in the queue (one *row*).
//! - A name that is not one of the model's sensors is ignored and named once in the log; while there
//!   is no model, it is taken for a sensor.
//! - A value that is text, empty, NaN or infinite is missing (NaN) for that sensor alone, counted,
//!   and logged at most once a minute a sensor.
//! - Nothing that a peer sends ends a source or makes it grow without bound.
//! - Sources that read a byte stream (stdin, a socket, a file) or ask (Modbus) wait while the queue is full;
//!   MQTT, whose broker waits for nobody, lets the queue drop its oldest rows and count them.

pub mod csv;
pub mod direct;
pub mod intake;
pub mod json;
pub mod lines;
pub mod modbus;
pub mod mqtt;
pub mod ndjson;
pub mod queue;
pub mod simulator;
pub mod status;
pub mod tail;
pub mod time;
pub mod value;

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Clock;

pub use direct::{Direct, Went};
pub use queue::{Ingested, Lent, Popped, SampleQueue};
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

/// Sensors that an index takes while there is no model, those known from the start among them.
const MOST_LEARNT: usize = 1024;
/// Bytes of a name that is taken for a sensor's while there is no model.
const LONGEST_LEARNT: usize = 256;

/// The model's sensors by name; while there is no model, all that report.
#[derive(Debug, Clone, Default)]
pub struct SensorIndex {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    /// Without a model: the sensors that reported beside those above, in that order.
    learnt: Option<Arc<Mutex<Learnt>>>,
}

#[derive(Debug, Default)]
struct Learnt {
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
            learnt: None,
        }
    }

    /// Without a model: takes every further name that [`SensorIndex::admit`] is asked for, up to
    /// 1024 sensors in all, as a peer must not make it grow without bound.
    pub fn learning(known: &[String]) -> Self {
        SensorIndex {
            learnt: Some(Arc::default()),
            ..SensorIndex::new(known)
        }
    }

    pub fn get(&self, name: &str) -> Option<usize> {
        let known = self.by_name.get(name).copied();
        known.or_else(|| self.lock_learnt()?.by_name.get(name).copied())
    }

    /// As [`SensorIndex::get`]; without a model a new name gets the next place.
    pub fn admit(&self, name: &str) -> Option<usize> {
        if let Some(&sensor) = self.by_name.get(name) {
            return Some(sensor);
        }
        let mut learnt = self.lock_learnt()?;
        if let Some(&sensor) = learnt.by_name.get(name) {
            return Some(sensor);
        }
        let sensor = self.names.len() + learnt.names.len();
        if sensor >= MOST_LEARNT || name.is_empty() || name.len() > LONGEST_LEARNT {
            return None;
        }
        learnt.names.push(name.to_owned());
        learnt.by_name.insert(name.to_owned(), sensor);
        Some(sensor)
    }

    /// The sensors that were known from the start.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All sensors, each at its place.
    pub fn all(&self) -> Cow<'_, [String]> {
        match self.lock_learnt() {
            None => Cow::Borrowed(&self.names),
            Some(learnt) => Cow::Owned([&self.names[..], &learnt.names[..]].concat()),
        }
    }

    /// How many [`SensorIndex::all`] are.
    pub fn len(&self) -> usize {
        let learnt = self.lock_learnt().map_or(0, |learnt| learnt.names.len());
        self.names.len() + learnt
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of a sensor, or a question mark where there is no such sensor.
    pub fn name(&self, sensor: usize) -> Cow<'_, str> {
        if let Some(name) = self.names.get(sensor) {
            return Cow::Borrowed(name);
        }
        let learnt = self.lock_learnt();
        let name = learnt.and_then(|learnt| learnt.names.get(sensor - self.names.len()).cloned());
        name.map_or(Cow::Borrowed("?"), Cow::Owned)
    }

    fn lock_learnt(&self) -> Option<MutexGuard<'_, Learnt>> {
        // A name that was only half put in is at worst put in again.
        let learnt = self.learnt.as_ref()?;
        Some(learnt.lock().unwrap_or_else(PoisonError::into_inner))
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
    #[error("sensor {sensor}: {reason}")]
    Register {
        sensor: String,
        reason: &'static str,
    },
    #[error("CA file {}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_model_names_get_places_in_the_order_in_which_they_come() {
        let index = SensorIndex::learning(&["a".to_owned()]);
        assert_eq!((index.admit("b"), index.admit("a")), (Some(1), Some(0)));
        assert_eq!((index.admit("c"), index.admit("b")), (Some(2), Some(1)));
        assert_eq!((index.get("c"), index.get("d")), (Some(2), None));
        assert_eq!(index.all().as_ref(), ["a", "b", "c"]);
        assert_eq!((index.name(2), index.name(3)), ("c".into(), "?".into()));
        assert_eq!(index.names().len(), 1);
    }

    #[test]
    fn without_a_model_a_peer_cannot_fill_the_memory_with_names() {
        let index = SensorIndex::learning(&[]);
        for name in 0..2000 {
            index.admit(&format!("sensor{name}"));
        }
        assert_eq!(index.len(), MOST_LEARNT);
        assert_eq!(index.admit(""), None);
        let index = SensorIndex::learning(&[]);
        assert_eq!(index.admit(&"x".repeat(257)), None);
    }

    #[test]
    fn with_a_model_no_name_is_taken() {
        let index = SensorIndex::new(&["a".to_owned()]);
        assert_eq!((index.admit("a"), index.admit("b")), (Some(0), None));
        assert_eq!(index.len(), 1);
    }
}
