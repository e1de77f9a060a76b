//! A stream and its rows, for the tests of the daemon.

use crate::engine::Engine;
use crate::engine::native::NativeEngine;
use crate::frame::align::AlignConfig;
use crate::frame::{Sample, Timestamp};
use crate::ingest::Ingested;
use crate::model::golden::Golden;
use crate::model::manifest::example;
use crate::model::{GraphLstm, ModelFile, Network};
use crate::pipeline::{Pipeline, PipelineConfig, Stream};

use super::task::Task;

/// Of the example's two sensors; a fault lasts from row 60 on.
pub fn rows(count: usize) -> Vec<Ingested> {
    let row = |second: usize| {
        let fit401 = if second < 60 { 1.71 } else { 3.0 };
        [(0, fit401, false), (1, 1.0, true)].map(|(sensor, value, end_of_row)| Ingested {
            sample: Sample {
                sensor,
                time: Timestamp::from_seconds(1_795_600_000 + second as i64),
                value,
            },
            end_of_row,
        })
    };
    (0..count).flat_map(row).collect()
}

pub fn engine() -> NativeEngine {
    NativeEngine::new(&GraphLstm::init(2, 4, 10, 1, 1)).unwrap()
}

pub fn task() -> Task {
    task_on(Box::new(engine()))
}

pub fn task_on(engine: Box<dyn Engine>) -> Task {
    let network = GraphLstm::init(2, 4, 10, 1, 1);
    let model = ModelFile {
        path: "plant.pt".into(),
        network: Network::GraphLstm(network),
        manifest: example(),
        golden: Golden::default(),
        digest: "one".to_owned(),
    };
    let align = AlignConfig {
        period_nanos: 1_000_000_000,
        hold: 3,
        stale_after_nanos: 60_000_000_000,
    };
    let pipeline = Pipeline::new(&model, engine, &PipelineConfig::default());
    Task::Watch(Box::new(Stream::new(pipeline, align, true)))
}
