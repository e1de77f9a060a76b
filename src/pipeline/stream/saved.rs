//! What of a stream survives a restart of the service, as plain data.
//!
//! Times in it are those of the samples. A clock that was set while the service was away can make
//! them lie ahead or long ago; what that does to each part stands where the part is taken back
//! (docs/architecture.md has the table).

use serde::{Deserialize, Serialize};

use super::Stream;
use crate::alarm::machine::MachineState;
use crate::alarm::mute::{MuteTarget, Mutes};
use crate::alarm::silent::SilenceState;
use crate::frame::{Timestamp, format_span};

/// Raised when a reader must understand more than before to use a state rightly.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    pub schema: u32,
    /// Name and version of the model that judged.
    pub model: String,
    /// Of its file: what was learnt of single sensors means something for this very model only.
    pub digest: String,
    /// The time of the newest frame.
    pub last_frame: Option<Timestamp>,
    /// Re-centred centres and spreads, `[heads·F]` each.
    pub learnt: Learnt,
    pub alarms: MachineState,
    pub silence: SilenceState,
    pub mutes: Vec<SavedMute>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    pub centre: Vec<f32>,
    pub spread: Vec<f32>,
}

/// A mute; sensors by name, as another model may have them elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedMute {
    Sensor { name: String, until: Timestamp },
    Alarm { id: String, until: Timestamp },
}

/// What was taken over, for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Resumed {
    /// Of another model only open alarms, flood control's level, mutes and verdicts were taken.
    pub same_model: bool,
    pub last_frame: Option<Timestamp>,
    /// By the clock; negative where the state is from the future.
    pub away_seconds: Option<f64>,
    /// Ids of the alarms that stand.
    pub open: Vec<String>,
}

/// One line.
impl std::fmt::Display for Resumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.away_seconds {
            Some(seconds) if seconds < 0.0 => write!(
                f,
                "went on from a state {} ahead of this clock, which was set back",
                format_span(-seconds)
            )?,
            Some(seconds) => write!(f, "went on after {}", format_span(seconds))?,
            None => write!(f, "went on from a state without frames")?,
        }
        if !self.same_model {
            write!(f, ", with another model")?;
        }
        match self.open.as_slice() {
            [] => Ok(()),
            open => write!(f, "; alarm {} stands", open.join(" and ")),
        }
    }
}

impl Stream {
    /// Everything that is worth keeping over a restart.
    pub fn save(&self) -> StreamState {
        let pipeline = &self.pipeline;
        let (centre, spread) = pipeline.scorer.residuals().learnt();
        let mutes = pipeline.mutes.iter().filter_map(|mute| {
            let until = mute.until;
            Some(match &mute.target {
                MuteTarget::Alarm(id) => SavedMute::Alarm {
                    id: id.clone(),
                    until,
                },
                MuteTarget::Sensor(sensor) => SavedMute::Sensor {
                    name: pipeline.manifest.sensors.get(*sensor)?.name.clone(),
                    until,
                },
            })
        });
        StreamState {
            schema: SCHEMA,
            model: pipeline.model_name.clone(),
            digest: pipeline.digest.clone(),
            last_frame: self.time(),
            learnt: Learnt {
                centre: centre.to_vec(),
                spread: spread.to_vec(),
            },
            alarms: pipeline.machine.save(),
            silence: (self.silent.as_ref()).map_or_else(SilenceState::default, |w| w.save()),
            mutes: mutes.collect(),
        }
    }

    /// Takes over the state of the run before, before the first sample. `now` is the time of day,
    /// for the report only: what follows goes by the samples' own times.
    pub fn resume(&mut self, state: StreamState, now: Timestamp) -> Resumed {
        let pipeline = &mut self.pipeline;
        let same_model = pipeline.digest == state.digest;
        let learnt = &state.learnt;
        if same_model {
            let residuals = pipeline.scorer.residuals_mut();
            // Refused where a file was tampered with: then what training found is in force.
            residuals.set_learnt(&learnt.centre, &learnt.spread);
        }
        pipeline.machine.resume(state.alarms, same_model);
        if let Some(watch) = &mut self.silent {
            watch.resume(state.silence);
        }
        let mut mutes = Mutes::default();
        mutes.set_now(state.last_frame);
        for mute in state.mutes {
            match mute {
                SavedMute::Alarm { id, until } => mutes.add(MuteTarget::Alarm(id), until),
                SavedMute::Sensor { name, until } => {
                    if let Some(sensor) = pipeline.sensor(&name) {
                        mutes.add(MuteTarget::Sensor(sensor), until);
                    }
                }
            }
        }
        pipeline.mutes = mutes;
        self.apply_mutes();
        Resumed {
            same_model,
            last_frame: state.last_frame,
            away_seconds: state.last_frame.map(|last| now.seconds_since(last)),
            open: self.open_ids(),
        }
    }

    /// The anomaly that stands was told as cleared after the state was saved.
    pub fn forget_open(&mut self) {
        self.pipeline.machine.forget_open();
    }

    /// Takes on an alarm of this model that was told and that the state does not know; false where
    /// another one stands.
    pub fn adopt(&mut self, id: &str, raised_at: Timestamp, score: f64, gain: f64) -> bool {
        self.pipeline.machine.adopt(id, raised_at, score, gain)
    }
}
