//! The last value of each sensor, and for how long it is carried on.

use super::slot::Slot;
use super::{Frame, Freshness};

#[derive(Debug)]
pub(super) struct Held {
    /// `[F]`: periods for which each sensor's value is carried on.
    hold: Vec<i64>,
    /// `[F]`: the value, and the grid index of its frame; `None` before the first one.
    last: Vec<Option<(f64, i64)>>,
    /// The last grid index that any value of `last` is carried on to.
    reach: Option<i64>,
}

impl Held {
    pub fn new(sensors: usize, hold: u32) -> Self {
        Held {
            hold: vec![i64::from(hold); sensors],
            last: vec![None; sensors],
            reach: None,
        }
    }

    pub fn set_hold(&mut self, sensor: usize, periods: u32) {
        self.hold[sensor] = i64::from(periods);
    }

    /// The longest time that any sensor is held.
    pub fn periods(&self) -> i64 {
        self.hold.iter().copied().max().unwrap_or(0)
    }

    pub fn clear(&mut self) {
        self.last.fill(None);
        self.reach = None;
    }

    pub fn set(&mut self, sensor: usize, value: f64, index: i64) {
        self.last[sensor] = Some((value, index));
        self.reach = self.reach.max(Some(index + self.hold[sensor]));
    }

    /// Whether the sensor's last value belongs to the frame `index`.
    pub fn is_of(&self, sensor: usize, index: i64) -> bool {
        self.last[sensor].is_some_and(|(_, last)| last == index)
    }

    /// The sensor's last value, however old.
    pub fn value(&self, sensor: usize) -> Option<f64> {
        self.last[sensor].map(|(value, _)| value)
    }

    /// Whether any value reaches as far as the frame `index`.
    pub fn reaches(&self, index: i64) -> bool {
        self.reach.is_some_and(|reach| index <= reach)
    }

    /// Fills the frame `index` from what was delivered for it, and from what is held; remembers the
    /// former, and counts the sensors without it in `missing` `[F]`.
    pub fn fill(
        &mut self,
        index: i64,
        slot: Option<&Slot>,
        frame: &mut Frame,
        missing: &mut [u64],
    ) {
        let sensors = self.last.len();
        frame.values.resize(sensors, f64::NAN);
        frame.freshness.resize(sensors, Freshness::Stale);
        let places = frame.values.iter_mut().zip(&mut frame.freshness);
        let memory = self.last.iter_mut().zip(missing);
        for (sensor, ((value, freshness), (last, missing))) in places.zip(memory).enumerate() {
            if let Some(read) = slot.and_then(|slot| slot.value(sensor)) {
                *last = Some((read, index));
                self.reach = self.reach.max(Some(index + self.hold[sensor]));
                (*value, *freshness) = (read, Freshness::Fresh);
                continue;
            }
            *missing += 1;
            (*value, *freshness) = match *last {
                Some((held, at)) if index - at <= self.hold[sensor] => (held, Freshness::Held),
                _ => (f64::NAN, Freshness::Stale),
            };
        }
    }
}
