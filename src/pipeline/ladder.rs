//! What the ladder of degrading does to a pipeline, and what muting does to it: fewer frames
//! scored, another engine, sensors left out. Nothing that was learnt is lost by any of it.

use super::Pipeline;
use crate::alarm::mute::{MuteTarget, Mutes};
use crate::alarm::{AlarmEvent, Transition};
use crate::engine::Engine;
use crate::frame::Timestamp;

/// The last T − 1 standardised frames: with them another engine need not wait for a full window.
#[derive(Debug)]
pub(super) struct Window {
    sensors: usize,
    /// `[T−1,F]` as a ring
    frames: Vec<f32>,
    /// Frames in it, and where the next goes.
    filled: usize,
    next: usize,
}

impl Window {
    /// `window` is T.
    pub fn new(window: usize, sensors: usize) -> Self {
        Window {
            sensors,
            frames: vec![0.0; window.saturating_sub(1) * sensors],
            filled: 0,
            next: 0,
        }
    }

    pub fn clear(&mut self) {
        self.filled = 0;
        self.next = 0;
    }

    pub fn push(&mut self, x: &[f32]) {
        let room = self.frames.len() / self.sensors.max(1);
        if room == 0 {
            return;
        }
        let place = self.next * self.sensors;
        self.frames[place..place + self.sensors].copy_from_slice(x);
        self.next = (self.next + 1) % room;
        self.filled = (self.filled + 1).min(room);
    }

    /// Oldest first.
    fn iter(&self) -> impl Iterator<Item = &[f32]> {
        let room = self.frames.len() / self.sensors.max(1);
        let first = self.next + room - self.filled;
        (first..first + self.filled).map(move |place| {
            let start = place % room * self.sensors;
            &self.frames[start..start + self.sensors]
        })
    }
}

impl Pipeline {
    /// Scores every `n`-th frame only (0 is taken for 1). The frames between go into the engine's
    /// window, which stays on the model's period; decoding and scoring are left out. Averages and
    /// re-centring count scored frames, so they become slower in time.
    pub fn set_every(&mut self, n: u32) {
        self.every = n.max(1);
    }

    /// Every how many frames one is scored.
    pub fn every(&self) -> u32 {
        self.every
    }

    /// What is degraded, in words; alarms that are raised from now on say so.
    pub fn set_degraded(&mut self, degraded: Option<String>) {
        self.machine.set_degraded(degraded);
    }

    /// Goes on with another engine of the same model; it gets the window so far, so that the next
    /// frame is scored.
    pub fn replace_engine(&mut self, engine: Box<dyn Engine>) {
        self.engine = engine;
        self.engine.reset();
        for frame in self.window.iter() {
            self.engine.skip(frame);
        }
    }

    /// Lets mutes end that end by `time`.
    pub(super) fn pass_time(&mut self, time: Timestamp) {
        if self.mutes.advance(time) {
            self.apply_mutes();
        }
    }

    /// Tells the scorer and the alarm who is muted.
    pub(super) fn apply_mutes(&mut self) {
        for sensor in 0..self.manifest.sensors.len() {
            let muted = self.mutes.sensor(sensor).is_some();
            self.scorer.set_muted(sensor, muted);
        }
        let open = self.machine.open();
        let quiet = open.is_some_and(|open| self.mutes.alarm(&open.id).is_some());
        self.machine.set_quiet(quiet);
    }

    /// Takes over the mutes of another pipeline, whose sensors are called `name_of`.
    pub(super) fn take_mutes<'a>(
        &mut self,
        mutes: &Mutes,
        name_of: impl Fn(usize) -> Option<&'a str>,
    ) {
        let mut taken = Mutes::default();
        taken.set_now(mutes.now());
        for mute in mutes.iter() {
            let target = match &mute.target {
                MuteTarget::Alarm(_) => Some(mute.target.clone()),
                MuteTarget::Sensor(sensor) => name_of(*sensor)
                    .and_then(|name| self.sensor(name))
                    .map(MuteTarget::Sensor),
            };
            if let Some(target) = target {
                taken.add(target, mute.until);
            }
        }
        self.mutes = taken;
        self.apply_mutes();
    }

    /// Index of the sensor of that name.
    pub fn sensor(&self, name: &str) -> Option<usize> {
        let mut sensors = self.manifest.sensors.iter();
        sensors.position(|sensor| sensor.name == name)
    }

    /// An alarm that is over needs no mute.
    pub(super) fn forget_mute_of(&mut self, event: &AlarmEvent) {
        if event.transition == Transition::Cleared
            && self.mutes.remove(&MuteTarget::Alarm(event.id.clone()))
        {
            self.apply_mutes();
        }
    }
}
