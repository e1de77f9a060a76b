//! How things stand in the inference thread, as plain data for whoever asks.

use super::feedback::muted;
use super::pace::PaceView;
use super::task::Task;
use crate::control::{FloodStatus, MuteStatus, OpenAlarmStatus, SensorsStatus, SilentStatus};
use crate::frame::Freshness;
use crate::learn::Progress;
use crate::pipeline::{FrameCounts, Stream};

#[derive(Debug, Clone)]
pub struct View {
    /// While there is no model.
    pub learning: Option<Progress>,
    /// Name and version
    pub model: Option<String>,
    pub heads: usize,
    pub engine: Option<&'static str>,
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
    pub fn of(task: &Task, lost: u64, last_score: Option<f64>, pace: PaceView) -> Self {
        match task.stream() {
            Some(stream) => View::of_stream(stream, lost, last_score, pace),
            None => View {
                learning: task.progress(),
                model: None,
                heads: 0,
                engine: None,
                counts: FrameCounts::default(),
                lost,
                last_score: None,
                pace,
                open: Vec::new(),
                flood: FloodStatus::default(),
                sensors: SensorsStatus::default(),
                muted: Vec::new(),
            },
        }
    }

    fn of_stream(stream: &Stream, lost: u64, last_score: Option<f64>, pace: PaceView) -> Self {
        let pipeline = stream.pipeline();
        let names = &pipeline.manifest().sensors;
        let fresh = stream.frame().freshness.iter();
        let flood = pipeline.machine().flood();
        View {
            learning: None,
            model: Some(pipeline.model_name().to_owned()),
            heads: pipeline.manifest().heads.len(),
            engine: Some(pipeline.engine_name()),
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
