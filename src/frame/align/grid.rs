//! The grid of instants, and where a time lies on it.

/// Grid indices stay within this, so that sums of a few of them cannot overflow.
pub(super) const INDEX_LIMIT: i64 = i64::MAX / 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let Some(distance) = time.checked_sub(self.origin) else {
            return self.far_index(time);
        };
        let whole = distance.div_euclid(self.period);
        let part = distance.rem_euclid(self.period);
        let index = whole.saturating_add(i64::from(part >= self.period - part));
        index.clamp(-INDEX_LIMIT, INDEX_LIMIT)
    }

    /// The same where the distance is more than i64 holds: centuries, from a broken clock.
    #[cold]
    fn far_index(&self, time: i64) -> i64 {
        let period = i128::from(self.period);
        let doubled = 2 * (i128::from(time) - i128::from(self.origin)) + period;
        let index = doubled.div_euclid(2 * period);
        let limit = i128::from(INDEX_LIMIT);
        index.clamp(-limit, limit) as i64
    }

    /// Saturates only where the instant itself is beyond i64.
    pub fn instant(&self, index: i64) -> i64 {
        let near = index.checked_mul(self.period);
        if let Some(instant) = near.and_then(|distance| self.origin.checked_add(distance)) {
            return instant;
        }
        let far = i128::from(self.origin) + i128::from(index) * i128::from(self.period);
        far.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
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
    fn instants_centuries_from_the_first_one_are_on_the_grid() {
        let year = 366 * 86_400 * 1_000_000_000;
        let grid = Grid {
            origin: i64::MIN + 5,
            period: year,
            offset: 0,
        };
        for index in [0, 1, 291, 292, 583] {
            let instant = i128::from(grid.origin) + i128::from(index) * i128::from(year);
            assert_eq!(i128::from(grid.instant(index)), instant, "{index}");
            let instant = grid.instant(index);
            let half = year / 2;
            for time in [
                instant.saturating_sub(half),
                instant,
                instant.saturating_add(half - 1),
            ] {
                assert_eq!(grid.index(time), index);
            }
        }
        assert_eq!(grid.instant(584), i64::MAX);
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
