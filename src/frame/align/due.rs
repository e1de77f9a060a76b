//! When the next frame can be due, so that nobody has to look for it before.

use super::Aligner;

/// The least that must happen before [`Aligner::next_frame`] can give a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// So many further samples, at least one; or
    pub samples: usize,
    /// so much time without a newer one, in nanoseconds. `None` while time alone brings no frame:
    /// before the first sample, and in a gap.
    pub nanos: Option<i64>,
}

impl Aligner {
    /// To be asked once `next_frame` has returned false. A sample from a later period may close a
    /// frame that waits for more samples than have come; it is closed all the same once as many
    /// have, or the time has passed, as only the samples' own times say what belongs to it.
    pub fn due(&mut self) -> Due {
        Due {
            samples: self.awaited().max(1),
            nanos: self.nanos_to_close(),
        }
    }

    fn nanos_to_close(&self) -> Option<i64> {
        let grid = self.grid?;
        if self.slots.is_empty() && !self.held.reaches(self.base) {
            return None;
        }
        // From here on the instant after the next is the nearest one.
        let closes = grid.instant(self.base + 2).saturating_sub(self.period / 2);
        let now = self.newest.saturating_add(self.elapsed);
        Some(closes.saturating_sub(now).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::AlignConfig;
    use super::*;
    use crate::frame::{Frame, Sample, Timestamp};

    const SECOND: i64 = 1_000_000_000;

    fn push(aligner: &mut Aligner, sensor: usize, nanos: i64) {
        aligner.push(Sample {
            sensor,
            time: Timestamp(nanos),
            value: 1.0,
        });
    }

    fn frames(aligner: &mut Aligner, now: Option<i64>) -> usize {
        let mut frame = Frame::new(3);
        let mut frames = 0;
        while aligner.next_frame(now.map(Timestamp), &mut frame) {
            frames += 1;
        }
        frames
    }

    #[test]
    fn a_frame_comes_with_the_last_sample_that_was_due_and_not_before() {
        let mut aligner = Aligner::new(3, AlignConfig::new(SECOND));
        assert_eq!(
            aligner.due(),
            Due {
                samples: 3,
                nanos: None
            }
        );
        for period in 0..5 {
            for sensor in 0..3 {
                assert_eq!(aligner.due().samples, 3 - sensor);
                assert_eq!(frames(&mut aligner, None), 0);
                push(&mut aligner, sensor, period * SECOND);
            }
            assert_eq!(frames(&mut aligner, None), 1);
        }
        // A sensor that stays away is not waited for a second time.
        for sensor in 0..2 {
            push(&mut aligner, sensor, 5 * SECOND);
        }
        assert_eq!(aligner.due().samples, 1);
    }

    #[test]
    fn time_brings_the_frame_when_it_was_said_to_and_not_before() {
        let mut aligner = Aligner::new(3, AlignConfig::new(SECOND));
        push(&mut aligner, 0, 0);
        assert_eq!(frames(&mut aligner, Some(0)), 0);
        let mut now = 0;
        // The first frame, and those in which its value is held.
        for _ in 0..4 {
            let nanos = aligner.due().nanos.unwrap();
            assert!(nanos > 0);
            assert_eq!(frames(&mut aligner, Some(now + nanos - 1)), 0);
            now += nanos;
            assert_eq!(frames(&mut aligner, Some(now)), 1);
        }
        // Then it is a gap.
        assert_eq!(aligner.due().nanos, None);
        assert_eq!(frames(&mut aligner, Some(now + 100 * SECOND)), 0);
    }
}
