//! What a person or the ladder of degrading tells a running stream.

use super::Stream;
use crate::alarm::{Confirmed, Mute, MuteTarget, UnknownAlarm, Verdict};
use crate::engine::Engine;
use crate::frame::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MuteError {
    #[error("alarm {id} does not stand, so there is nothing to mute; {}", standing(.open))]
    NotOpen { id: String, open: Vec<String> },
    #[error("the model has {count} sensors, none of number {sensor}")]
    NoSensor { sensor: usize, count: usize },
    #[error("the mute would end at {until}, which is not after {now}")]
    Over { until: Timestamp, now: Timestamp },
}

fn standing(open: &[String]) -> String {
    match open {
        [] => "no alarm does".to_owned(),
        open => format!("{} does", open.join(" and ")),
    }
}

impl Stream {
    /// Records what a person says of an alarm (of silent sensors too, which flood control does not
    /// charge). Saying it again changes nothing.
    ///
    /// # Errors
    /// No alarm of that id is among the latest.
    pub fn confirm(&mut self, id: &str, verdict: Verdict) -> Result<Confirmed, UnknownAlarm> {
        let silence = self.silent.as_mut();
        if let Some(confirmed) = silence.and_then(|watch| watch.confirm(id, verdict)) {
            return Ok(confirmed);
        }
        let confirmed = self.pipeline.machine.confirm(id, verdict);
        confirmed.map_err(|mut unknown| {
            let silent = self.silent.iter().flat_map(|watch| watch.recent_ids());
            unknown.recent.extend(silent.map(str::to_owned));
            unknown
        })
    }

    /// Mutes a sensor or a standing alarm up to `until`, a time of the samples' clock
    /// ([`Stream::time`] plus the span that was asked for).
    ///
    /// A muted sensor adds nothing to the charts, is not named and, when silent, raises no alarm.
    /// A muted alarm gives no further notices; its end is told.
    ///
    /// # Errors
    /// There is no such sensor, the alarm does not stand, or `until` has passed.
    pub fn mute(&mut self, target: MuteTarget, until: Timestamp) -> Result<(), MuteError> {
        if let Some(now) = self.time().filter(|now| until <= *now) {
            return Err(MuteError::Over { until, now });
        }
        match &target {
            MuteTarget::Sensor(sensor) => {
                let count = self.pipeline.manifest.sensors.len();
                if *sensor >= count {
                    let sensor = *sensor;
                    return Err(MuteError::NoSensor { sensor, count });
                }
            }
            MuteTarget::Alarm(id) => {
                let open = self.open_ids();
                if !open.contains(id) {
                    let id = id.clone();
                    return Err(MuteError::NotOpen { id, open });
                }
            }
        }
        self.pipeline.mutes.add(target, until);
        self.apply_mutes();
        Ok(())
    }

    /// Ends a mute early; false when there was none.
    pub fn unmute(&mut self, target: &MuteTarget) -> bool {
        let was = self.pipeline.mutes.remove(target);
        self.apply_mutes();
        was
    }

    /// What is muted now.
    pub fn mutes(&self) -> impl Iterator<Item = &Mute> {
        self.pipeline.mutes.iter()
    }

    /// Ids of the alarms that stand.
    pub fn open_ids(&self) -> Vec<String> {
        let anomaly = self.pipeline.machine.open().map(|open| open.id.clone());
        let silence = self.silent.as_ref().and_then(|watch| watch.open());
        let silence = silence.map(|open| open.id.clone());
        anomaly.into_iter().chain(silence).collect()
    }

    /// What is degraded, in words; alarms that are raised from now on say so.
    pub fn set_degraded(&mut self, degraded: Option<String>) {
        if let Some(watch) = &mut self.silent {
            watch.set_degraded(degraded.clone());
        }
        self.pipeline.set_degraded(degraded);
    }

    /// As [`super::super::Pipeline::set_every`].
    pub fn set_every(&mut self, n: u32) {
        self.pipeline.set_every(n);
    }

    /// As [`super::super::Pipeline::replace_engine`].
    pub fn replace_engine(&mut self, engine: Box<dyn Engine>) {
        self.pipeline.replace_engine(engine);
    }

    pub(in crate::pipeline) fn apply_mutes(&mut self) {
        self.pipeline.apply_mutes();
        let mutes = &self.pipeline.mutes;
        if let Some(watch) = &mut self.silent {
            let open = watch.open().map(|open| open.id.clone());
            watch.set_quiet_until(open.and_then(|id| mutes.alarm(&id)));
        }
    }
}
