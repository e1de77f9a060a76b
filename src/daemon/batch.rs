//! What was taken from the queue, judged in slices: whoever asks waits for a slice, not for a backlog,
//! and the watchdog sees that inference moves. Imports its siblings of the daemon.

use std::time::{Duration, Instant};

use super::reporter::Reporter;
use super::task::Task;
use crate::ingest::{Ingested, SampleQueue};
use crate::systemd::Progress;

/// How long rows are judged before others get their turn; a row is never divided.
pub const SLICE: Duration = Duration::from_millis(100);

/// Rows in the order in which they came.
pub struct Batch {
    pub samples: Vec<Ingested>,
    /// So many are judged.
    judged: usize,
}

impl Batch {
    /// As large as all that `queue` can hold.
    pub fn of(queue: &SampleQueue) -> Self {
        Batch::from(queue.buffer())
    }

    /// Where all is judged, `samples` may be filled anew, and is to be judged from its beginning.
    pub fn is_judged(&self) -> bool {
        self.judged >= self.samples.len()
    }

    /// Judges all that is left.
    pub fn judge(&mut self, task: &mut Task, reporter: &mut Reporter, progress: &Progress) {
        while !self.judge_slice(SLICE, task, reporter) {
            progress.advance();
        }
    }

    /// Judges whole rows for as long as `slice`, but at least one. True when none is left; the buffer is
    /// empty then.
    pub fn judge_slice(
        &mut self,
        slice: Duration,
        task: &mut Task,
        reporter: &mut Reporter,
    ) -> bool {
        let begin = Instant::now();
        for &Ingested { sample, end_of_row } in &self.samples[self.judged..] {
            self.judged += 1;
            reporter.sample_came(end_of_row);
            task.push(sample, end_of_row, &mut |happening| {
                reporter.take(&happening);
            });
            // At once and not after the rest of a long queue: what was told must outlive a kill.
            if reporter.is_changed() {
                reporter.show(task);
                reporter.keep(task, false);
            }
            if end_of_row && begin.elapsed() >= slice {
                break;
            }
        }
        let done = self.is_judged();
        if done {
            self.samples.clear();
            self.judged = 0;
        }
        done
    }
}

impl From<Vec<Ingested>> for Batch {
    fn from(samples: Vec<Ingested>) -> Self {
        Batch { samples, judged: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keeper::KeepSender;
    use super::super::made_up;
    use super::super::tap::Tap;
    use super::*;
    use crate::frame::Timestamp;
    use crate::output::AlarmSender;
    use crate::web::Feed;

    #[test]
    fn an_alarm_is_kept_before_the_rest_of_the_queue_is_judged() {
        let (keep, mut kept) = KeepSender::observed();
        let tap = Tap::new(Feed::default());
        let mut reporter = Reporter::new(AlarmSender::default(), keep, tap);
        let mut batch = Batch::from(made_up::rows(200));
        batch.judge(&mut made_up::task(), &mut reporter, &Progress::default());
        let saved = kept.find_map(|saved| saved.alarms.open.is_some().then_some(saved.last_frame));
        let time = saved.flatten().unwrap();
        let after = time.seconds_since(Timestamp::from_seconds(1_795_600_060));
        assert!(
            (0.0..20.0).contains(&after),
            "saved {after} s after the fault began"
        );
    }

    #[test]
    fn a_slice_is_at_least_a_row_and_ends_with_one() {
        let tap = Tap::new(Feed::default());
        let mut reporter = Reporter::new(AlarmSender::default(), KeepSender::observed().0, tap);
        let mut task = made_up::task();
        let mut batch = Batch::from(made_up::rows(3));
        for judged in [2, 4] {
            assert!(!batch.judge_slice(Duration::ZERO, &mut task, &mut reporter));
            assert_eq!((batch.judged, batch.is_judged()), (judged, false));
        }
        assert!(batch.judge_slice(Duration::ZERO, &mut task, &mut reporter));
        assert!(batch.is_judged() && batch.samples.is_empty());
    }
}
