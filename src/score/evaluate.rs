//! Detection quality against labels: how well scores rank anomalous rows, and what alarms did for
//! the events a person cares about.
//!
//! Pure functions on slices: nothing here knows a model, a pipeline or a command. Imports nothing
//! from the crate. No point adjustment anywhere: an alarm counts where it was raised.

mod alarms;
mod ranking;
mod report;
mod truth;
mod vus;

pub use alarms::{AlarmSpan, EventMetrics, KindRecall, event_metrics};
pub use ranking::auc_pr;
pub use report::{Evaluation, Report};
pub use truth::{Event, Events, Truth, TruthError, read_labels};
pub use vus::{DEFAULT_BUFFER_ROWS, Grid, vus_pr};
