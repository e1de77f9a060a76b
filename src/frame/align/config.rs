//! What an aligner is told, and what it counts.

/// How samples are laid on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlignConfig {
    /// Distance of frames; taken as at least 1 ns and at most a year.
    pub period_nanos: i64,
    /// For how many periods a value is carried on.
    pub hold: u32,
    /// After how long without a value a stale sensor is silent.
    pub stale_after_nanos: i64,
}

impl AlignConfig {
    /// The defaults: held for 3 periods, silent after 5 minutes.
    pub fn new(period_nanos: i64) -> Self {
        AlignConfig {
            period_nanos,
            hold: 3,
            stale_after_nanos: 300 * 1_000_000_000,
        }
    }
}

/// What was not as it should be, since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlignCounters {
    pub frames: u64,
    /// Samples of a sensor that had delivered in the same period already.
    pub duplicates: u64,
    /// Samples whose frame was closed before they came.
    pub late_dropped: u64,
    /// Samples more than a year ahead.
    pub ahead_dropped: u64,
    /// Samples of a sensor that does not exist.
    pub unknown_sensor: u64,
    /// Frames and samples lost because frames were not taken out after each push.
    pub overrun: u64,
    /// Gaps in all sensors.
    pub gaps: u64,
    /// Times the clock was set by more than ten periods back, or more than a year forward.
    pub clock_steps: u64,
    /// `[F]`: frames without a new value of the sensor.
    pub missing: Vec<u64>,
}
