//! From samples to events: alignment in front of the pipeline, and the watch for silent sensors.
//!
//! The daemon feeds it live samples and the clock, `replay` and `evaluate` the rows of a file; the
//! same samples give the same alarms.

use super::{Outcome, Pipeline};
use crate::alarm::silent::{SilentSensor, SilentWatch};
use crate::alarm::{AlarmEvent, AlarmKind};
use crate::frame::align::{AlignConfig, AlignCounters, Aligner};
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
    align: AlignConfig,
}

impl Stream {
    /// `watch_silence`: whether a sensor that stops reporting is an alarm of its own.
    pub fn new(pipeline: Pipeline, align: AlignConfig, watch_silence: bool) -> Self {
        let manifest = pipeline.manifest();
        let sensors = manifest.sensors.len();
        let silent = watch_silence.then(|| {
            SilentWatch::new(
                manifest
                    .sensors
                    .iter()
                    .map(|sensor| sensor.name.clone())
                    .collect(),
                manifest
                    .sensors
                    .iter()
                    .map(|sensor| sensor.unit.clone())
                    .collect(),
                pipeline.model_name().to_owned(),
                super::CLEAR_AFTER_NANOS,
            )
        });
        Stream {
            aligner: Aligner::new(sensors, align),
            silent,
            silent_now: Vec::with_capacity(sensors),
            frame: Frame::new(sensors),
            align,
            pipeline,
        }
    }

    /// Takes one sample; `end_of_row` says that no further one of the same reading follows, so
    /// that a frame is not closed between two of them.
    pub fn push(&mut self, sample: Sample, end_of_row: bool, listener: &mut Listener<'_>) {
        self.aligner.push(sample);
        if end_of_row {
            self.run_frames(None, listener);
        }
    }

    /// Takes the values `[F]` of all sensors at one instant; NaN is missing.
    pub fn push_row(&mut self, time: Timestamp, values: &[f64], listener: &mut Listener<'_>) {
        self.aligner.push_row(time, values);
        self.run_frames(None, listener);
    }

    /// Lets time pass: frames that wait for late samples close, silence is noticed.
    pub fn tick(&mut self, now: Timestamp, listener: &mut Listener<'_>) {
        self.run_frames(Some(now), listener);
        self.check_silence(now, listener);
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
    }

    /// Holds `sensor` for another number of periods than the rest: one that reports only when
    /// something changes.
    pub fn set_hold(&mut self, sensor: usize, periods: u32) {
        self.aligner.set_hold(sensor, periods);
    }

    /// Takes over what `earlier` has learnt and which alarms are open (a reload). Of another
    /// model only the open alarm and flood control's level mean anything.
    pub fn continue_from(&mut self, earlier: Stream) {
        let same_model = self.pipeline.digest == earlier.pipeline.digest;
        if same_model && self.align == earlier.align {
            self.aligner = earlier.aligner;
            self.frame = earlier.frame;
        }
        if let (Some(mine), Some(theirs), true) = (&mut self.silent, earlier.silent, same_model) {
            *mine = theirs;
        }
        self.pipeline.continue_from(earlier.pipeline);
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub fn align_counters(&self) -> &AlignCounters {
        self.aligner.counters()
    }

    fn run_frames(&mut self, now: Option<Timestamp>, listener: &mut Listener<'_>) {
        while self.aligner.next_frame(now, &mut self.frame) {
            self.run_frame(listener);
        }
    }

    fn run_frame(&mut self, listener: &mut Listener<'_>) {
        let outcome = self.pipeline.step(&self.frame);
        listener(Happening::Frame(&self.frame, &outcome));
        if let Outcome::Scored(_, Some(event)) = &outcome {
            debug_assert_eq!(event.kind, AlarmKind::Anomaly);
            listener(Happening::Alarm(event));
        }
        self.check_silence(self.frame.time, listener);
    }

    fn check_silence(&mut self, time: Timestamp, listener: &mut Listener<'_>) {
        let Some(watch) = &mut self.silent else {
            return;
        };
        self.silent_now.clear();
        let silent = self.aligner.silent().map(|silent| SilentSensor {
            sensor: silent.sensor,
            last_value: self
                .frame
                .values
                .get(silent.sensor)
                .copied()
                .filter(|v| v.is_finite()),
        });
        self.silent_now.extend(silent);
        if let Some(event) = watch.step(time, &self.silent_now) {
            listener(Happening::Alarm(&event));
        }
    }
}
