//! Scores between two publications: the inference thread puts them in, the output takes what came.
//! Imports `frame`.

use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::Timestamp;

/// Scores of some time in one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreSpan {
    pub first_time: Timestamp,
    pub last_time: Timestamp,
    /// Relative to the threshold in force: 1.0 raises.
    pub last: f64,
    pub max: f64,
    pub frames: u64,
}

impl ScoreSpan {
    fn of(time: Timestamp, score: f64) -> Self {
        ScoreSpan {
            first_time: time,
            last_time: time,
            last: score,
            max: score,
            frames: 1,
        }
    }

    /// Both in one; `later` came behind.
    pub fn and(self, later: ScoreSpan) -> Self {
        ScoreSpan {
            first_time: self.first_time,
            last_time: later.last_time,
            last: later.last,
            max: self.max.max(later.max),
            frames: self.frames + later.frames,
        }
    }
}

/// Where scores are put; never waits longer than it takes to copy one.
#[derive(Debug, Clone, Default)]
pub struct ScoreSlot(Arc<Mutex<Option<ScoreSpan>>>);

impl ScoreSlot {
    pub fn put(&self, time: Timestamp, score: f64) {
        if !score.is_finite() {
            return;
        }
        let new = ScoreSpan::of(time, score);
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *span = Some(span.map_or(new, |span| span.and(new)));
    }

    pub fn take(&self) -> Option<ScoreSpan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_score_is_never_lost() {
        let slot = ScoreSlot::default();
        for (second, score) in [(1, 0.5), (2, 3.0), (3, f64::NAN), (4, 0.25)] {
            slot.put(Timestamp::from_seconds(second), score);
        }
        let span = slot.take().unwrap();
        assert_eq!((span.last, span.max, span.frames), (0.25, 3.0, 3));
        assert_eq!(span.first_time, Timestamp::from_seconds(1));
        assert_eq!(slot.take(), None);
    }
}
