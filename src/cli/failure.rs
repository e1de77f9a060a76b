//! How a failure ends a command: one line on stderr, and an exit status that scripts can tell
//! apart. Imports the errors of all modules.

use std::io;
use std::process::ExitCode;

use super::bench::Incomparable;
use super::print::tell;
use super::recording::Unfit;
use crate::bench::{BenchError, OutcomeError};
use crate::config::ConfigError;
use crate::ingest::csv::{AbsentSensors, CsvError};
use crate::model::ModelError;
use crate::pipeline::OpenError;
use crate::score::evaluate::TruthError;
use crate::simulate::faults::FaultError;
use crate::train::{TopologyError, TrainError};

/// Options that contradict each other or lie out of range (as clap has it).
pub const USAGE: u8 = 2;
/// Bad data, a missing or damaged input file among them (`EX_DATAERR` of sysexits.h).
pub const DATA: u8 = 65;
/// Bad configuration (`EX_CONFIG`).
pub const CONFIG: u8 = 78;
/// Anything else: no room, no libtorch, no permission.
pub const OTHER: u8 = 1;

/// Options that clap cannot see to be wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A result that could not be written; the inputs were sound.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unwritable(pub String);

/// Prints `error` with its causes on stderr and returns the exit status it calls for.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that went away (`| head`) is the reader's choice, not a failure to tell of.
    let mut io_errors = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    if io_errors.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    tell(format_args!("anomalyd: {}", in_words(error)));
    ExitCode::from(exit_status(error))
}

fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Causes that the message before already quotes would only repeat it.
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

fn exit_status(error: &anyhow::Error) -> u8 {
    let of_cause = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<Usage>() {
            Some(USAGE)
        } else if cause.is::<Unwritable>() {
            Some(OTHER)
        } else if cause.is::<ConfigError>() || cause.is::<TopologyError>() {
            Some(CONFIG)
        } else if let Some(fault) = cause.downcast_ref::<FaultError>() {
            Some(of_fault(fault))
        } else if let Some(train) = cause.downcast_ref::<TrainError>() {
            of_train(train)
        } else if let Some(OpenError::Disagrees { .. }) = cause.downcast_ref() {
            Some(DATA)
        } else if let Some(BenchError::Model(_)) = cause.downcast_ref() {
            Some(DATA)
        } else {
            let of_data = cause.is::<ModelError>()
                || cause.is::<CsvError>()
                || cause.is::<AbsentSensors>()
                || cause.is::<TruthError>()
                || cause.is::<Unfit>()
                || cause.is::<OutcomeError>()
                || cause.is::<Incomparable>();
            of_data.then_some(DATA)
        }
    };
    error.chain().find_map(of_cause).unwrap_or(OTHER)
}

/// Faults come from a file or from options.
fn of_fault(error: &FaultError) -> u8 {
    match error {
        FaultError::TooMany { .. } => USAGE,
        FaultError::Unreadable { .. }
        | FaultError::Syntax { .. }
        | FaultError::Entry { .. }
        | FaultError::AfterTheEnd { .. } => CONFIG,
    }
}

fn of_train(error: &TrainError) -> Option<u8> {
    match error {
        TrainError::TooFewRows { .. }
        | TrainError::NoWindows { .. }
        | TrainError::TooManySensors { .. }
        | TrainError::TooLarge { .. }
        | TrainError::OtherWidth { .. }
        | TrainError::Unreadable(_)
        | TrainError::NotFinite => Some(DATA),
        TrainError::Topology(_) => Some(CONFIG),
        // Its own files could not be written or its worker failed: the data are not to blame.
        TrainError::Engine(_) | TrainError::Model(_) | TrainError::Scratch { .. } => Some(OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_that_are_quoted_already_are_not_repeated() {
        let error = Err::<(), _>(io::Error::other("disk on fire"))
            .context("a.csv: disk on fire")
            .context("train")
            .unwrap_err();
        assert_eq!(in_words(&error), "train: a.csv: disk on fire");
    }

    #[test]
    fn the_status_is_that_of_the_cause_nearest_to_the_user() {
        let usage = anyhow::Error::new(Usage("no".into())).context("while starting");
        assert_eq!(exit_status(&usage), USAGE);
        let io = |path: &str| ModelError::Io {
            path: path.into(),
            source: io::ErrorKind::StorageFull.into(),
        };
        let read = anyhow::Error::new(io("in.pt")).context("while loading");
        assert_eq!(exit_status(&read), DATA);
        let written = anyhow::Error::new(TrainError::Model(io("out.pt")));
        assert_eq!(exit_status(&written), OTHER);
        assert_eq!(exit_status(&anyhow::anyhow!("whatever")), OTHER);
    }
}
