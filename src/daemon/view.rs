//! How things stand in the inference thread, as plain data for whoever asks.

use super::feedback::muted;
use super::pace::PaceView;
use crate::control::{FloodStatus, MuteStatus, OpenAlarmStatus, SensorsStatus, SilentStatus};
use crate::frame::Freshness;
use crate::pipeline::{FrameCounts, Stream};

#[derive(Debug, Clone)]
pub struct View {
    /// Name and version
    pub model: String,
    pub heads: usize,
    pub engine: &'static str,
    pub counts: FrameCounts,
    /// Samples dropped because more came than could be judged.
    pub lost: u64,
    /// Relative to the threshold in force.
    pub last_score: Option<f64>,
    pub pace: PaceView,
    pub open: Vec<OpenAlarmStatus>,
    pub flood: FloodStatus,
    pub sensors: SensorsStatus,
    pub muted: Vec<MuteStatus>,
}

impl View {
    pub fn of(stream: &Stream, lost: u64, last_score: Option<f64>, pace: PaceView) -> Self {
        let pipeline = stream.pipeline();
        let names = &pipeline.manifest().sensors;
        let fresh = stream.frame().freshness.iter();
        let flood = pipeline.machine().flood();
        View {
            model: pipeline.model_name().to_owned(),
            heads: pipeline.manifest().heads.len(),
            engine: pipeline.engine_name(),
            counts: pipeline.counts(),
            lost,
            last_score,
            pace,
            open: open_alarms(stream),
            muted: muted(stream)
                .into_iter()
                .map(|(what, until)| MuteStatus { what, until })
                .collect(),
            flood: FloodStatus {
                level: flood.level(),
                gain: flood.gain(),
            },
            sensors: SensorsStatus {
                total: names.len(),
                fresh: fresh.filter(|one| **one != Freshness::Stale).count(),
                silent: stream
                    .silent()
                    .map(|silent| SilentStatus {
                        sensor: names[silent.sensor].name.clone(),
                        last_seen: silent.last_seen,
                    })
                    .collect(),
            },
        }
    }
}

fn open_alarms(stream: &Stream) -> Vec<OpenAlarmStatus> {
    let anomaly = stream
        .pipeline()
        .machine()
        .open()
        .map(|open| OpenAlarmStatus {
            id: open.id.clone(),
            kind: "anomaly".to_owned(),
            raised_at: open.raised_at,
            peak_score: open.peak_score,
        });
    let silent = stream
        .open_silence()
        .map(|(id, raised_at)| OpenAlarmStatus {
            id: id.to_owned(),
            kind: "silent".to_owned(),
            raised_at,
            peak_score: 0.0,
        });
    anomaly.into_iter().chain(silent).collect()
}
