//! Tells a clock that was set from single samples with a wrong time.
//!
//! The stream has moved when every sensor of the last frame has come in two periods, in order, at
//! the other place, and nothing has come at the old one in between. When that goes on for 60
//! periods, any sensor will do: the others may have failed at the same time.

const PATIENCE_PERIODS: i64 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Behind,
    Ahead,
}

#[derive(Debug)]
pub(super) struct StepWatch {
    /// Where samples come, their first index there, and the next frame's index at that moment.
    run: Option<(Side, i64, i64)>,
    /// `[F]`: the last index of each sensor, and in how many periods it came (2 is enough).
    seen: Vec<(i64, u8)>,
}

impl StepWatch {
    pub fn new(sensors: usize) -> Self {
        StepWatch {
            run: None,
            seen: vec![(0, 0); sensors],
        }
    }

    pub fn clear(&mut self) {
        self.run = None;
    }

    /// A sample at `index`, while the next frame is `base`.
    pub fn note(&mut self, side: Side, index: i64, base: i64, sensor: usize) {
        if self.run.is_none_or(|(running, ..)| running != side) {
            self.run = Some((side, index, base));
            self.seen.fill((0, 0));
        }
        let (last, periods) = &mut self.seen[sensor];
        if *periods == 0 || index > *last {
            *periods = (*periods + 1).min(2);
        } else if index < *last {
            // Out of order: an old message, not a clock that runs.
            *periods = 1;
        }
        *last = index;
    }

    /// Whether all of `expected` `[F]` have moved, with the sample at `index`.
    pub fn moved(&self, index: i64, expected: &[bool]) -> bool {
        let moved = |&(_, periods): &(i64, u8)| periods >= 2;
        let waited = self.run.map_or(0, |(_, first, _)| index - first);
        if waited >= PATIENCE_PERIODS || !expected.contains(&true) {
            return self.seen.iter().any(moved);
        }
        let mut pairs = expected.iter().zip(&self.seen);
        pairs.all(|(expected, seen)| !expected || moved(seen))
    }

    /// Where the sample at `index` belongs when time has gone on evenly since the step.
    pub fn target(&self, index: i64, base: i64) -> i64 {
        match self.run {
            Some((_, first, old_base)) => base.max(old_base + (index - first).max(0)),
            None => base,
        }
    }
}
