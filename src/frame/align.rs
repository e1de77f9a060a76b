//! Samples of single sensors to frames on a fixed grid of time. Imports its parent `frame` only.
//!
//! The grid starts at the first sample; frame k takes what was read within half a period of its
//! instant, the newest value of each sensor. Everything is decided by the samples' own times, so a
//! recording gives the same frames as the live stream did.
//!
//! - A frame is complete once every sensor of the frame before has delivered (a reported missing
//!   value counts), so no time is lost where sensors report together, and a row is a frame at once.
//!   Otherwise it is closed when time is more than one period past its end.
//! - Where a sensor delivers more than once a period, a complete frame also waits for the next
//!   period, so that the last value counts. This is noticed by the first repetition, whose value
//!   comes too late for its frame.
//! - A sensor without a new value is held for `hold` periods, then stale.
//! - A frame in which every sensor is stale is not made: that is a gap. The frame after it has
//!   `restart` set. However long it was, a gap costs no more than `hold` frames.
//! - A sample that is too late for its frame is dropped, but its value may still be held. One more
//!   than a year ahead is dropped as well. When the whole stream has moved there (`step`), the
//!   clock was set: forwards that is a gap; backwards, the frames go on where they are, under a
//!   constant offset that ends with the first gap that allows it.

mod config;
mod due;
mod grid;
mod held;
mod place;
mod silence;
mod slot;
mod step;

pub use self::config::{AlignConfig, AlignCounters};
pub use self::due::Due;
use self::grid::Grid;
use self::held::Held;
use self::place::Placed;
use self::silence::Silence;
pub use self::silence::Silent;
use self::slot::{Delivery, Slot, Slots};
use self::step::StepWatch;
use super::{Frame, Freshness, Sample, Timestamp};

const YEAR_NANOS: i64 = 366 * 86_400 * 1_000_000_000;

/// Lays samples on the grid. After each push, and on a timer, call [`Aligner::next_frame`] until it
/// returns false. Allocates when it is made, not after.
#[derive(Debug)]
pub struct Aligner {
    period: i64,
    /// Known from the first sample on.
    grid: Option<Grid>,
    /// Grid index of the next frame.
    base: i64,
    /// Forgotten where its grid or the rules for a place change.
    placed: Option<Placed>,
    slots: Slots,
    newest: i64,
    newest_index: i64,
    /// The last `now`, and how much it moved on since the newest sample.
    now: Option<i64>,
    elapsed: i64,
    held: Held,
    /// `[F]`: who delivered in the last frame that anyone delivered in.
    expected: Vec<bool>,
    /// How many the frame `base` still waits for; `None` when that must be counted anew.
    awaited: Option<usize>,
    /// Index and time of the last frame.
    emitted: Option<(i64, i64)>,
    repetition: u32,
    step: StepWatch,
    silence: Silence,
    /// The last instant at which it was looked who is silent.
    looked: i64,
    counters: AlignCounters,
}

impl Aligner {
    /// For `sensors` sensors.
    pub fn new(sensors: usize, config: AlignConfig) -> Self {
        let period = config.period_nanos.clamp(1, YEAR_NANOS);
        let longest_held = period.saturating_mul(i64::from(config.hold) + 1);
        Aligner {
            period,
            grid: None,
            base: 0,
            placed: None,
            slots: Slots::new(sensors),
            newest: 0,
            newest_index: 0,
            now: None,
            elapsed: 0,
            held: Held::new(sensors, config.hold),
            expected: vec![false; sensors],
            awaited: None,
            emitted: None,
            repetition: 0,
            step: StepWatch::new(sensors),
            silence: Silence::new(sensors, config.stale_after_nanos.max(longest_held)),
            looked: i64::MIN,
            counters: AlignCounters {
                missing: vec![0; sensors],
                ..AlignCounters::default()
            },
        }
    }

    /// Holds `sensor` (there must be one) for `periods` instead of the configured number: one that
    /// reports only when something changes.
    pub fn set_hold(&mut self, sensor: usize, periods: u32) {
        self.held.set_hold(sensor, periods);
        self.placed = None;
        let held = self.period.saturating_mul(i64::from(periods) + 1);
        self.silence.set_held(sensor, held);
    }

    /// Takes one sample. NaN and infinities are missing values.
    pub fn push(&mut self, sample: Sample) {
        let sensor = sample.sensor;
        if sensor >= self.expected.len() {
            self.counters.unknown_sensor += 1;
            return;
        }
        let Some((index, time)) = self.admit(sample.time.nanos(), sensor..sensor + 1) else {
            return;
        };
        if index < self.base {
            self.take_late(index, time, sensor, sample.value);
        } else if let Some(delivery) = self.deliver(index, time, [(sensor, sample.value)], false)
            && delivery == Delivery::First
            && index == self.base
            && (self.expected[sensor] || !self.expected.contains(&true))
        {
            self.awaited = self.awaited.map(|awaited| awaited.saturating_sub(1));
        }
    }

    /// Takes the values of all sensors at one instant, `values` `[F]` (NaN is missing; so are
    /// values that lack at the end).
    pub fn push_row(&mut self, time: Timestamp, values: &[f64]) {
        let sensors = self.expected.len();
        let Some((index, time)) = self.admit(time.nanos(), 0..sensors) else {
            return;
        };
        let lacking = std::iter::repeat(&f64::NAN);
        let values = values.iter().chain(lacking).copied().take(sensors);
        if index < self.base {
            for (sensor, value) in values.enumerate() {
                self.take_late(index, time, sensor, value);
            }
        } else {
            self.deliver(index, time, values.enumerate(), true);
            self.awaited = None;
        }
    }

    /// Writes the next frame that is due and returns true; false when none is.
    ///
    /// `now` lets time pass while no sample comes: how far it moved on since the first call after
    /// the newest sample. Only differences count, so a monotonic clock serves best. Recordings
    /// pass `None`.
    pub fn next_frame(&mut self, now: Option<Timestamp>, frame: &mut Frame) -> bool {
        if let Some(Timestamp(now)) = now {
            let moved = self.now.map_or(0, |last| now.saturating_sub(last).max(0));
            self.elapsed = self.elapsed.saturating_add(moved);
            self.now = Some(now);
        }
        let Some(grid) = self.grid else {
            self.silence.check(self.elapsed);
            return false;
        };
        let stream_time = self.newest.saturating_add(self.elapsed);
        let horizon = grid.index(stream_time);
        loop {
            let complete =
                self.awaited() == 0 && (self.repetition == 0 || self.newest_index > self.base);
            if !complete && horizon < self.base + 2 && !self.slots.row_behind(self.base) {
                return false;
            }
            match self.close(frame) {
                Closed::Emitted => return true,
                Closed::Skipped => {}
                Closed::Idle => return false,
            }
        }
    }

    /// Writes the next of the frames that still wait at the end of a recording and returns true;
    /// false when there is none left.
    pub fn finish(&mut self, frame: &mut Frame) -> bool {
        while !self.slots.is_empty() {
            match self.close(frame) {
                Closed::Emitted => return true,
                Closed::Skipped => {}
                Closed::Idle => return false,
            }
        }
        false
    }

    /// What follows has nothing to do with what was before: the next sample starts a new grid, at
    /// any time. Frames that wait are dropped (call [`Aligner::finish`] first); counters stay.
    pub fn restart(&mut self) {
        self.slots.clear();
        self.grid = None;
        self.held.clear();
        self.expected.fill(false);
        self.awaited = None;
        self.emitted = None;
        self.repetition = 0;
        self.step.clear();
        self.now = None;
        self.elapsed = 0;
        self.silence.restart();
        self.looked = i64::MIN;
    }

    pub fn counters(&self) -> &AlignCounters {
        &self.counters
    }

    /// Changes whenever [`Aligner::silent`] gives other sensors than before.
    pub fn silent_generation(&self) -> u64 {
        self.silence.generation()
    }

    /// The sensors that have been stale for longer than `stale_after`.
    pub fn silent(&self) -> impl Iterator<Item = Silent> + '_ {
        self.silence.iter()
    }

    /// A sensor's last value, however old.
    pub fn last_value(&self, sensor: usize) -> Option<f64> {
        self.held.value(sensor)
    }

    /// Where a sample at `time` ends a gap that is long enough for someone to have become silent in
    /// it: the instant of its frame.
    pub fn gap_before(&self, time: Timestamp) -> Option<Timestamp> {
        let grid = self.grid?;
        let placed = time.nanos().saturating_add(grid.offset);
        // Before the division, as this is asked of every sample.
        if placed.saturating_sub(self.newest) <= self.silence.shortest() {
            return None;
        }
        let index = grid.index(placed);
        let believed = index - self.base <= self.far();
        believed.then(|| Timestamp(grid.instant(index)))
    }

    /// Time has passed without a sample up to `time`, at least.
    pub fn pass_until(&mut self, time: Timestamp) {
        let passed = time.nanos().saturating_sub(self.newest);
        self.elapsed = self.elapsed.max(passed);
    }

    /// The instant up to which everything that could be waited for has come; none before the first
    /// sample.
    pub fn settled_until(&self) -> Option<Timestamp> {
        let grid = self.grid?;
        let horizon = grid.index(self.newest.saturating_add(self.elapsed));
        Some(Timestamp(grid.instant(horizon - 1)))
    }

    /// While no frames are made: the next instant before `end` at which further sensors are silent,
    /// or the first one from `also` on. Call until it returns nothing.
    pub fn look_for_silence(
        &mut self,
        end: Timestamp,
        also: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let grid = self.grid?;
        let half = self.period / 2;
        loop {
            let due = self.silence.due().saturating_add(half);
            let also_due = also.map_or(i64::MAX, |also| also.nanos().saturating_sub(1));
            let after = due.min(also_due).max(self.looked);
            let mut instant = grid.instant(grid.index(after));
            if instant <= after {
                instant = instant.saturating_add(self.period);
            }
            if instant <= after || instant >= end.nanos() {
                return None;
            }
            if self.look(instant) || instant > also_due {
                return Some(Timestamp(instant));
            }
        }
    }

    /// Looks who is silent at an instant, by half a period later than to the nanosecond: those who
    /// deliver together fall silent together, on whichever side of the instant they come.
    fn look(&mut self, instant: i64) -> bool {
        self.looked = self.looked.max(instant);
        self.silence.check(instant.saturating_sub(self.period / 2))
    }

    /// How far the frames' times are ahead of the samples', in nanoseconds, since the clock was
    /// set back; 0 otherwise.
    pub fn clock_offset_nanos(&self) -> i64 {
        self.grid.map_or(0, |grid| grid.offset)
    }

    /// How many sensors the frame `base` waits for.
    fn awaited(&mut self) -> usize {
        if let Some(awaited) = self.awaited {
            return awaited;
        }
        let slot = self.slots.get(self.base);
        let all = !self.expected.contains(&true);
        let awaited = self
            .expected
            .iter()
            .enumerate()
            .filter(|&(sensor, expected)| {
                (all || *expected) && !slot.is_some_and(|slot| slot.has(sensor))
            })
            .count();
        self.awaited = Some(awaited);
        awaited
    }

    /// Makes the frame `base`, or passes over it.
    fn close(&mut self, frame: &mut Frame) -> Closed {
        let Some(grid) = self.grid else {
            return Closed::Idle;
        };
        let index = self.base;
        let time = grid.instant(index);
        let slot = self.slots.get(index);
        let fresh = slot.is_some_and(Slot::has_value);
        // The very ends of time: instants that i64 cannot tell apart.
        let stuck = self.emitted.is_some_and(|(_, last)| time <= last);
        let made = !stuck && (fresh || self.held.reaches(index));
        if slot.is_none() && !made {
            let Some(first) = self.slots.first() else {
                return Closed::Idle;
            };
            self.base = first;
            self.awaited = None;
            return Closed::Skipped;
        }
        if made {
            frame.time = Timestamp(time);
            frame.restart = self.emitted.is_none_or(|(last, _)| last + 1 != index);
            self.counters.frames += 1;
            self.counters.gaps += u64::from(frame.restart && self.emitted.is_some());
            self.emitted = Some((index, time));
            let missing = &mut self.counters.missing;
            self.held.fill(index, slot, frame, missing);
            self.looked = self.looked.max(time);
            self.silence.check(time.saturating_sub(self.period / 2));
        }
        if let Some(slot) = slot {
            slot.copy_delivered(&mut self.expected);
            self.slots.free(index);
            self.repetition = self.repetition.saturating_sub(1);
        }
        self.base += 1;
        self.awaited = None;
        if made {
            Closed::Emitted
        } else {
            Closed::Skipped
        }
    }
}

enum Closed {
    Emitted,
    /// The next frame may be due as well.
    Skipped,
    /// Nothing to make frames of.
    Idle,
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
