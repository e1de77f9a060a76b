//! What the inference thread lets others see of its frames: points for the page, buckets for the
//! history. It copies and hands over; nobody is waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keeper::KeepSender;
use super::task::Task;
use crate::frame::Frame;
use crate::history::Gatherer;
use crate::model::Manifest;
use crate::pipeline::{SampleScore, Stream};
use crate::web::{Feed, Point};

/// Points are at least so far apart. A little less than the usual period of a second, so that a
/// plant of that period has each frame shown.
const POINT_EVERY: Duration = Duration::from_millis(900);

pub struct Tap {
    feed: Feed,
    history: Option<Gatherer>,
    manifest: Option<Arc<Manifest>>,
    shown: Option<Instant>,
    /// Of the scores since the last point: the highest, and the newest bar.
    highest: Option<(f32, f32)>,
}

impl Tap {
    pub fn new(feed: Feed) -> Self {
        Tap {
            feed,
            history: None,
            manifest: None,
            shown: None,
            highest: None,
        }
    }

    /// Frames are of `task` from now on; `history`: whether they are kept.
    pub fn begin(&mut self, task: &Task, history: bool, keep: &KeepSender) {
        let manifest = task.stream().map(|stream| stream.pipeline().manifest());
        self.manifest = manifest.map(Arc::clone);
        self.highest = None;
        let names = manifest
            .filter(|_| history)
            .map(|manifest| manifest.sensor_names());
        let before = self
            .history
            .as_ref()
            .map(|gatherer| &gatherer.plan().sensors);
        if before != names.as_ref() {
            self.end(keep);
            self.history = names.map(Gatherer::new);
            if let Some(gatherer) = &self.history {
                keep.plan(gatherer.plan());
            }
        }
    }

    /// A frame was judged.
    pub fn frame(&mut self, frame: &Frame, score: Option<&SampleScore>, keep: &KeepSender) {
        // In multiples of the model's own threshold, so that the bar can be drawn beside it.
        let score = score.map(|score| ((score.relative * score.bar) as f32, score.bar as f32));
        if let Some(gatherer) = &mut self.history
            && let Some(bucket) = gatherer.take(frame, score)
        {
            keep.bucket(gatherer.plan(), bucket);
        }
        if let Some((score, bar)) = score {
            let highest = self
                .highest
                .map_or(score, |(highest, _)| highest.max(score));
            self.highest = Some((highest, bar));
        }
    }

    /// Whether there is a point to be shown.
    pub fn has_news(&self) -> bool {
        self.highest.is_some()
            && self.feed.is_wanted()
            && self
                .shown
                .is_none_or(|shown| shown.elapsed() >= POINT_EVERY)
    }

    /// Shows how the newest frame of `stream` is.
    pub fn show(&mut self, stream: &Stream) {
        let (Some((score, bar)), Some(manifest)) = (self.highest.take(), &self.manifest) else {
            return;
        };
        self.shown = Some(Instant::now());
        let frame = stream.frame();
        let sensors = frame.values.len();
        let (mut expected, mut strength) =
            (Vec::with_capacity(sensors), Vec::with_capacity(sensors));
        for (expected_value, part) in stream.pipeline().sensors_now() {
            expected.push(expected_value as f32);
            strength.push(part as f32);
        }
        self.feed.point(Point {
            manifest: Arc::clone(manifest),
            time: frame.time,
            score,
            bar,
            values: frame.values.iter().map(|value| *value as f32).collect(),
            expected,
            strength,
        });
    }

    /// Hands over what was gathered so far.
    pub fn end(&mut self, keep: &KeepSender) {
        if let Some(gatherer) = &mut self.history
            && let Some(bucket) = gatherer.finish()
        {
            keep.bucket(gatherer.plan(), bucket);
        }
    }
}
