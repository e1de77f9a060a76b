//! Which sensors have not been heard of for too long.

use super::Timestamp;

/// A sensor that stopped reporting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent {
    pub sensor: usize,
    /// The time of its last value; `None` when there never was one.
    pub last_seen: Option<Timestamp>,
}

/// All times are those of the grid, in nanoseconds; before the first sample, since the start.
#[derive(Debug)]
pub(super) struct Silence {
    /// Of sensors that are held no longer than the rest.
    limit: i64,
    /// `[F]`
    limits: Vec<i64>,
    /// What the age of sensors that were never seen counts from.
    since: i64,
    last_seen: Vec<Option<i64>>,
    silent: Vec<bool>,
    /// Nobody becomes silent up to this.
    due: i64,
    generation: u64,
}

impl Silence {
    pub fn new(sensors: usize, limit: i64) -> Self {
        Silence {
            limit,
            limits: vec![limit; sensors],
            since: 0,
            last_seen: vec![None; sensors],
            silent: vec![false; sensors],
            due: i64::MIN,
            generation: 0,
        }
    }

    /// The first sample has come at `time`. What never comes is missed from here on, however long
    /// the first sample was waited for, so that a recording gives the same alarms.
    pub fn begin(&mut self, time: i64) {
        self.since = time;
        self.due = i64::MIN;
    }

    /// A sensor whose values are held for `held` is not missed before that.
    pub fn set_held(&mut self, sensor: usize, held: i64) {
        self.limits[sensor] = self.limit.max(held);
        self.due = i64::MIN;
    }

    /// The shortest time without a value that makes a sensor silent.
    pub fn shortest(&self) -> i64 {
        self.limits.iter().copied().min().unwrap_or(self.limit)
    }

    /// Nobody becomes silent up to this, unless someone is seen before.
    pub fn due(&self) -> i64 {
        self.due
    }

    pub fn restart(&mut self) {
        self.last_seen.fill(None);
        self.since = 0;
        self.due = i64::MIN;
        if self.silent.contains(&true) {
            self.silent.fill(false);
            self.generation += 1;
        }
    }

    pub fn seen(&mut self, sensor: usize, time: i64) {
        let last = self.last_seen[sensor];
        self.last_seen[sensor] = Some(last.map_or(time, |last| last.max(time)));
        if self.silent[sensor] {
            self.silent[sensor] = false;
            self.generation += 1;
            self.due = self.due.min(time.saturating_add(self.limits[sensor]));
        }
    }

    pub fn last_seen(&self, sensor: usize) -> Option<i64> {
        self.last_seen[sensor]
    }

    /// Looks who is silent at `time`, and says whether that is anyone new; cheap while nobody can
    /// be.
    pub fn check(&mut self, time: i64) -> bool {
        if time <= self.due {
            return false;
        }
        self.due = i64::MAX;
        let mut changed = false;
        let sensors = self.silent.iter_mut().zip(&self.last_seen);
        for ((silent, last_seen), limit) in sensors.zip(&self.limits) {
            if *silent {
                continue;
            }
            let due = last_seen.unwrap_or(self.since).saturating_add(*limit);
            if time > due {
                *silent = true;
                changed = true;
            } else {
                self.due = self.due.min(due);
            }
        }
        self.generation += u64::from(changed);
        changed
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn iter(&self) -> impl Iterator<Item = Silent> + '_ {
        let silent = self.silent.iter().zip(&self.last_seen).enumerate();
        silent
            .filter(|(_, (silent, _))| **silent)
            .map(|(sensor, (_, last_seen))| Silent {
                sensor,
                last_seen: last_seen.map(Timestamp),
            })
    }
}
