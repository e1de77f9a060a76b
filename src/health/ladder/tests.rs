use super::*;
use crate::health::{Pressure, Throttle};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

struct Run {
    ladder: Ladder,
    at: Instant,
    second: u64,
}

impl Run {
    fn new() -> Self {
        Run {
            ladder: Ladder::new(LadderConfig::default()),
            at: Instant::now(),
            second: 0,
        }
    }

    /// The same readings for some seconds; the changes with their seconds.
    fn hold(&mut self, seconds: u64, readings: &Readings) -> Vec<(u64, u8)> {
        let mut changes = Vec::new();
        for _ in 0..seconds {
            let now = self.at + SECOND * u32::try_from(self.second).unwrap();
            if let Some(degrade) = self.ladder.step(now, readings) {
                changes.push((self.second, degrade.level.number()));
            }
            self.second += 1;
        }
        changes
    }
}

fn hot(celsius: f64) -> Readings {
    Readings {
        soc_temperature_celsius: Some(celsius),
        ..Readings::default()
    }
}

fn waits(some: f64) -> Option<Pressure> {
    Some(Pressure {
        some_avg10_percent: some,
        some_total_us: 0,
        full_avg10_percent: Some(0.0),
        full_total_us: Some(0),
    })
}

#[test]
fn heat_leads_down_one_step_at_a_time_and_back() {
    let mut run = Run::new();
    assert_eq!(run.hold(60, &hot(86.0)), [(10, 1), (21, 2), (32, 3)]);
    assert_eq!(
        run.ladder.current().reason,
        "temperature 86.0 C, 85.0 C and above"
    );
    assert_eq!(run.hold(300, &hot(60.0)), [(120, 2), (181, 1), (242, 0)]);
    assert_eq!(
        run.ladder.current().reason,
        "calm again: temperature 60.0 C"
    );
}

#[test]
fn mild_heat_stays_at_its_step() {
    let mut run = Run::new();
    assert_eq!(run.hold(3600, &hot(81.5)), [(10, 1)]);
    // Between the bounds nothing moves.
    assert_eq!(run.hold(3600, &hot(78.0)), []);
    assert_eq!(run.hold(100, &hot(75.0)), [(7260, 0)]);
}

#[test]
fn short_peaks_lead_nowhere() {
    let mut run = Run::new();
    for _ in 0..50 {
        assert_eq!(run.hold(9, &hot(90.0)), []);
        assert_eq!(run.hold(1, &hot(79.0)), []);
    }
}

#[test]
fn each_cause_counts() {
    let level = |readings: &Readings| {
        let mut run = Run::new();
        run.hold(100, readings);
        run.ladder.current().level.number()
    };
    let bits = |bits| Readings {
        throttle: Some(Throttle::from_bits(bits)),
        ..Readings::default()
    };
    assert_eq!(level(&bits(0x1)), 1, "under-voltage");
    assert_eq!(level(&bits(0x4)), 2, "throttled");
    assert_eq!(level(&bits(0xF_0000)), 0, "over");
    let share = Readings {
        rss_anon_bytes: Some(93),
        cgroup_memory_max_bytes: Some(100),
        ..Readings::default()
    };
    assert_eq!(level(&share), 2);
    let memory = Readings {
        memory_pressure: waits(45.0),
        ..Readings::default()
    };
    assert_eq!(level(&memory), 2);
    let calm_group = Readings {
        own_memory_pressure: waits(0.0),
        ..memory
    };
    assert_eq!(level(&calm_group), 0, "the service itself does not wait");
}

#[test]
fn a_busy_machine_counts_only_when_the_service_has_a_part_in_it() {
    let level = |own: Option<f64>, machine: Option<f64>, cpu: f64| {
        let mut run = Run::new();
        let readings = Readings {
            own_cpu_pressure: own.and_then(waits),
            cpu_pressure: machine.and_then(waits),
            cpu_percent: Some(cpu),
            ..Readings::default()
        };
        run.hold(100, &readings);
        run.ladder.current().level.number()
    };
    assert_eq!(level(Some(65.0), Some(65.0), 3.0), 2, "it is starved");
    assert_eq!(level(Some(1.0), Some(90.0), 100.0), 0, "busy, not starved");
    assert_eq!(level(None, Some(90.0), 3.0), 0, "others compile");
    assert_eq!(level(None, Some(90.0), 60.0), 3);
    assert_eq!(level(None, None, 99.0), 3);
    assert_eq!(level(None, None, 50.0), 0);
}

#[test]
fn missing_readings_are_no_cause_and_lead_back() {
    let mut run = Run::new();
    run.hold(60, &hot(86.0));
    assert_eq!(run.hold(300, &Readings::default()).len(), 3);
    assert_eq!(run.ladder.current().level, DegradeLevel::Normal);
    assert_eq!(
        run.ladder.current().reason,
        "no reading calls for it any more"
    );
}

fn any_readings() -> impl Strategy<Value = Readings> {
    let value = || prop::option::of(prop_oneof![0.0..100.0f64, any::<f64>()]);
    let bits = prop::option::of(any::<u32>());
    (value(), bits, value(), value(), value(), any::<u64>()).prop_map(
        |(celsius, bits, memory, cpu, percent, bytes)| Readings {
            soc_temperature_celsius: celsius,
            throttle: bits.map(Throttle::from_bits),
            memory_pressure: memory.and_then(waits),
            own_cpu_pressure: cpu.and_then(waits),
            cpu_percent: percent,
            rss_anon_bytes: Some(bytes),
            cgroup_memory_max_bytes: Some(u64::MAX / 2),
            ..Readings::default()
        },
    )
}

proptest! {
    #[test]
    fn it_never_skips_a_level_nor_hurries_and_always_comes_back(
        stretches in prop::collection::vec((any_readings(), 1..90u64), 0..40),
    ) {
        let mut run = Run::new();
        let (mut level, mut last) = (0_u8, None);
        for (readings, seconds) in stretches {
            for (second, next) in run.hold(seconds, &readings) {
                prop_assert_eq!(level.abs_diff(next), 1);
                let least = if next > level { 10 } else { 60 };
                prop_assert!(last.is_none_or(|last| second - last > least));
                (level, last) = (next, Some(second));
            }
        }
        run.hold(200, &Readings::default());
        prop_assert_eq!(run.ladder.current().level, DegradeLevel::Normal);
    }
}
