use super::*;
use crate::health::Throttle;
use crate::health::disk::Disk;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Runs one second a reading and gives each event with its second.
fn run(readings: &[(Readings, Option<Duration>)]) -> Vec<(u32, HealthEvent)> {
    let mut limits = Limits::new(&LimitsConfig::default());
    let start = Instant::now();
    let mut events = Vec::new();
    for (second, (readings, latency)) in (0..).zip(readings) {
        let found = limits.step(start + second * SECOND, readings, *latency);
        events.extend(found.into_iter().map(|event| (second, event)));
    }
    events
}

fn memory(megabytes: u64) -> (Readings, Option<Duration>) {
    let readings = Readings {
        rss_bytes: Some(megabytes * 1_000_000),
        ..Readings::default()
    };
    (readings, None)
}

fn told(events: &[(u32, HealthEvent)]) -> Vec<String> {
    let line = |(second, event): &(u32, HealthEvent)| format!("{second}: {}", event.text);
    events.iter().map(line).collect()
}

#[test]
fn memory_warns_at_90_and_is_critical_at_100_megabytes() {
    let mut seconds = vec![memory(95); 60];
    seconds.extend(vec![memory(105); 60]);
    seconds.extend(vec![memory(60); 200]);
    let events = run(&seconds);
    assert_eq!(
        told(&events),
        [
            "30: memory 95 MB for 30s, limit 90 MB: if it keeps growing, restart the service and \
             report it; a torch worker needs a higher limit",
            "90: memory 105 MB for 30s, critical limit 100 MB: if it keeps growing, restart the \
             service and report it; a torch worker needs a higher limit",
            "240: memory 60 MB, below 81 MB for 2m",
            "240: memory 60 MB, below 90 MB for 2m",
        ]
    );
    assert_eq!(events[0].1.message(), Message::HealthRaised);
    assert_eq!(events[1].1.level, Level::Critical);
    assert_eq!(events[3].1.message(), Message::HealthCleared);
}

#[test]
fn latency_and_processor_have_the_limits_of_the_reference_system() {
    let slow = Readings {
        cpu_percent: Some(22.0),
        ..Readings::default()
    };
    let events = run(&vec![(slow, Some(Duration::from_micros(11_500))); 40]);
    let rules: Vec<(Rule, Level)> = events.iter().map(|(_, e)| (e.rule, e.level)).collect();
    assert_eq!(
        rules,
        [
            (Rule::Cpu, Level::Warning),
            (Rule::Latency, Level::Warning),
            (Rule::Latency, Level::Critical),
        ]
    );
    assert!(
        events[1]
            .1
            .text
            .starts_with("latency (p99) 11.5 ms for 30s, limit 8.0 ms: ")
    );
}

#[test]
fn an_oom_kill_is_told_at_once_with_its_own_kind() {
    let killed = |count| {
        let readings = Readings {
            oom_kills: Some(count),
            ..Readings::default()
        };
        (readings, None)
    };
    let mut seconds = vec![killed(3); 10];
    seconds.push(killed(4));
    seconds.extend(vec![killed(4); 700]);
    let events = run(&seconds);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].0, 10);
    assert!(
        events[0]
            .1
            .text
            .starts_with("the kernel killed 1 process of the service")
    );
    assert_eq!(events[0].1.message(), Message::OutOfMemory);
    assert_eq!(events[1].0, 11 + 600);
}

#[test]
fn power_heat_and_disk_name_their_remedy() {
    let mut readings = Readings {
        throttle: Some(Throttle::from_bits(0x5)),
        soc_temperature_celsius: Some(84.2),
        disk: Some(Disk {
            total_bytes: 32_000_000_000,
            free_bytes: 30_000_000,
            total_inodes: Some(1_000_000),
            free_inodes: Some(900_000),
            read_only: false,
        }),
        ..Readings::default()
    };
    let mut limits = Limits::new(&LimitsConfig::default());
    let start = Instant::now();
    let mut texts = Vec::new();
    for second in 0..40 {
        let events = limits.step(start + second * SECOND, &readings, None);
        texts.extend(events.into_iter().map(|event| event.text));
    }
    assert_eq!(
        texts,
        [
            "under-voltage: use a 5.1 V 3 A supply and a short cable",
            "the processor is throttled at 84 C: cool the board (heat sink, fan, air around it)",
            "30 MB free on the disk of the state directory: make room; until then state and alarms \
             may not be kept",
            "30 MB free on the disk of the state directory: make room; until then state and alarms \
             may not be kept",
        ]
    );
    assert_eq!(limits.standing().count(), 4);
    // New limits leave what stands; and what is gone is cleared.
    limits.reconfigure(&LimitsConfig::default());
    readings.throttle = Some(Throttle::from_bits(0));
    let mut cleared = Vec::new();
    for second in 40..140 {
        cleared.extend(limits.step(start + second * SECOND, &readings, None));
    }
    let texts: Vec<&str> = cleared.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "no under-voltage for 1m",
            "the processor is not throttled for 1m"
        ]
    );
    assert_eq!(limits.standing().count(), 2);
}

#[test]
fn state_in_memory_is_told_at_once_and_once() {
    let seen = |volatile| {
        let readings = Readings {
            state_volatile: volatile,
            ..Readings::default()
        };
        (readings, None)
    };
    let mut seconds = vec![seen(Some(true)); 100];
    seconds.extend([seen(None), seen(Some(true)), seen(Some(false))]);
    let events = run(&seconds);
    let told: Vec<(u32, Rule, Change)> = events
        .iter()
        .map(|(second, event)| (*second, event.rule, event.change))
        .collect();
    assert_eq!(
        told,
        [
            (0, Rule::Volatile, Change::Raised),
            (102, Rule::Volatile, Change::Cleared),
        ]
    );
    assert!(
        events[0].1.text.contains("is in memory"),
        "{}",
        events[0].1.text
    );
}

proptest! {
    /// One seed a stretch of seconds: what any rule sees jumps as it likes.
    #[test]
    fn no_rule_flaps_whatever_comes(
        stretches in prop::collection::vec((0..4u64, 1..200usize, prop::option::of(0..200u64)), 1..60),
    ) {
        let mut seconds = Vec::new();
        for (kind, length, amount) in stretches {
            let readings = Readings {
                rss_bytes: amount.map(|amount| amount * 1_000_000),
                cpu_percent: amount.map(|amount| amount as f64 / 4.0),
                oom_kills: amount,
                throttle: (kind > 0).then(|| Throttle::from_bits(kind as u32)),
                state_volatile: (kind > 1).then_some(kind > 2),
                disk: amount.map(|amount| Disk {
                    total_bytes: 200,
                    free_bytes: amount,
                    total_inodes: None,
                    free_inodes: None,
                    read_only: false,
                }),
                ..Readings::default()
            };
            seconds.extend(vec![(readings, amount.map(Duration::from_millis)); length]);
        }
        let events = run(&seconds);
        for (rule, level, bounds) in LimitsConfig::default().bounds() {
            let of_rule = events.iter().filter(|(_, e)| (e.rule, e.level) == (rule, level));
            let changes: Vec<(u32, Change)> = of_rule.map(|(s, e)| (*s, e.change)).collect();
            for (index, (_, change)) in changes.iter().enumerate() {
                let wanted = if index % 2 == 0 { Change::Raised } else { Change::Cleared };
                prop_assert_eq!(*change, wanted, "{:?}", rule);
            }
            let least = (bounds.raise_after + bounds.clear_after).as_secs();
            let raises: Vec<u32> = changes.iter().step_by(2).map(|(s, _)| *s).collect();
            for pair in raises.windows(2) {
                prop_assert!(u64::from(pair[1] - pair[0]) >= least, "{:?}", rule);
            }
        }
    }
}
