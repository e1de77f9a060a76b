//! Stage 5: what a sample's residuals amount to (docs/detection.md).
//!
//! Imports `frame`, `window`, `model` and `engine` only. Pure: no clock, no input or output.

pub mod calibrate;
pub mod charts;
pub mod evaluate;
pub mod residual;
mod scorer;
pub mod threshold;

pub use charts::Charts;
pub use scorer::{Responsible, Scorer};
