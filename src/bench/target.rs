//! What is to be reached: the seed's targets of a Raspberry Pi 4, and this project's own. Imports
//! nothing.

use serde::{Deserialize, Serialize};

/// What runs the model while it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    Native,
    Torch,
}

impl EngineName {
    pub fn name(self) -> &'static str {
        match self {
            EngineName::Native => "native",
            EngineName::Torch => "torch",
        }
    }
}

/// Which side of a target is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Lower,
    Higher,
}

/// One metric with what it is to reach. The definitions are in docs/benchmarks.md.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    pub unit: &'static str,
    pub better: Better,
    pub seed: Option<f64>,
    /// Beyond the target but within this is a warning, not a failure.
    pub critical: Option<f64>,
    pub ours: Ours,
}

/// This project's own targets, which depend on what runs the model and where; a figure holds where
/// it was set for.
#[derive(Debug, Clone, Copy)]
pub struct Ours {
    native_x86: Option<f64>,
    native_arm: Option<f64>,
    torch: Option<f64>,
}

const NONE: Ours = Ours {
    native_x86: None,
    native_arm: None,
    torch: None,
};

/// The same for native on every processor.
const fn native(value: f64) -> Ours {
    Ours {
        native_x86: Some(value),
        native_arm: Some(value),
        torch: None,
    }
}

const fn native_x86(value: f64) -> Ours {
    Ours {
        native_x86: Some(value),
        ..NONE
    }
}

const fn and_torch(ours: Ours, value: f64) -> Ours {
    Ours {
        torch: Some(value),
        ..ours
    }
}

impl Target {
    pub fn ours(&self, engine: EngineName, architecture: &str) -> Option<f64> {
        match (engine, architecture) {
            (EngineName::Torch, _) => self.ours.torch,
            (EngineName::Native, "x86_64") => self.ours.native_x86,
            (EngineName::Native, "aarch64") => self.ours.native_arm,
            (EngineName::Native, _) => None,
        }
    }
}

const fn lower(id: &'static str, name: &'static str, unit: &'static str) -> Target {
    Target {
        id,
        name,
        unit,
        better: Better::Lower,
        seed: None,
        critical: None,
        ours: NONE,
    }
}

const fn higher(id: &'static str, name: &'static str, unit: &'static str) -> Target {
    Target {
        better: Better::Higher,
        ..lower(id, name, unit)
    }
}

const fn seed(target: Target, seed: f64, critical: f64) -> Target {
    Target {
        seed: Some(seed),
        critical: Some(critical),
        ..target
    }
}

const fn seed_only(target: Target, seed: f64) -> Target {
    Target {
        seed: Some(seed),
        ..target
    }
}

const fn ours(target: Target, ours: Ours) -> Target {
    Target { ours, ..target }
}

/// Every metric, in the order in which it is shown.
pub const TARGETS: &[Target] = &[
    ours(
        seed(lower("memory", "memory, steady", "MiB"), 100.0, 128.0),
        and_torch(native(16.0), 100.0),
    ),
    ours(lower("memory_peak", "memory, peak", "MiB"), native(24.0)),
    lower("memory_anon", "memory, anonymous", "MiB"),
    lower("memory_file", "memory, files", "MiB"),
    lower("cgroup_peak", "memory, cgroup peak", "MiB"),
    seed_only(lower("growth_1000", "growth, 1000 runs", "MiB"), 5.0),
    ours(lower("growth", "growth, engine loop", "KiB"), native(64.0)),
    seed_only(lower("slope", "growth, service", "KiB/h"), 0.0),
    ours(
        seed(lower("cpu", "CPU, mean", "%"), 25.0, 40.0),
        Ours {
            native_x86: Some(1.0),
            native_arm: Some(3.0),
            torch: None,
        },
    ),
    seed_only(lower("cpu_max", "CPU, busiest second", "%"), 40.0),
    lower("cpu_waking", "CPU, waking alone", "%"),
    lower("cpu_fetching", "CPU, waking + weights", "%"),
    lower("cpu_dense", "CPU a row, dense", "us"),
    seed(lower("latency_mean", "latency, mean", "ms"), 10.0, 50.0),
    lower("latency_p50", "latency, p50", "ms"),
    seed_only(lower("latency_p95", "latency, p95", "ms"), 20.0),
    ours(
        seed_only(lower("latency_p99", "latency, p99", "ms"), 50.0),
        native_x86(1.0),
    ),
    lower("latency_p999", "latency, p99.9", "ms"),
    lower("dense_p99", "latency, p99, dense", "ms"),
    lower("inside_p99", "inside inference, p99", "ms"),
    seed(
        higher("throughput", "throughput, service", "rows/s"),
        100.0,
        50.0,
    ),
    ours(
        higher("streamed", "windows streamed", "/s a core"),
        native_x86(50_000.0),
    ),
    ours(
        higher("replayed", "rows replayed", "rows/s"),
        native_x86(60_000.0),
    ),
    ours(
        seed(lower("start", "cold start", "ms"), 30_000.0, 60_000.0),
        native(100.0),
    ),
    ours(
        seed_only(lower("model_load", "model load", "ms"), 5_000.0),
        and_torch(native(20.0), 1_000.0),
    ),
    seed_only(lower("disk_hour", "disk writes an hour", "MB"), 10.0),
    ours(
        lower("disk_day", "disk writes a day", "MB"),
        and_torch(native(1.0), 1.0),
    ),
    ours(
        seed_only(lower("telemetry", "telemetry, p99", "ms"), 100.0),
        and_torch(native(20.0), 20.0),
    ),
    higher("cache", "projections reused", "%"),
    lower("wakeups", "wake-ups a frame", ""),
    lower("quiet_cpu", "CPU time at 1 row/s", "s/h"),
    lower("quiet_wakeups", "wake-ups at 1 row/s", "/h"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_that_were_set() {
        let of = |id, engine, architecture| {
            let target = TARGETS.iter().find(|target| target.id == id).unwrap();
            (
                target.seed,
                target.critical,
                target.ours(engine, architecture),
            )
        };
        let (native, torch) = (EngineName::Native, EngineName::Torch);
        let memory = (Some(100.0), Some(128.0), Some(16.0));
        assert_eq!(of("memory", native, "aarch64"), memory);
        assert_eq!(of("memory", torch, "x86_64").2, Some(100.0));
        assert_eq!(
            of("cpu", native, "x86_64"),
            (Some(25.0), Some(40.0), Some(1.0))
        );
        assert_eq!(of("cpu", native, "aarch64").2, Some(3.0));
        assert_eq!(of("cpu", native, "riscv64").2, None);
        assert_eq!(
            of("latency_p99", native, "x86_64"),
            (Some(50.0), None, Some(1.0))
        );
        assert_eq!(of("streamed", torch, "x86_64").2, None);
        let mut ids: Vec<&str> = TARGETS.iter().map(|target| target.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), TARGETS.len());
    }
}
