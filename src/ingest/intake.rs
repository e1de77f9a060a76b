//! From readings to queued rows, the same for every source: counts, turns what is no number into
//! a missing value, ignores unknown names, and complains about each at a limited rate.
//!
//! Imports `frame` and its siblings `queue`, `status` and `value`.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use tokio::sync::watch;

use super::value::Reading;
use super::{SampleQueue, SensorIndex, SourceContext, SourceStatus, stopped};
use crate::frame::{Sample, Timestamp};

/// The least time between two log lines about one sensor, or about one source's unreadable lines.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);
/// Unknown names that are remembered, and so named in the log.
const UNKNOWN_NAMES: usize = 256;
/// How long, in all, rows are waited with for room after a stop; a source ends within a second.
pub(super) const PATIENCE_AT_STOP: Duration = Duration::from_millis(700);
/// Characters of a foreign text that are shown in the log.
const SHOWN_CHARACTERS: usize = 48;

/// Builds one row at a time and queues it. Allocates only for log lines and new unknown names.
pub struct Intake {
    sensors: Arc<SensorIndex>,
    queue: Arc<SampleQueue>,
    status: Arc<SourceStatus>,
    log_target: &'static str,
    row: Vec<Sample>,
    /// `[F]`
    complaints: Vec<Complaints>,
    /// Of the source as a whole.
    complaint: Complaints,
    unknown: HashSet<String>,
    /// After a stop: until when rows may wait.
    patient_until: Option<Instant>,
}

impl Intake {
    /// `log_target` is the source's kind: `in-mqtt`.
    pub fn new(ctx: &SourceContext, log_target: &'static str) -> Self {
        let sensors = ctx.sensors.len();
        Intake {
            sensors: Arc::clone(&ctx.sensors),
            queue: Arc::clone(&ctx.queue),
            status: Arc::clone(&ctx.status),
            log_target,
            row: Vec::with_capacity(sensors),
            complaints: vec![Complaints::default(); sensors],
            complaint: Complaints::default(),
            unknown: HashSet::new(),
            patient_until: None,
        }
    }

    pub fn sensors(&self) -> &SensorIndex {
        &self.sensors
    }

    pub fn status(&self) -> &SourceStatus {
        &self.status
    }

    /// Adds a reading to the row. `shown` is the text it was read from and `origin` the place it
    /// came from, for the log: `stdin:17`, `topic plant/lit101`.
    pub fn add(
        &mut self,
        sensor: usize,
        time: Timestamp,
        reading: Reading,
        shown: &str,
        origin: &dyn fmt::Display,
    ) {
        self.status.count_received();
        let value = match reading {
            Reading::Value(value) => value,
            Reading::Missing | Reading::Text => {
                self.status.count_missing();
                self.complain_of_value(sensor, reading, shown, origin);
                f64::NAN
            }
        };
        self.row.push(Sample {
            sensor,
            time,
            value,
        });
    }

    /// Ignores a reading of a sensor that the model does not have, naming it once.
    pub fn ignore(&mut self, name: &str, origin: &dyn fmt::Display) {
        self.status.count_unknown();
        if self.unknown.len() >= UNKNOWN_NAMES || self.unknown.contains(name) {
            return;
        }
        self.unknown.insert(name.to_owned());
        let (target, name) = (self.log_target, Shown(name));
        info!(target: target, "{origin}: {name} is not a sensor of the model, it is ignored");
        if self.unknown.len() == UNKNOWN_NAMES {
            warn!(
                target: target,
                "{origin}: more than {UNKNOWN_NAMES} names are not sensors of the model, further ones are not listed"
            );
        }
    }

    /// Counts something unreadable that belongs to no one sensor. `what` says where it stands.
    pub fn complain(&mut self, what: &dyn fmt::Display) {
        self.status.count_bad();
        if let Some(unsaid) = self.complaint.due(Instant::now()) {
            warn!(target: self.log_target, "{what}{}", Unsaid(unsaid));
        }
    }

    /// Forgets the row.
    pub fn clear(&mut self) {
        self.row.clear();
    }

    /// The row; the next one is empty.
    pub fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.row)
    }

    /// Samples in the row.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Queues the row; a full queue drops its oldest rows.
    pub fn push(&mut self) {
        self.queue.push_row(&self.row);
        self.row.clear();
    }

    /// Queues the row once there is room for it. After a stop it waits no longer than the inference
    /// thread may take to judge what is queued; then the queue makes room by its oldest rows.
    pub async fn push_patiently(&mut self, stop: &mut watch::Receiver<bool>) {
        if self.row.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            () = self.queue.push_row_waiting(&self.row) => {}
            () = stopped(stop) => {
                let until = *self
                    .patient_until
                    .get_or_insert_with(|| Instant::now() + PATIENCE_AT_STOP);
                push_until(&self.queue, &self.row, until).await;
            }
        }
        self.row.clear();
    }

    /// Queues the row if there is room for it now; else it stays in `row` for later, and the answer is
    /// false. For a [`Direct`](super::Direct) stream.
    pub fn try_push(&mut self, row: &mut Vec<Sample>) -> bool {
        if self.row.is_empty() || self.queue.try_push(&self.row) {
            self.row.clear();
            return true;
        }
        // What `row` was is the next row's memory.
        std::mem::swap(row, &mut self.row);
        self.row.clear();
        false
    }

    fn complain_of_value(
        &mut self,
        sensor: usize,
        reading: Reading,
        shown: &str,
        origin: &dyn fmt::Display,
    ) {
        if reading == Reading::Text {
            self.status.count_bad();
        }
        if sensor < self.sensors.len() && sensor >= self.complaints.len() {
            self.complaints.resize(sensor + 1, Complaints::default());
        }
        let due = match self.complaints.get_mut(sensor) {
            Some(complaints) => complaints.due(Instant::now()),
            None => None,
        };
        let Some(unsaid) = due else { return };
        let (target, name) = (self.log_target, self.sensors.name(sensor));
        let (shown, unsaid) = (Shown(shown), Unsaid(unsaid));
        if reading == Reading::Text {
            warn!(
                target: target,
                "{origin}: sensor {name}: {shown} is not a number, it is treated as missing{unsaid}"
            );
        } else {
            // Reported as missing by the source itself: not a mistake, and it may last for days.
            debug!(target: target, "{origin}: sensor {name}: missing ({shown}){unsaid}");
        }
    }
}

/// Queues `row` once there is room for it, or when it is `until`; then the oldest rows make room.
pub(super) async fn push_until(queue: &SampleQueue, row: &[Sample], until: Instant) {
    let pushed = queue.push_row_waiting(row);
    if tokio::time::timeout_at(until.into(), pushed).await.is_err() {
        queue.push_row(row);
    }
}

/// When something was last complained of, and how often it happened since.
#[derive(Debug, Clone, Copy, Default)]
struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// How many complaints were swallowed, where it is time for another one.
    fn due(&mut self, now: Instant) -> Option<u64> {
        let quiet = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < BETWEEN_COMPLAINTS);
        if quiet {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// How many complaints were swallowed.
struct Unsaid(u64);

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " ({more} more since last said)"),
        }
    }
}

/// A foreign text, quoted, without control characters and not too long for a log line.
pub(super) struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARACTERS) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::ingest::Popped;

    fn intake(sensors: &[&str]) -> (Intake, SourceContext) {
        let names: Vec<String> = sensors.iter().map(|&name| name.to_owned()).collect();
        let ctx = SourceContext {
            sensors: Arc::new(SensorIndex::new(&names)),
            queue: Arc::new(SampleQueue::new(100)),
            clock: Arc::new(SystemClock),
            status: Arc::new(SourceStatus::new("test")),
            stop: watch::channel(false).1,
        };
        (Intake::new(&ctx, "in-test"), ctx)
    }

    #[test]
    fn what_is_no_number_is_missing_for_its_sensor_alone() {
        let (mut intake, ctx) = intake(&["a", "b", "c"]);
        let time = Timestamp::from_seconds(7);
        intake.add(0, time, Reading::Value(1.5), "1.5", &"here");
        intake.add(1, time, Reading::Text, "offline", &"here");
        intake.add(2, time, Reading::Missing, "null", &"here");
        intake.push();

        let mut buf = ctx.queue.buffer();
        assert_eq!(
            ctx.queue.pop_wait(&mut buf, Duration::ZERO),
            Popped::Samples
        );
        assert_eq!(buf[0].sample.value, 1.5);
        assert!(buf[1].sample.value.is_nan() && buf[2].sample.value.is_nan());
        assert!(buf[2].end_of_row && !buf[1].end_of_row);
        assert!(buf.iter().all(|ingested| ingested.sample.time == time));
        let counters = ctx.status.counters();
        assert_eq!(
            (counters.received, counters.missing, counters.bad),
            (3, 2, 1)
        );
    }

    #[test]
    fn a_complaint_is_made_at_once_and_then_once_a_minute() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(complaints.due(start), Some(0));
        assert_eq!(complaints.due(after(1)), None);
        assert_eq!(complaints.due(after(59)), None);
        assert_eq!(complaints.due(after(60)), Some(2));
        assert_eq!(complaints.due(after(119)), None);
        assert_eq!(complaints.due(after(121)), Some(1));
    }

    #[test]
    fn unknown_names_are_counted_and_only_a_few_are_remembered() {
        let (mut intake, ctx) = intake(&["a"]);
        for round in 0..2 {
            for name in 0..1000 {
                intake.ignore(&format!("unknown{name}"), &format_args!("round {round}"));
            }
        }
        assert_eq!(ctx.status.counters().unknown, 2000);
        assert_eq!(intake.unknown.len(), UNKNOWN_NAMES);
    }

    #[test]
    fn foreign_text_is_shown_short_and_on_one_line() {
        assert_eq!(Shown("7,3O4").to_string(), "\"7,3O4\"");
        assert_eq!(Shown("a\nb").to_string(), r#""a\nb""#);
        let long = Shown(&"ä".repeat(1000)).to_string();
        assert_eq!(long.chars().count(), SHOWN_CHARACTERS + 3);
    }
}
