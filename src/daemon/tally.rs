//! Counters put into words: what was not as it should be, told once an hour and at the end.

use std::time::{Duration, Instant};

use crate::alarm::{AlarmEvent, Transition};
use crate::frame::align::AlignCounters;
use crate::frame::format_span;
use crate::ingest::SourceCounters;
use crate::pipeline::FrameCounts;

/// How often counters are told, unless they stand still.
pub const EVERY: Duration = Duration::from_secs(3_600);

/// Of the stream of frames.
pub struct FrameTally {
    started: Instant,
    since: Instant,
    align: AlignCounters,
    frames: FrameCounts,
    dropped: u64,
    raised: u64,
}

impl FrameTally {
    pub fn new(now: Instant) -> Self {
        FrameTally {
            started: now,
            since: now,
            align: AlignCounters::default(),
            frames: FrameCounts::default(),
            dropped: 0,
            raised: 0,
        }
    }

    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= EVERY
    }

    /// Nothing is to be told for now.
    pub fn put_off(&mut self, now: Instant) {
        self.since = now;
    }

    pub fn count_alarm(&mut self, event: &AlarmEvent) {
        self.raised += u64::from(event.transition == Transition::Raised);
    }

    /// What went wrong since the last line; nothing where nothing did.
    pub fn line(
        &mut self,
        now: Instant,
        align: &AlignCounters,
        frames: FrameCounts,
        dropped: u64,
    ) -> Option<String> {
        let span = now.saturating_duration_since(self.since);
        self.since = now;
        let before = &self.align;
        let parts = [
            part(
                dropped - self.dropped,
                "sample lost because more came than could be judged",
                "samples lost because more came than could be judged",
            ),
            part(
                frames.unscored - self.frames.unscored,
                "frame unscored",
                "frames unscored",
            ),
            part(
                align.late_dropped - before.late_dropped,
                "sample too late for its frame",
                "samples too late for their frames",
            ),
            part(
                align.ahead_dropped - before.ahead_dropped,
                "sample dated more than a year ahead",
                "samples dated more than a year ahead",
            ),
            part(
                align.gaps - before.gaps,
                "gap in all sensors",
                "gaps in all sensors",
            ),
            part(
                align.clock_steps - before.clock_steps,
                "step of the samples' clock",
                "steps of the samples' clock",
            ),
        ];
        self.rebase(align, frames, dropped);
        joined(&parts).map(|parts| format!("in the last {}: {parts}", span_text(span)))
    }

    /// Further counts start from these.
    pub fn rebase(&mut self, align: &AlignCounters, frames: FrameCounts, dropped: u64) {
        self.align = AlignCounters {
            missing: Vec::new(),
            ..*align
        };
        self.frames = frames;
        self.dropped = dropped;
    }

    /// All that was done since the start.
    pub fn summary(&self, now: Instant, frames: FrameCounts) -> String {
        let span = span_text(now.saturating_duration_since(self.started));
        let scored = frames.scored;
        let alarms = match self.raised {
            1 => "1 alarm".to_owned(),
            count => format!("{count} alarms"),
        };
        format!("{scored} frames scored in {span}, {alarms} raised")
    }
}

/// Of one source.
pub struct SourceTally {
    since: Instant,
    counters: SourceCounters,
}

impl SourceTally {
    pub fn new(now: Instant) -> Self {
        SourceTally {
            since: now,
            counters: SourceCounters::default(),
        }
    }

    /// What went wrong since the last line; nothing where nothing did.
    pub fn line(&mut self, name: &str, now: Instant, counters: SourceCounters) -> Option<String> {
        let span = span_text(now.saturating_duration_since(self.since));
        let before = std::mem::replace(&mut self.counters, counters);
        self.since = now;
        let parts = [
            part(
                counters.bad - before.bad,
                "unreadable line or value",
                "unreadable lines or values",
            ),
            part(
                counters.missing - before.missing,
                "reading without a number",
                "readings without a number",
            ),
            part(
                counters.unknown - before.unknown,
                "reading of no sensor of the model",
                "readings of no sensor of the model",
            ),
        ];
        let readings = counters.received - before.received;
        joined(&parts)
            .map(|parts| format!("{name}: in the last {span}, beside {readings} readings: {parts}"))
    }
}

fn part(count: u64, one: &str, more: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    }
}

fn joined(parts: &[Option<String>]) -> Option<String> {
    let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn span_text(span: Duration) -> String {
    format_span(span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_tells_what_is_new_and_is_quiet_otherwise() {
        let start = Instant::now();
        let hour = |hours: u32| start + EVERY * hours;
        let mut tally = SourceTally::new(start);
        let mut counters = SourceCounters {
            received: 1_000,
            ..SourceCounters::default()
        };
        assert_eq!(tally.line("stdin", hour(1), counters), None);
        counters.received += 500;
        counters.missing += 12;
        counters.bad += 1;
        assert_eq!(
            tally.line("stdin", hour(2), counters).unwrap(),
            "stdin: in the last 1 h 00 min, beside 500 readings: 1 unreadable line or value, 12 readings without a number"
        );
        assert_eq!(tally.line("stdin", hour(3), counters), None);
    }

    #[test]
    fn frames_tell_what_was_lost_since_the_last_time() {
        let start = Instant::now();
        let mut tally = FrameTally::new(start);
        assert!(!tally.is_due(start));
        assert!(tally.is_due(start + EVERY));
        let mut align = AlignCounters::default();
        let mut frames = FrameCounts {
            frames: 100,
            scored: 91,
            ..FrameCounts::default()
        };
        assert_eq!(tally.line(start + EVERY, &align, frames, 0), None);
        align.late_dropped = 3;
        frames.unscored = 1;
        let line = tally.line(start + EVERY * 2, &align, frames, 7).unwrap();
        assert_eq!(
            line,
            "in the last 1 h 00 min: 7 samples lost because more came than could be judged, 1 frame unscored, 3 samples too late for their frames"
        );
        assert_eq!(tally.line(start + EVERY * 3, &align, frames, 7), None);
        assert_eq!(
            tally.summary(start + EVERY * 3, frames),
            "91 frames scored in 3 h 00 min, 0 alarms raised"
        );
        // A reload to another model: its aligner counts from zero.
        tally.rebase(&AlignCounters::default(), frames, 0);
        let line = tally.line(start + EVERY * 4, &AlignCounters::default(), frames, 0);
        assert_eq!(line, None);
    }
}
