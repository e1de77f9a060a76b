//! The grid of instants, and where a time lies on it.

/// Grid indices stay within this, so that sums of a few of them cannot overflow.
pub(super) const INDEX_LIMIT: i64 = i64::MAX / 4;

#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub origin: i64,
    /// At least 1.
    pub period: i64,
    /// Added to the samples' times since the clock was set back.
    pub offset: i64,
}

impl Grid {
    /// The index and the time on the grid of a sample's `time`.
    pub fn place(&self, time: i64) -> (i64, i64) {
        let time = time.saturating_add(self.offset);
        (self.index(time), time)
    }

    /// The index of the instant nearest to `time`, halves upwards; saturates at [`INDEX_LIMIT`].
    pub fn index(&self, time: i64) -> i64 {
        let distance = time.saturating_sub(self.origin);
        let whole = distance.div_euclid(self.period);
        let part = distance.rem_euclid(self.period);
        let index = whole.saturating_add(i64::from(part >= self.period - part));
        index.clamp(-INDEX_LIMIT, INDEX_LIMIT)
    }

    pub fn instant(&self, index: i64) -> i64 {
        self.origin
            .saturating_add(index.saturating_mul(self.period))
    }

    /// Moves the samples by whole periods, so that one at index `from` comes to stand at `to`.
    pub fn shift(&mut self, from: i64, to: i64) {
        let nanos = (to - from).saturating_mul(self.period);
        self.offset = self.offset.saturating_add(nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_to_the_nearest_instant() {
        let grid = Grid {
            origin: 100,
            period: 10,
            offset: 0,
        };
        for (time, index) in [(100, 0), (104, 0), (105, 1), (114, 1), (95, 0), (94, -1)] {
            assert_eq!(grid.index(time), index, "{time}");
        }
        assert_eq!(grid.instant(-2), 80);
    }

    #[test]
    fn the_ends_of_time_saturate() {
        for period in [1, 1_000_000_000, i64::MAX] {
            for origin in [i64::MIN, 0, i64::MAX] {
                let grid = Grid {
                    origin,
                    period,
                    offset: 0,
                };
                for time in [i64::MIN, -1, 0, i64::MAX] {
                    assert!(grid.index(time).abs() <= INDEX_LIMIT);
                    grid.instant(grid.index(time));
                }
            }
        }
    }
}
