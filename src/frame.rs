//! Stage 1: samples of single sensors become frames of all sensors on a fixed time grid.
//!
//! Every later stage shares the types of this module; it imports nothing from the crate.

pub mod align;
mod time;

pub use time::{Timestamp, format_span};

/// One reading of one sensor at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Index of the sensor in the model's sensor list.
    pub sensor: usize,
    pub time: Timestamp,
    /// In the sensor's own unit; NaN says "the source reported a missing value".
    pub value: f64,
}

/// How much a value in a [`Frame`] can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Read in this period.
    Fresh,
    /// Carried over from an earlier period, for at most `hold` periods.
    Held,
    /// Not read for longer than `hold` periods (or never): the value is NaN and is not scored.
    Stale,
}

/// All sensors at one instant of the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub time: Timestamp,
    /// `[F]`, in the sensors' own units; NaN exactly where `freshness` is [`Freshness::Stale`].
    pub values: Vec<f64>,
    /// `[F]`
    pub freshness: Vec<Freshness>,
    /// True for the first frame after a gap in all sensors (and for the very first one): whatever
    /// was remembered of earlier frames must not be joined to this one.
    pub restart: bool,
}

impl Frame {
    /// An empty frame of `sensors` stale values, to be filled in place.
    pub fn new(sensors: usize) -> Self {
        Frame {
            time: Timestamp::EPOCH,
            values: vec![f64::NAN; sensors],
            freshness: vec![Freshness::Stale; sensors],
            restart: true,
        }
    }
}
