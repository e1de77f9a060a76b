//! Faults of sensors and equipment: what they are, which make sense, whom they affect. Imports the
//! sensor table; carrying them out also the controllers' readings, equipment and randomness.

mod draw;
mod file;
mod inject;

use std::time::Duration;

pub use draw::draw;
pub use file::{load, parse};
pub(super) use inject::Injector;

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

#[cfg(test)]
mod tests;
