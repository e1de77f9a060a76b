//! From what was measured to figures with a grade each. Imports its siblings' plain types.

use super::fit::Slope;
use super::outcome::{EngineOutcome, Grade, Metric, Phase, Reading};
use super::target::{Better, EngineName, TARGETS, Target};

const MIB: f64 = (1 << 20) as f64;
const KIB: f64 = 1024.0;
/// Growth below this is the allocator's, not a leak.
const NOISE_BYTES: f64 = 64.0 * KIB;
/// Pages of files come sixteen at a time when code is run that was not before (`fault_around_bytes`), and go as
/// the kernel likes. So much of them is no leak; more would be one of mappings.
const FILES_NOISE_BYTES: f64 = MIB;
/// Of the state, by the clock.
const SAVES_A_DAY: u64 = 24;
/// What a service's memory does in its first seconds is no growth by the hour.
const LEAST_FOR_SLOPE_SECONDS: f64 = 60.0;

/// A figure, or why there is none; with something to add.
#[derive(Debug, Default)]
struct Figure {
    value: Option<f64>,
    note: Option<String>,
    /// What is graded instead of the value, where the value has an error of its own.
    graded: Option<f64>,
}

fn figure(value: Option<f64>) -> Figure {
    Figure {
        value,
        ..Figure::default()
    }
}

fn noted(value: Option<f64>, note: impl Into<String>) -> Figure {
    Figure {
        value,
        note: Some(note.into()),
        ..Figure::default()
    }
}

/// All metrics of `measured`, in the order of the targets. `telemetry`: milliseconds from an alarm to a
/// reader at the broker, and what there is to say about it.
pub fn metrics(
    measured: &EngineOutcome,
    architecture: &str,
    telemetry: (Option<f64>, &str),
) -> Vec<Metric> {
    let of = |target: &Target| {
        let figure = of_target(target.id, measured, telemetry);
        graded(target, figure, measured.engine, architecture)
    };
    TARGETS.iter().map(of).collect()
}

fn graded(target: &Target, figure: Figure, engine: EngineName, architecture: &str) -> Metric {
    let value = figure.value.filter(|value| value.is_finite());
    let held = figure.graded.or(value);
    let ours = target.ours(engine, architecture);
    Metric {
        id: target.id.to_owned(),
        name: target.name.to_owned(),
        unit: target.unit.to_owned(),
        better: target.better,
        value,
        note: figure.note,
        seed: target.seed,
        critical: target.critical,
        ours,
        against_seed: grade(held, target.better, target.seed, target.critical),
        against_ours: grade(held, target.better, ours, None),
    }
}

fn grade(value: Option<f64>, better: Better, target: Option<f64>, critical: Option<f64>) -> Grade {
    let (Some(value), Some(target)) = (value, target) else {
        return Grade::None;
    };
    let reaches = |limit: f64| match better {
        Better::Lower => value <= limit,
        Better::Higher => value >= limit,
    };
    if reaches(target) {
        Grade::Pass
    } else if critical.is_some_and(reaches) {
        Grade::Warn
    } else {
        Grade::Fail
    }
}

fn of_target(id: &str, measured: &EngineOutcome, telemetry: (Option<f64>, &str)) -> Figure {
    let sustained = measured.phase("sustained");
    let of_sustained = |of: fn(&Phase) -> Figure| sustained.map_or(Figure::default(), of);
    let streamed = measured.streamed.as_ref();
    match id {
        "memory" => of_sustained(|phase| {
            let most = most(&phase.readings, |r| r.rss_bytes.map(|b| b as f64 / MIB));
            let note = most.map(|most| format!("at most {most:.1}"));
            Figure {
                value: mean(&phase.readings, |r| r.rss_bytes.map(|b| b as f64 / MIB)),
                note,
                graded: None,
            }
        }),
        "memory_peak" => of_sustained(|phase| figure(phase.rss_peak_bytes.map(mib))),
        "memory_anon" => of_sustained(|phase| {
            figure(mean(&phase.readings, |r| {
                r.rss_anon_bytes.map(|b| b as f64 / MIB)
            }))
        }),
        "memory_file" => of_sustained(|phase| {
            figure(mean(&phase.readings, |r| {
                r.rss_file_bytes.map(|b| b as f64 / MIB)
            }))
        }),
        "cgroup_peak" => noted(
            sustained.and_then(|phase| phase.cgroup_peak_bytes).map(mib),
            measured.cap.how.clone(),
        ),
        "growth_1000" => {
            let both = streamed.and_then(|s| s.rss_bytes_at_1000.zip(s.rss_bytes_at_0));
            figure(both.map(|(after, before)| (after as f64 - before as f64) / MIB))
        }
        "growth" => streamed.map_or(Figure::default(), |streamed| {
            let growth = streamed
                .rss_slope
                .map(|slope| slope.times(streamed.windows as f64 / 1e6 / KIB));
            Figure {
                value: growth.map(|growth| growth.slope),
                note: growth.map(|growth| {
                    let windows = streamed.windows;
                    format!("standard error {:.1}, over {windows} windows", growth.error)
                }),
                graded: None,
            }
        }),
        "slope" => of_sustained(slope),
        "cpu" => of_sustained(|phase| figure(Some(100.0 * phase.cpu_seconds / phase.seconds))),
        "cpu_max" => of_sustained(|phase| figure(most(&phase.readings, |r| r.cpu_percent))),
        "cpu_waking" => of_sustained(|phase| waking(phase, phase.wake_up_seconds, "does nothing")),
        "cpu_fetching" => {
            of_sustained(|phase| waking(phase, phase.fetch_seconds, "reads as much as the weights"))
        }
        "cpu_dense" => measured.phase("dense").map_or(Figure::default(), |phase| {
            let frames = phase.frames_scored.max(1) as f64;
            noted(
                Some(phase.cpu_seconds / frames * 1e6),
                format!("at {:.0} rows/s", phase.rows_per_second),
            )
        }),
        "latency_mean" => of_sustained(|phase| {
            let age = &phase.latencies.age;
            noted(
                age.mean().map(|mean| mean.as_secs_f64() * 1e3),
                format!("{} frames", age.count()),
            )
        }),
        "latency_p50" => of_sustained(|phase| age(phase, 0.5)),
        "latency_p95" => of_sustained(|phase| age(phase, 0.95)),
        "latency_p99" => of_sustained(|phase| age(phase, 0.99)),
        "latency_p999" => of_sustained(|phase| age(phase, 0.999)),
        "dense_p99" => measured
            .phase("dense")
            .map_or(Figure::default(), |phase| Figure {
                note: Some(format!("{} frames", phase.latencies.age.count())),
                ..age(phase, 0.99)
            }),
        "inside_p99" => of_sustained(|phase| {
            let p99 = phase.latencies.taken_to_score.quantile(0.99);
            figure(p99.map(|p99| p99.as_secs_f64() * 1e3))
        }),
        "throughput" => {
            let phase = measured.phase("dense").or(sustained);
            phase.map_or(Figure::default(), |phase| {
                let note = format!(
                    "offered {:.0}; {} of {} frames scored",
                    phase.rows_per_second, phase.frames_scored, phase.rows_sent
                );
                noted(Some(phase.frames_scored as f64 / phase.seconds), note)
            })
        }
        "streamed" => streamed.map_or(Figure::default(), |streamed| {
            let wall = streamed.windows as f64 / streamed.seconds;
            noted(
                Some(streamed.windows as f64 / streamed.cpu_seconds),
                format!("{wall:.0} a second of wall time"),
            )
        }),
        "replayed" => measured
            .replayed
            .as_ref()
            .map_or(Figure::default(), |replayed| {
                noted(
                    Some(replayed.rows_per_second),
                    format!("{} rows of CSV, parsing included", replayed.rows),
                )
            }),
        "start" => spans(&measured.start_seconds),
        "model_load" => spans(&measured.model_load_seconds),
        "disk_hour" => of_sustained(|phase| {
            let written = phase.written_bytes.map(|bytes| bytes as f64);
            figure(written.map(|bytes| bytes / 1e6 * 3600.0 / phase.seconds))
        }),
        "disk_day" => measured.day.as_ref().map_or(Figure::default(), |day| {
            let saved = sustained.and_then(|phase| phase.saved_bytes).unwrap_or(0);
            noted(
                Some((day.written_bytes + SAVES_A_DAY * saved) as f64 / 1e6),
                format!("{SAVES_A_DAY} saves of {saved} bytes included"),
            )
        }),
        "telemetry" => noted(telemetry.0, telemetry.1),
        "cache" => {
            let both = streamed.and_then(|s| s.projections_needed.zip(s.projections_computed));
            let share = both
                .map(|(needed, computed)| 100.0 * (1.0 - computed as f64 / needed.max(1) as f64));
            let window = measured.model.window;
            noted(
                share,
                format!("by design; (T-1)/T is the ceiling, T = {window}"),
            )
        }
        "wakeups" => of_sustained(|phase| {
            let frames = phase.frames_scored.max(1) as f64;
            figure(phase.wakeups.map(|count| count as f64 / frames))
        }),
        "quiet_cpu" | "quiet_wakeups" => {
            measured.phase("quiet").map_or(Figure::default(), |phase| {
                let an_hour = 3600.0 / phase.seconds;
                figure(match id {
                    "quiet_cpu" => Some(phase.cpu_seconds * an_hour),
                    _ => phase.wakeups.map(|count| count as f64 * an_hour),
                })
            })
        }
        _ => Figure::default(),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn age(phase: &Phase, share: f64) -> Figure {
    let age = phase.latencies.age.quantile(share);
    figure(age.map(|age| age.as_secs_f64() * 1e3))
}

/// Wake-ups as many as the service's, of a thread that takes `seconds` for each.
fn waking(phase: &Phase, seconds: Option<f64>, does: &str) -> Figure {
    let Some((seconds, wakeups)) = seconds.zip(phase.wakeups) else {
        return Figure::default();
    };
    noted(
        Some(100.0 * seconds * wakeups as f64 / phase.seconds),
        format!("{:.0} us a wake-up of a thread that {does}", seconds * 1e6),
    )
}

/// A slope of which nothing is left beyond twice its error, or that is below what the allocator
/// does, counts as none.
fn slope(phase: &Phase) -> Figure {
    let Some(slope) = phase.rss_slope else {
        return noted(None, "takes three readings");
    };
    let an_hour = slope.times(3600.0 / KIB);
    let grown = slope.slope * phase.seconds;
    if phase.seconds < LEAST_FOR_SLOPE_SECONDS {
        let note = format!(
            "{:.0} KiB in {:.0} s, which is too short: {LEAST_FOR_SLOPE_SECONDS:.0} s or more",
            grown / KIB,
            phase.seconds
        );
        return noted(None, note);
    }
    let of_files = |anonymous: &Slope| grown - anonymous.slope * phase.seconds;
    let anonymous = phase
        .anon_slope
        .filter(|anonymous| of_files(anonymous) < FILES_NOISE_BYTES);
    let held = anonymous.unwrap_or(slope);
    Figure {
        value: Some(an_hour.slope),
        note: Some(format!(
            "standard error {:.1}; {:.0} KiB in {:.0} s{}{}",
            an_hour.error,
            grown / KIB,
            phase.seconds,
            phase.anon_slope.map_or(String::new(), |anonymous| format!(
                ", {:.0} of it anonymous",
                anonymous.slope * phase.seconds / KIB
            )),
            anonymous.map_or("", |_| ", which is judged")
        )),
        graded: Some(match held.slope * phase.seconds < NOISE_BYTES {
            true => 0.0,
            false => (held.slope - 2.0 * held.error).max(0.0) * 3600.0 / KIB,
        }),
    }
}

/// The median in milliseconds.
fn spans(seconds: &[f64]) -> Figure {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Figure::default();
    };
    noted(
        Some(sorted[sorted.len() / 2] * 1e3),
        format!(
            "median of {}, {:.1} to {:.1}",
            sorted.len(),
            first * 1e3,
            last * 1e3
        ),
    )
}

fn mean(readings: &[Reading], of: impl Fn(&Reading) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = readings.iter().filter_map(of).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn most(readings: &[Reading], of: impl Fn(&Reading) -> Option<f64>) -> Option<f64> {
    readings.iter().filter_map(of).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::made_up;

    fn of(measured: &EngineOutcome, id: &str) -> Metric {
        let all = metrics(measured, "x86_64", (None, "no broker"));
        all.into_iter().find(|metric| metric.id == id).unwrap()
    }

    #[test]
    fn figures_of_a_made_up_run() {
        let measured = made_up::engine(EngineName::Native);
        let near = |id: &str, value: f64| {
            let found = of(&measured, id).value.unwrap();
            assert!((found - value).abs() <= value.abs() * 0.04, "{id}: {found}");
        };
        near("memory", 8.0);
        near("cpu", 2.0);
        near("cpu_max", 3.0);
        near("cpu_waking", 0.5);
        near("cpu_fetching", 0.8);
        near("latency_p50", 0.1);
        near("throughput", 100.0);
        near("streamed", 80_000.0);
        near("start", 20.0);
        near("cache", 90.0);
        near("disk_day", 0.498);
        assert_eq!(of(&measured, "memory").against_ours, Grade::Pass);
        assert_eq!(of(&measured, "cpu").against_seed, Grade::Pass);
        assert_eq!(of(&measured, "cpu").against_ours, Grade::Fail);
        assert_eq!(of(&measured, "telemetry").value, None);
        assert_eq!(of(&measured, "telemetry").note.unwrap(), "no broker");
        assert_eq!(of(&measured, "telemetry").against_seed, Grade::None);
        let slow = metrics(&measured, "x86_64", (Some(21.0), ""));
        let slow = slow.iter().find(|metric| metric.id == "telemetry").unwrap();
        assert_eq!(
            (slow.against_seed, slow.against_ours),
            (Grade::Pass, Grade::Fail)
        );
        assert_eq!(
            metrics(&measured, "x86_64", (None, "")).len(),
            TARGETS.len()
        );
    }

    #[test]
    fn between_target_and_critical_is_a_warning() {
        let grade =
            |value, target, critical| grade(Some(value), Better::Lower, Some(target), critical);
        assert_eq!(grade(100.0, 100.0, Some(128.0)), Grade::Pass);
        assert_eq!(grade(101.0, 100.0, Some(128.0)), Grade::Warn);
        assert_eq!(grade(129.0, 100.0, Some(128.0)), Grade::Fail);
        assert_eq!(grade(101.0, 100.0, None), Grade::Fail);
        let higher = super::grade(Some(60.0), Better::Higher, Some(100.0), Some(50.0));
        assert_eq!(higher, Grade::Warn);
        assert_eq!(
            super::grade(None, Better::Higher, Some(1.0), None),
            Grade::None
        );
    }

    #[test]
    fn growth_within_its_error_is_none_and_a_leak_is_told() {
        let mut measured = made_up::engine(EngineName::Native);
        measured.phases[0].seconds = 60.0;
        assert_eq!(of(&measured, "slope").against_seed, Grade::Pass);
        let leak = |bytes_a_second: f64| {
            let point = |second: u32| {
                let at = f64::from(second);
                (at, 8e6 + (at * bytes_a_second).floor())
            };
            Slope::through(&[1, 2, 3].map(point))
        };
        for (rss, anonymous, grade, judged) in [
            (1e5, 1e5, Grade::Fail, ", which is judged"),
            // A touch of a library's code that was not run before.
            (2e3, 1e1, Grade::Pass, ", which is judged"),
            (1e5, 1e1, Grade::Fail, ""),
        ] {
            measured.phases[0].rss_slope = leak(rss);
            measured.phases[0].anon_slope = leak(anonymous);
            let slope = of(&measured, "slope");
            assert_eq!(slope.against_seed, grade, "{rss} {anonymous}");
            let note = slope.note.unwrap();
            let of_it = format!("{:.0} of it anonymous{judged}", anonymous * 60.0 / KIB);
            assert!(note.ends_with(&of_it), "{note}");
        }
        measured.phases[0].rss_slope = leak(2e3);
        measured.phases[0].anon_slope = None;
        assert_eq!(of(&measured, "slope").against_seed, Grade::Fail);
        // In less than a minute it is not judged.
        measured.phases[0].seconds = 15.0;
        let slope = of(&measured, "slope");
        assert_eq!((slope.value, slope.against_seed), (None, Grade::None));
        assert!(slope.note.unwrap().contains("too short"));
    }

    #[test]
    fn nothing_measured_is_no_figure() {
        let mut measured = made_up::engine(EngineName::Torch);
        measured.phases.clear();
        measured.streamed = None;
        measured.replayed = None;
        measured.day = None;
        measured.start_seconds.clear();
        measured.model_load_seconds.clear();
        for metric in metrics(&measured, "x86_64", (None, "")) {
            assert_eq!((metric.value, metric.against_seed), (None, Grade::None));
        }
    }
}
