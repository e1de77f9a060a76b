//! Faults of sensors and equipment: what they are, how they distort readings, which rows they
//! cover. Imports the sensor table, equipment and randomness.

mod draw;
mod file;

use std::time::Duration;

pub use draw::draw;
pub use file::{load, parse};

use super::control::Readings;
use super::equipment::Equipment;
use super::random::Random;
use super::sensors::{SENSORS, SensorKind, Tag};

/// What goes wrong. The meaning of [`Fault::magnitude`] depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// The sensor freezes at its value, or at `magnitude` if given. Controllers see it too.
    Stuck,
    /// The sensor departs steadily and is wrong by `magnitude` at the end (without: half its usual
    /// swing). Controllers see it too.
    Drift,
    /// What is recorded is not what is measured: off by `magnitude`, or without one a replay of the
    /// time before. The plant and its controllers go on with the true value.
    Spoofed,
    /// The variance of the noise is multiplied by `magnitude` (without: 25). Controllers see it.
    Noise,
    /// The mechanics of a pump or valve fail although the drive says it works: a pump keeps the
    /// fraction `magnitude` of its flow, a valve moves to the opening `magnitude` (without: 0).
    Actuator,
}

impl FaultKind {
    pub const ALL: [FaultKind; 5] = [
        FaultKind::Stuck,
        FaultKind::Drift,
        FaultKind::Spoofed,
        FaultKind::Noise,
        FaultKind::Actuator,
    ];

    /// As it is written in `faults.toml` and `events.json`.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Stuck => "stuck",
            FaultKind::Drift => "drift",
            FaultKind::Spoofed => "spoofed",
            FaultKind::Noise => "noise",
            FaultKind::Actuator => "actuator",
        }
    }
}

/// One fault, timed from the first frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    /// Columns of the sensors or actuators that it hits, at least one.
    pub columns: Vec<usize>,
    pub start: Duration,
    pub duration: Duration,
    /// See [`FaultKind`].
    pub magnitude: Option<f64>,
}

/// What a fault does not make sense for, by key of `faults.toml`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct FaultProblem {
    pub key: &'static str,
    pub message: String,
}

/// A fault that cannot be simulated, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("{path}: cannot be read ({source}); check the path given to --faults")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}:{line}: not TOML: {message}")]
    Syntax {
        path: String,
        line: usize,
        message: String,
    },
    #[error("{path}:{line}: fault.{key}: {message}")]
    Entry {
        path: String,
        line: usize,
        key: String,
        message: String,
    },
    #[error(
        "{kind} fault of {sensors} starts after {start}, but the run lasts {run}; start it earlier or give a longer --duration"
    )]
    AfterTheEnd {
        kind: &'static str,
        sensors: String,
        start: String,
        run: String,
    },
    #[error("{wanted} faults do not fit in {run} (at most {fit}); give a longer --duration")]
    TooMany {
        wanted: usize,
        fit: usize,
        run: String,
    },
}

impl Fault {
    /// Whether this fault makes sense for its sensors.
    pub fn check(&self) -> Result<(), FaultProblem> {
        let problem = |key, message| Err(FaultProblem { key, message });
        if self.duration.is_zero() {
            return problem("duration", "a fault must last longer than 0s".into());
        }
        if self.columns.is_empty() {
            return problem("sensor", "names no sensor; give one, such as LIT101".into());
        }
        for &column in &self.columns {
            let spec = &SENSORS[column];
            let name = spec.name;
            let measures = spec.kind == SensorKind::Measure;
            match self.kind {
                FaultKind::Actuator if measures => {
                    return problem(
                        "sensor",
                        format!("{name} measures; an actuator fault needs a pump, valve or lamp"),
                    );
                }
                FaultKind::Noise | FaultKind::Drift if !measures => {
                    return problem(
                        "sensor",
                        format!(
                            "{name} is a state and has no {}; choose a measurement, or kind stuck or actuator",
                            self.kind.name()
                        ),
                    );
                }
                FaultKind::Spoofed if !measures && self.magnitude.is_some() => {
                    return problem(
                        "magnitude",
                        format!(
                            "{name} is a state and cannot be off by a number; leave magnitude out to replay it"
                        ),
                    );
                }
                _ => {}
            }
        }
        if self.kind == FaultKind::Spoofed && self.magnitude.is_none() && self.start.is_zero() {
            return problem(
                "start",
                "a replay needs something recorded before it; start later or give a magnitude"
                    .into(),
            );
        }
        match (self.kind, self.magnitude) {
            (_, Some(magnitude)) if !magnitude.is_finite() => {
                problem("magnitude", "must be a finite number".into())
            }
            (FaultKind::Actuator, Some(magnitude)) if !(0.0..=1.0).contains(&magnitude) => problem(
                "magnitude",
                format!("{magnitude} is not within 0 (fails fully, closed) to 1 (sound, open)"),
            ),
            (FaultKind::Noise, Some(magnitude)) if magnitude < 1.0 => problem(
                "magnitude",
                format!(
                    "{magnitude} would make it quieter; give the factor of the variance, above 1"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// The columns an explanation of this fault may name: the sensors it hits, and for an actuator
    /// also those that its failure moves directly.
    pub fn targets(&self) -> Vec<usize> {
        let mut targets = self.columns.clone();
        if self.kind == FaultKind::Actuator {
            for &column in &self.columns {
                targets.extend(moved_by(column).iter().map(|tag| tag.column()));
            }
        }
        let mut seen = [false; SENSORS.len()];
        targets.retain(|&column| !std::mem::replace(&mut seen[column], true));
        targets
    }

    /// Names of the sensors it hits, for messages.
    pub fn sensor_names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|&c| SENSORS[c].name).collect();
        names.join(", ")
    }
}

/// What moves first when the actuator in `column` fails.
fn moved_by(column: usize) -> &'static [Tag] {
    const MOVED: [(Tag, &[Tag]); 22] = [
        (Tag::MV101, &[Tag::FIT101, Tag::LIT101]),
        (Tag::P101, &[Tag::FIT201, Tag::P102]),
        (Tag::P102, &[Tag::FIT201, Tag::P101]),
        (Tag::MV201, &[Tag::FIT201, Tag::P102]),
        (Tag::P203, &[Tag::AIT202, Tag::P204]),
        (Tag::P204, &[Tag::AIT202, Tag::P203]),
        (Tag::P205, &[Tag::AIT203, Tag::P206]),
        (Tag::P206, &[Tag::AIT203, Tag::P205]),
        (Tag::P301, &[Tag::FIT301, Tag::DPIT301, Tag::P302]),
        (Tag::P302, &[Tag::FIT301, Tag::DPIT301, Tag::P301]),
        (Tag::MV301, &[Tag::FIT602, Tag::DPIT301]),
        (Tag::MV302, &[Tag::FIT301, Tag::DPIT301, Tag::P302]),
        (Tag::MV303, &[Tag::FIT602, Tag::DPIT301]),
        (Tag::P401, &[Tag::FIT401, Tag::P402]),
        (Tag::P402, &[Tag::FIT401, Tag::P401]),
        (Tag::UV401, &[Tag::AIT402]),
        (Tag::P403, &[Tag::AIT402, Tag::P404]),
        (Tag::P404, &[Tag::AIT402, Tag::P403]),
        (Tag::P501, &[Tag::FIT502, Tag::PIT501, Tag::P502]),
        (Tag::P502, &[Tag::FIT502, Tag::PIT501, Tag::P501]),
        (Tag::P601, &[Tag::FIT601, Tag::LIT601]),
        (Tag::P602, &[Tag::FIT602, Tag::DPIT301]),
    ];
    let found = MOVED.iter().find(|(tag, _)| tag.column() == column);
    found.map_or(&[], |(_, moved)| moved)
}

/// Says so when a fault would start after a run of length `run`.
pub fn check_within(faults: &[Fault], run: Duration) -> Result<(), FaultError> {
    match faults.iter().find(|fault| fault.start >= run) {
        None => Ok(()),
        Some(late) => Err(FaultError::AfterTheEnd {
            kind: late.kind.name(),
            sensors: late.sensor_names(),
            start: humantime::format_duration(late.start).to_string(),
            run: humantime::format_duration(run).to_string(),
        }),
    }
}

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

#[cfg(test)]
mod tests;
