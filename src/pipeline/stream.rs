//! From samples to events: alignment in front of the pipeline, and the watch for silent sensors.
//!
//! The daemon feeds it live samples and its clock, `replay` and `evaluate` the rows of a file; the
//! same samples give the same alarms. So everything, silence too, is judged at the grid's instants
//! and not when a timer happens to ring: a gap in a recording is gone through as it was live.

mod ahead;
mod feedback;
mod saved;

use self::ahead::Ahead;
pub use self::feedback::MuteError;
pub use self::saved::{Learnt, Resumed, SCHEMA, SavedMute, StreamState};

use super::{Outcome, Pipeline};
use crate::alarm::silent::{SilentSensor, SilentWatch};
use crate::alarm::{AlarmEvent, AlarmKind};
use crate::frame::align::{AlignConfig, AlignCounters, Aligner, Due, Silent};
use crate::frame::{Frame, Sample, Timestamp};

/// Something a listener may want to know.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A frame went through the pipeline.
    Frame(&'a Frame, &'a Outcome),
    Alarm(&'a AlarmEvent),
}

/// Called with everything that happens, in order.
pub type Listener<'a> = dyn FnMut(Happening<'_>) + 'a;

pub struct Stream {
    aligner: Aligner,
    pipeline: Pipeline,
    silent: Option<SilentWatch>,
    silent_now: Vec<SilentSensor>,
    frame: Frame,
    ahead: Ahead,
    align: AlignConfig,
    /// Sensors that are held for another number of periods than the rest.
    holds: Vec<(usize, u32)>,
}

impl Stream {
    /// `watch_silence`: whether a sensor that stops reporting is an alarm of its own.
    pub fn new(pipeline: Pipeline, align: AlignConfig, watch_silence: bool) -> Self {
        let manifest = pipeline.manifest();
        let sensors = manifest.sensors.len();
        let silent = watch_silence.then(|| {
            let of_each = manifest.sensors.iter();
            SilentWatch::new(
                of_each
                    .map(|sensor| (sensor.name.clone(), sensor.unit.clone()))
                    .collect(),
                pipeline.model_name().to_owned(),
                pipeline.machine().clear_after_nanos(),
            )
        });
        Stream {
            aligner: Aligner::new(sensors, align),
            silent,
            silent_now: Vec::with_capacity(sensors),
            frame: Frame::new(sensors),
            ahead: Ahead::default(),
            align,
            pipeline,
            holds: Vec::new(),
        }
    }

    /// Takes one sample; `end_of_row` says that no further one of the same reading follows, so
    /// that a frame is not closed between two of them.
    pub fn push(&mut self, sample: Sample, end_of_row: bool, listener: &mut Listener<'_>) {
        self.pass_gap_before(sample.time, listener);
        self.aligner.push(sample);
        if end_of_row {
            self.run_frames(None, listener);
        }
    }

    /// Takes the values `[F]` of all sensors at one instant; NaN is missing.
    pub fn push_row(&mut self, time: Timestamp, values: &[f64], listener: &mut Listener<'_>) {
        self.pass_gap_before(time, listener);
        self.aligner.push_row(time, values);
        self.run_frames(None, listener);
    }

    /// Lets time pass: frames that wait for late samples close, silence is noticed.
    ///
    /// `ticks` comes from a clock that never goes back, of which only differences count. `wall` is
    /// the time of day, for an alarm that nothing at all has come since the start.
    pub fn tick(&mut self, ticks: Timestamp, wall: Timestamp, listener: &mut Listener<'_>) {
        self.run_frames(Some(ticks), listener);
        self.judge_waiting(listener);
        match self.aligner.settled_until() {
            Some(end) => self.look_for_silence(end, listener),
            None if self.aligner.silent().next().is_some() => self.step_silent(wall, listener),
            // Nobody can be said to report again yet.
            None => {}
        }
    }

    /// What must come before the next frame can.
    pub fn due(&mut self) -> Due {
        self.aligner.due()
    }

    /// A recording's break: what follows does not join on to what was before.
    pub fn restart(&mut self) {
        self.aligner.restart();
    }

    /// The end of a recording: the frames that were still waiting.
    pub fn finish(&mut self, listener: &mut Listener<'_>) {
        while self.aligner.finish(&mut self.frame) {
            self.run_frame(listener);
        }
        self.judge_waiting(listener);
    }

    /// Holds `sensor` for another number of periods than the rest: one that reports only when
    /// something changes.
    pub fn set_hold(&mut self, sensor: usize, periods: u32) {
        self.aligner.set_hold(sensor, periods);
        self.holds.push((sensor, periods));
    }

    /// Takes over what `earlier` has learnt and which alarms are open (a reload). Of another
    /// model only the open alarms and flood control's level mean anything.
    ///
    /// Gives the end of an open alarm that nobody would tell any more: that of silent sensors where
    /// these are not watched from now on.
    pub fn continue_from(&mut self, earlier: Stream) -> Option<AlarmEvent> {
        let same_model = self.pipeline.digest == earlier.pipeline.digest;
        let time = earlier.frame.time;
        if same_model && self.align == earlier.align {
            self.aligner = earlier.aligner;
            self.frame = earlier.frame;
            let changed = |sensor: &usize| !self.holds.iter().any(|(held, _)| held == sensor);
            let usual = earlier.holds.iter().map(|(sensor, _)| *sensor);
            for sensor in usual.filter(changed) {
                self.aligner.set_hold(sensor, self.align.hold);
            }
            for &(sensor, periods) in &self.holds {
                self.aligner.set_hold(sensor, periods);
            }
        }
        self.pipeline.continue_from(earlier.pipeline);
        match (&mut self.silent, earlier.silent) {
            (Some(mine), Some(theirs)) => {
                mine.continue_from(theirs);
                None
            }
            (None, Some(mut theirs)) => theirs.end(time),
            (_, None) => None,
        }
    }

    /// The time of the newest frame, or of the silence since that was looked at.
    pub fn time(&self) -> Option<Timestamp> {
        self.pipeline.mutes.now()
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The newest frame.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The sensors that have not reported for too long.
    pub fn silent(&self) -> impl Iterator<Item = Silent> + '_ {
        self.aligner.silent()
    }

    /// Id and time of the alarm for silent sensors, while it is on.
    pub fn open_silence(&self) -> Option<(&str, Timestamp)> {
        let open = self.silent.as_ref()?.open()?;
        Some((&open.id, open.raised_at))
    }

    pub fn align_counters(&self) -> &AlignCounters {
        self.aligner.counters()
    }

    fn run_frames(&mut self, ticks: Option<Timestamp>, listener: &mut Listener<'_>) {
        while self.aligner.next_frame(ticks, &mut self.frame) {
            self.run_frame(listener);
        }
    }

    fn run_frame(&mut self, listener: &mut Listener<'_>) {
        if self.ahead.is_on() && !self.waits_for_unheard() {
            return self.keep_frame(listener);
        }
        self.judge_waiting(listener);
        let frame = std::mem::replace(&mut self.frame, Frame::new(0));
        self.judge(&frame, listener);
        self.frame = frame;
        self.step_silent(self.frame.time, listener);
    }

    /// Runs a frame through the pipeline and tells what happens.
    fn judge(&mut self, frame: &Frame, listener: &mut Listener<'_>) {
        let outcome = self.pipeline.step(frame);
        listener(Happening::Frame(frame, &outcome));
        if let Outcome::Scored(_, Some(event)) = &outcome {
            debug_assert_eq!(event.kind, AlarmKind::Anomaly);
            listener(Happening::Alarm(event));
        }
    }

    /// Goes through the time before a sample that comes after a long gap, as a timer would have.
    fn pass_gap_before(&mut self, time: Timestamp, listener: &mut Listener<'_>) {
        if let Some(end) = self.aligner.gap_before(time) {
            self.aligner.pass_until(end);
            self.run_frames(None, listener);
            self.judge_waiting(listener);
            self.look_for_silence(end, listener);
        }
    }

    /// Looks at the instants before `end` at which no frame was made.
    fn look_for_silence(&mut self, end: Timestamp, listener: &mut Listener<'_>) {
        while let Some(watch) = &self.silent
            && let Some(instant) = self.aligner.look_for_silence(end, self.also_look_at(watch))
        {
            self.step_silent(instant, listener);
        }
    }

    fn step_silent(&mut self, time: Timestamp, listener: &mut Listener<'_>) {
        self.look_who_is_silent();
        self.judge_silence(time, listener);
    }

    /// Lists the sensors that are silent now, without regard to mutes.
    fn look_who_is_silent(&mut self) {
        let Some(watch) = &mut self.silent else {
            return;
        };
        let aligner = &self.aligner;
        let silent = |sensor| SilentSensor {
            sensor,
            last_value: aligner.last_value(sensor),
            muted: false,
        };
        let now = &mut self.silent_now;
        now.clear();
        now.extend(aligner.silent().map(|one| silent(one.sensor)));
        let unheard = watch.unheard(|sensor| aligner.last_value(sensor).is_some());
        let before = now.len();
        for &sensor in unheard {
            if !now[..before].iter().any(|one| one.sensor == sensor) {
                now.push(silent(sensor));
            }
        }
    }

    /// Tells what the silence of those listed at `time` means.
    fn judge_silence(&mut self, time: Timestamp, listener: &mut Listener<'_>) {
        self.pipeline.pass_time(time);
        let Some(watch) = &mut self.silent else {
            return;
        };
        let mutes = &self.pipeline.mutes;
        if !mutes.is_empty() {
            for one in &mut self.silent_now {
                one.muted = mutes.sensor(one.sensor).is_some();
            }
            let open = watch.open().map(|open| open.id.clone());
            watch.set_quiet_until(open.and_then(|id| mutes.alarm(&id)));
        }
        if let Some(event) = watch.step(time, &self.silent_now) {
            self.pipeline.forget_mute_of(&event);
            listener(Happening::Alarm(&event));
        }
    }

    /// Whether sensors of an alarm of the run before may not have been heard since: who is one of
    /// them depends on what the watch has judged, so no frame may wait.
    fn waits_for_unheard(&self) -> bool {
        self.silent
            .as_ref()
            .is_some_and(SilentWatch::waits_for_unheard)
    }

    /// When to look for silence although nobody may have become silent.
    fn also_look_at(&self, watch: &SilentWatch) -> Option<Timestamp> {
        let mutes = &self.pipeline.mutes;
        // Who fell silent while muted is news when that ends.
        [watch.wants_look_at(), mutes.next_end()]
            .into_iter()
            .flatten()
            .min()
    }
}
