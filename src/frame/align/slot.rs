//! The frames that are still open: what was delivered for each.

/// What a sensor had delivered in the same period before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    First,
    /// The same instant: a message that came twice.
    Again,
    /// Another instant of the period.
    Repetition,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// Grid index, while in use.
    index: Option<i64>,
    /// Whether a whole row came.
    pub row: bool,
    /// `[F]`; NaN where a missing value was reported, or nothing.
    values: Vec<f64>,
    /// `[F]`: when it was read; `None` when the sensor has not delivered.
    times: Vec<Option<i64>>,
}

impl Slot {
    fn new(sensors: usize) -> Self {
        Slot {
            index: None,
            row: false,
            values: vec![f64::NAN; sensors],
            times: vec![None; sensors],
        }
    }

    /// The value that was read last counts, whatever the order of arrival; at the same instant the
    /// one that came last. A missing value never replaces a value.
    pub fn deliver(&mut self, sensor: usize, time: i64, value: f64) -> Delivery {
        let (old, old_value) = (self.times[sensor], self.values[sensor]);
        let value = if value.is_finite() { value } else { f64::NAN };
        let newer = old.is_none_or(|old| time >= old);
        if old_value.is_nan() || (newer && !value.is_nan()) {
            self.values[sensor] = value;
        }
        // The time of the value kept; of the first report while there is none.
        if old.is_none() || (!value.is_nan() && (old_value.is_nan() || newer)) {
            self.times[sensor] = Some(time);
        }
        match old {
            None => Delivery::First,
            Some(old) if old == time => Delivery::Again,
            Some(_) => Delivery::Repetition,
        }
    }

    pub fn has(&self, sensor: usize) -> bool {
        self.times[sensor].is_some()
    }

    pub fn value(&self, sensor: usize) -> Option<f64> {
        let value = self.values[sensor];
        (!value.is_nan()).then_some(value)
    }

    pub fn has_value(&self) -> bool {
        self.values.iter().any(|value| !value.is_nan())
    }

    pub fn copy_delivered(&self, delivered: &mut [bool]) {
        for (delivered, time) in delivered.iter_mut().zip(&self.times) {
            *delivered = time.is_some();
        }
    }

    fn free(&mut self) {
        self.index = None;
        self.row = false;
        self.values.fill(f64::NAN);
        self.times.fill(None);
    }
}

/// Two frames can be open (the next one, and the one a sample has come for meanwhile); the sample
/// that closes the first of them needs a third.
#[derive(Debug)]
pub(super) struct Slots([Slot; 3]);

impl Slots {
    pub fn new(sensors: usize) -> Self {
        Slots(std::array::from_fn(|_| Slot::new(sensors)))
    }

    pub fn get(&self, index: i64) -> Option<&Slot> {
        self.0.iter().find(|slot| slot.index == Some(index))
    }

    /// The slot for `index`, or a free one taken for it.
    pub fn at(&mut self, index: i64) -> Option<&mut Slot> {
        let used = self.0.iter().position(|slot| slot.index == Some(index));
        let place = used.or_else(|| self.0.iter().position(|slot| slot.index.is_none()))?;
        let slot = &mut self.0[place];
        slot.index = Some(index);
        Some(slot)
    }

    pub fn has_room(&self, index: i64) -> bool {
        let fits = |slot: &Slot| slot.index.is_none_or(|used| used == index);
        self.0.iter().any(fits)
    }

    /// The lowest index in use.
    pub fn first(&self) -> Option<i64> {
        self.0.iter().filter_map(|slot| slot.index).min()
    }

    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// Whether a whole row has come for a frame after `index`.
    pub fn row_behind(&self, index: i64) -> bool {
        let behind = |slot: &Slot| slot.row && slot.index.is_some_and(|used| used > index);
        self.0.iter().any(behind)
    }

    pub fn free(&mut self, index: i64) {
        for slot in &mut self.0 {
            if slot.index == Some(index) {
                slot.free();
            }
        }
    }

    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(Slot::free);
    }
}
