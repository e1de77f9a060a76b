//! Carries faults out on a running plant: breaks equipment, distorts and falsifies readings, and
//! notes what could be noticed.

use std::time::Duration;

use super::{Fault, FaultKind, moved_by};
use crate::simulate::control::Readings;
use crate::simulate::equipment::Equipment;
use crate::simulate::random::Random;
use crate::simulate::sensors::SENSORS;

/// A fault under way: its times in nanoseconds and what it remembers.
#[derive(Debug, Clone)]
struct Course {
    fault: Fault,
    start: i64,
    end: i64,
    /// `[columns]`: the frozen values of a stuck sensor.
    frozen: Option<Vec<f64>>,
    /// Frame by frame `[columns]`: what a replay shows.
    recorded: Vec<Vec<f64>>,
    replayed: usize,
    /// An actuator's mechanics are broken at this moment.
    broken: bool,
    /// When an actuator's failure first made a difference.
    shown: Option<i64>,
    /// When, after an actuator's repair, its standby had stopped too.
    over: Option<i64>,
}

impl Course {
    fn active(&self, now: i64) -> bool {
        (self.start..self.end).contains(&now)
    }
}

/// Carries the faults of a run out, moment by moment. Times are nanoseconds from the first frame.
#[derive(Debug, Clone)]
pub struct Injector {
    courses: Vec<Course>,
    random: Random,
}

impl Injector {
    pub fn new(faults: Vec<Fault>, seed: u64) -> Self {
        let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        let course = |fault: Fault| Course {
            start: nanos(fault.start),
            end: nanos(fault.start.saturating_add(fault.duration)),
            fault,
            frozen: None,
            recorded: Vec::new(),
            replayed: 0,
            broken: false,
            shown: None,
            over: None,
        };
        Injector {
            courses: faults.into_iter().map(course).collect(),
            random: Random::new(seed, 5),
        }
    }

    /// Breaks and repairs equipment as it is due `now`.
    pub fn break_equipment(&mut self, now: i64, equipment: &mut Equipment) {
        for course in &mut self.courses {
            if course.fault.kind != FaultKind::Actuator {
                continue;
            }
            let active = course.active(now);
            // Repaired once: a later fault of the same pump must not be undone every tick.
            if !active && !std::mem::take(&mut course.broken) {
                continue;
            }
            course.broken = active;
            for &column in &course.fault.columns {
                equipment.fail(
                    column,
                    active.then(|| course.fault.magnitude.unwrap_or(0.0)),
                );
            }
        }
    }

    /// Notes which failures of equipment make a difference `now`, and when their traces are gone.
    pub fn watch(&mut self, now: i64, equipment: &Equipment) {
        for course in &mut self.courses {
            if course.fault.kind != FaultKind::Actuator {
                continue;
            }
            let columns = &course.fault.columns;
            if course.shown.is_none() {
                let shows = columns
                    .iter()
                    .any(|&column| equipment.failure_shows(column));
                course.shown = (course.active(now) && shows).then_some(now);
            } else if course.over.is_none() && now >= course.end {
                let mut standbys = columns.iter().flat_map(|&column| moved_by(column));
                let gone = !standbys.any(|&tag| equipment.runs(tag));
                course.over = gone.then_some(now);
            }
        }
    }

    /// Distorts analogue readings before they are digitised, for everyone who reads them.
    pub fn distort(&mut self, now: i64, analogue: &mut Readings) {
        for course in &mut self.courses {
            if !course.active(now) {
                continue;
            }
            let Fault {
                kind,
                columns,
                magnitude,
                ..
            } = &course.fault;
            match kind {
                FaultKind::Stuck => {
                    let frozen = course.frozen.get_or_insert_with(|| {
                        let at = |&column: &usize| magnitude.unwrap_or(analogue[column]);
                        columns.iter().map(at).collect()
                    });
                    for (&column, &value) in columns.iter().zip(frozen.iter()) {
                        analogue[column] = value;
                    }
                }
                FaultKind::Drift => {
                    let passed = (now - course.start) as f64 / (course.end - course.start) as f64;
                    for &column in columns {
                        let wrong = magnitude.unwrap_or(0.5 * SENSORS[column].swing);
                        analogue[column] += wrong * passed;
                    }
                }
                FaultKind::Noise => {
                    // Independent noise adds its variance to what is there already.
                    let added = (magnitude.unwrap_or(25.0) - 1.0).max(0.0).sqrt();
                    for &column in columns {
                        analogue[column] += added * SENSORS[column].noise * self.random.normal();
                    }
                }
                FaultKind::Spoofed | FaultKind::Actuator => {}
            }
        }
    }

    /// Falsifies what is recorded; `readings` holds what was measured.
    pub fn falsify(&mut self, now: i64, readings: &mut Readings) {
        for course in &mut self.courses {
            if course.fault.kind != FaultKind::Spoofed {
                continue;
            }
            let columns = &course.fault.columns;
            match course.fault.magnitude {
                Some(offset) if course.active(now) => {
                    for &column in columns {
                        readings[column] = SENSORS[column].digitise(readings[column] + offset);
                    }
                }
                Some(_) => {}
                None if course.active(now) => {
                    if let Some(past) = course.recorded.get(course.replayed) {
                        for (&column, &value) in columns.iter().zip(past) {
                            readings[column] = value;
                        }
                        course.replayed = (course.replayed + 1) % course.recorded.len();
                    }
                }
                None => {
                    let length = course.end - course.start;
                    if now >= 0 && now < course.start && now >= course.start - length {
                        let past = columns.iter().map(|&column| readings[column]);
                        course.recorded.push(past.collect());
                    }
                }
            }
        }
    }

    /// The faults with the nanoseconds from which they could be noticed to their end. For an actuator
    /// that is from its being called for to its repair or, if later, to the stop of its standby; one
    /// that was not called for is not among them.
    pub fn noticeable(&self) -> impl Iterator<Item = (&Fault, i64, i64)> {
        self.courses.iter().filter_map(|course| {
            let (start, end) = match course.fault.kind {
                // Without an end yet, it lasts as long as the recording.
                FaultKind::Actuator => (course.shown?, course.over.unwrap_or(i64::MAX)),
                _ => (course.start, course.end),
            };
            Some((&course.fault, start, end))
        })
    }

    /// Broken actuators that nobody called for.
    pub fn unnoticed(&self) -> impl Iterator<Item = &Fault> {
        let silent =
            |course: &&Course| course.fault.kind == FaultKind::Actuator && course.shown.is_none();
        self.courses
            .iter()
            .filter(silent)
            .map(|course| &course.fault)
    }
}
