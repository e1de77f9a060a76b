//! A made-up result for the tests of this module.

use std::time::Duration;

use super::fit::Slope;
use super::metric::metrics;
use super::outcome::{
    Cap, Day, EngineOutcome, Facts, ModelFacts, Outcome, Phase, Reading, Replayed, SCHEMA, Streamed,
};
use super::target::EngineName;
use super::verdict::verdict;
use crate::control::Latencies;
use crate::frame::Timestamp;

pub fn outcome() -> Outcome {
    let engines = vec![engine(EngineName::Native)];
    Outcome {
        schema: SCHEMA,
        anomalyd: "0.1.0".to_owned(),
        started: Timestamp::from_seconds(1_000_000),
        seconds: 40.0,
        command: vec!["anomalyd".to_owned(), "bench".to_owned()],
        machine: Facts {
            architecture: "x86_64".to_owned(),
            board: Some("board".to_owned()),
            processor: Some("processor <1>".to_owned()),
            cores: 2,
            load_at_start: Some(0.1),
            ..Facts::default()
        },
        verdict: verdict(&engines, false, &[]),
        engines,
        broker: None,
        partial: false,
        missing: Vec::new(),
    }
}

pub fn engine(engine: EngineName) -> EngineOutcome {
    let mut measured = EngineOutcome {
        engine,
        model: ModelFacts {
            name: "demo 1".to_owned(),
            digest: "ab".to_owned(),
            bytes: 1000,
            sensors: 51,
            window: 10,
            hidden: Some(64),
        },
        cap: Cap {
            active: true,
            how: "scope of systemd".to_owned(),
            max_bytes: Some(100 << 20),
            high_bytes: Some(90 << 20),
        },
        start_seconds: vec![0.03, 0.01, 0.02],
        model_load_seconds: vec![0.004],
        phases: vec![phase()],
        streamed: Some(Streamed {
            windows: 1_000_000,
            seconds: 20.0,
            cpu_seconds: 12.5,
            rss_bytes_at_0: Some(9 << 20),
            rss_bytes_at_1000: Some(9 << 20),
            rss: vec![(0, 9 << 20), (1_000_000, 9 << 20)],
            rss_slope: Some(Slope {
                slope: 0.0,
                error: 0.0,
            }),
            projections_needed: Some(10_000_000),
            projections_computed: Some(1_000_000),
        }),
        replayed: Some(Replayed {
            rows: 1000,
            bytes: 300_000,
            rows_per_second: 70_000.0,
        }),
        day: Some(Day {
            rows: 8640,
            written_bytes: 400_000,
        }),
        metrics: Vec::new(),
    };
    measured.metrics = metrics(&measured, "x86_64", (None, "no broker"));
    measured
}

fn phase() -> Phase {
    let mut latencies = Latencies::default();
    for _ in 0..300 {
        latencies.age.note(Duration::from_micros(100));
        latencies.taken_to_score.note(Duration::from_micros(30));
    }
    let reading = |second: u32| Reading {
        at: f64::from(second),
        rss_bytes: Some(8 << 20),
        rss_anon_bytes: Some(2 << 20),
        rss_file_bytes: Some(6 << 20),
        cgroup_bytes: Some(9 << 20),
        cpu_percent: Some(f64::from(second)),
        temperature_celsius: Some(50.0 + f64::from(second)),
        cpu_mhz: Some(1500.0),
        throttle: None,
    };
    Phase {
        name: "sustained".to_owned(),
        rows_per_second: 100.0,
        seconds: 3.0,
        rows_sent: 300,
        frames_scored: 300,
        frames_unscored: 0,
        samples_lost: 0,
        load_lateness: latencies.age.clone(),
        latencies,
        readings: (1..=3).map(reading).collect(),
        cpu_seconds: 0.06,
        wakeups: Some(600),
        written_bytes: Some(0),
        saved_bytes: Some(4096),
        rss_peak_bytes: Some(9 << 20),
        cgroup_peak_bytes: Some(10 << 20),
        rss_slope: Some(Slope {
            slope: 0.0,
            error: 0.0,
        }),
        anon_slope: Some(Slope {
            slope: 0.0,
            error: 0.0,
        }),
        foreign_cores: Some(0.01),
        wake_up_seconds: Some(25e-6),
        fetch_seconds: Some(40e-6),
    }
}
