//! Where a sample belongs: its frame, if that is open still, and what becomes of it otherwise.

use std::ops::Range;

use super::grid::{Grid, INDEX_LIMIT};
use super::slot::Delivery;
use super::step::Side;
use super::{Aligner, YEAR_NANOS};

/// Samples this many periods behind the newest frame may mean that the clock was set back.
const STEP_BACK_PERIODS: i64 = 10;
/// How many frames without a repetition end the waiting for repetitions.
const REPETITION_MEMORY: u32 = 16;

/// Where the last sample was put that came for an open frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    grid: Grid,
    /// The sample's own time.
    raw: i64,
    index: i64,
    time: i64,
}

impl Aligner {
    /// Finds a sample's place: its grid index (open, or that of the frame just closed) and time on
    /// the grid. `None` when it is dropped. `sensors` are those that share the time.
    pub(super) fn admit(&mut self, raw: i64, sensors: Range<usize>) -> Option<(i64, i64)> {
        // The samples of a row share their time: one of them pays for the divisions.
        if let Some(placed) = self.placed
            && placed.raw == raw
            && self.grid == Some(placed.grid)
            && placed.index >= self.base
        {
            self.step.clear();
            return Some((placed.index, placed.time));
        }
        let Some(grid) = &mut self.grid else {
            self.begin(raw);
            return Some((0, raw));
        };
        let (mut index, mut time) = grid.place(raw);
        if grid.offset != 0 && index - self.base > self.held.periods() {
            // A gap: if the samples' own times have caught up, use them again.
            let own = Grid { offset: 0, ..*grid };
            if own.place(raw).0 >= self.base {
                *grid = own;
                (index, time) = grid.place(raw);
            }
        }
        let grid = *grid;
        let far = self.far();
        let side = if index - self.base > far {
            Some(Side::Ahead)
        } else if self.base - index > STEP_BACK_PERIODS {
            Some(Side::Behind)
        } else {
            None
        };
        let count = sensors.len() as u64;
        match side {
            None if index >= self.base => {
                self.step.clear();
                self.placed = Some(Placed {
                    grid,
                    raw,
                    index,
                    time,
                });
                Some((index, time))
            }
            None if index == self.base - 1 => Some((index, time)),
            None => {
                self.counters.late_dropped += count;
                None
            }
            Some(side) => {
                let moved = self.follow_step(side, index, raw, sensors);
                match side {
                    _ if moved.is_some() => self.counters.clock_steps += 1,
                    Side::Ahead => self.counters.ahead_dropped += count,
                    Side::Behind => self.counters.late_dropped += count,
                }
                moved
            }
        }
    }

    /// How many periods ahead a sample is not believed.
    pub(super) fn far(&self) -> i64 {
        (YEAR_NANOS / self.period).max(STEP_BACK_PERIODS)
    }

    /// The place of a sample at `index`, far from the others, if the whole stream has moved there.
    fn follow_step(
        &mut self,
        side: Side,
        index: i64,
        raw: i64,
        sensors: Range<usize>,
    ) -> Option<(i64, i64)> {
        if index.abs() >= INDEX_LIMIT {
            return None;
        }
        for sensor in sensors {
            self.step.note(side, index, self.base, sensor);
        }
        if !self.step.moved(index, &self.expected) {
            return None;
        }
        let target = self.step.target(index, self.base);
        self.step.clear();
        if self.emitted.is_none() {
            // Nothing stands on the old grid yet.
            self.slots.clear();
            self.silence.restart();
            self.begin(raw);
            return Some((0, raw));
        }
        let grid = self.grid.as_mut()?;
        if side == Side::Behind {
            grid.shift(index, target);
        }
        let place = grid.place(raw);
        (place.0 >= self.base).then_some(place)
    }

    fn begin(&mut self, time: i64) {
        self.grid = Some(Grid {
            origin: time,
            period: self.period,
            offset: 0,
        });
        self.base = 0;
        self.placed = None;
        // A value that came too late for its frame, before any frame was made, may be held already;
        // its index is that of the old grid.
        self.held.clear();
        self.newest = time;
        self.newest_index = 0;
        self.awaited = None;
        self.silence.begin(time);
        self.looked = i64::MIN;
        self.now = None;
        self.elapsed = 0;
    }

    /// Puts values that share a time into the slot of an open frame; returns what the last of the
    /// sensors had delivered before, or `None` when there is no room.
    pub(super) fn deliver(
        &mut self,
        index: i64,
        time: i64,
        values: impl IntoIterator<Item = (usize, f64)>,
        row: bool,
    ) -> Option<Delivery> {
        if !self.slots.has_room(index) {
            self.counters.overrun += 1;
            let first = self.slots.first()?;
            if index < first {
                return None;
            }
            self.slots.free(first);
            self.base = first + 1;
            self.awaited = None;
        }
        let slot = self.slots.at(index)?;
        slot.row |= row;
        let mut delivery = None;
        for (sensor, value) in values {
            let before = slot.deliver(sensor, time, value);
            if before != Delivery::First {
                self.counters.duplicates += 1;
            }
            if before == Delivery::Repetition {
                self.repetition = REPETITION_MEMORY;
            }
            if value.is_finite() {
                self.silence.seen(sensor, time);
            }
            delivery = Some(before);
        }
        if time > self.newest {
            self.newest = time;
            self.elapsed = 0;
            self.now = None;
        }
        self.newest_index = self.newest_index.max(index);
        delivery
    }

    /// A sample for the frame that was closed last.
    pub(super) fn take_late(&mut self, index: i64, time: i64, sensor: usize, value: f64) {
        let in_last = self.emitted.is_some_and(|(last, _)| last == index);
        if in_last && self.held.is_of(sensor, index) {
            self.counters.duplicates += 1;
            if self
                .silence
                .last_seen(sensor)
                .is_some_and(|last| time > last)
            {
                self.repetition = REPETITION_MEMORY;
            }
        } else {
            self.counters.late_dropped += 1;
        }
        if in_last && !self.expected[sensor] {
            // It always comes after the others, perhaps: from now on they wait for it.
            self.expected[sensor] = true;
            self.awaited = None;
        }
        let older = self
            .silence
            .last_seen(sensor)
            .is_some_and(|last| time < last);
        if value.is_finite() && !older {
            self.held.set(sensor, value, index);
            self.silence.seen(sensor, time);
        }
    }
}
