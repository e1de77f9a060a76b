//! anomalyd: from sensor samples to explained alarms.
//!
//! ```text
//! ingest ─► frame ─► window ─► engine ─► score ─► alarm ─► output
//! ```

pub mod alarm;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod frame;
pub mod ingest;
pub mod logging;
pub mod model;
pub mod output;
pub mod pipeline;
pub mod score;
pub mod simulate;
pub mod train;
pub mod window;
