//! Each kind of fault on made-up readings.

use super::*;
use crate::simulate::equipment::Equipment;
use crate::simulate::sensors::COUNT;

const SECOND: i64 = 1_000_000_000;

fn fault(kind: FaultKind, tag: Tag, magnitude: Option<f64>) -> Fault {
    Fault {
        kind,
        columns: vec![tag.column()],
        start: Duration::from_secs(10),
        duration: Duration::from_secs(20),
        magnitude,
    }
}

/// What is recorded of `tag`, whose true value is `true_value(second)`, over 40 s.
fn recorded(fault: Fault, tag: Tag, true_value: impl Fn(i64) -> f64) -> Vec<f64> {
    let mut injector = Injector::new(vec![fault], 1);
    (0..40)
        .map(|second| {
            let mut readings = [0.0; COUNT];
            readings[tag.column()] = true_value(second);
            injector.distort(second * SECOND, &mut readings);
            injector.falsify(second * SECOND, &mut readings);
            readings[tag.column()]
        })
        .collect()
}

#[test]
fn a_stuck_sensor_freezes_and_comes_back() {
    let seen = recorded(
        fault(FaultKind::Stuck, Tag::LIT101, None),
        Tag::LIT101,
        |s| s as f64,
    );
    assert_eq!(seen[9], 9.0);
    assert!(seen[10..30].iter().all(|&value| value == 10.0));
    assert_eq!(seen[30], 30.0);
    let at = recorded(
        fault(FaultKind::Stuck, Tag::LIT101, Some(3.0)),
        Tag::LIT101,
        |s| s as f64,
    );
    assert_eq!(at[15], 3.0);
}

#[test]
fn a_drift_grows_to_its_magnitude() {
    let seen = recorded(
        fault(FaultKind::Drift, Tag::FIT201, Some(2.0)),
        Tag::FIT201,
        |_| 1.0,
    );
    assert_eq!(seen[10], 1.0);
    assert!((seen[20] - 2.0).abs() < 1e-9);
    assert!((seen[29] - 2.9).abs() < 1e-9);
    assert_eq!(seen[30], 1.0);
}

#[test]
fn a_spoofed_sensor_is_off_or_replays_the_past() {
    let off = recorded(
        fault(FaultKind::Spoofed, Tag::LIT301, Some(50.0)),
        Tag::LIT301,
        |s| s as f64,
    );
    assert_eq!((off[9], off[10], off[29], off[30]), (9.0, 60.0, 79.0, 30.0));
    let replay = recorded(
        fault(FaultKind::Spoofed, Tag::LIT301, None),
        Tag::LIT301,
        |s| s as f64,
    );
    // 10 s were there to record; the 20 s of the fault show them twice.
    let past: Vec<f64> = (0..10).map(f64::from).collect();
    assert_eq!(replay[10..20], past);
    assert_eq!(replay[20..30], past);
    assert_eq!(replay[30], 30.0);
}

#[test]
fn noise_multiplies_the_variance() {
    let mut loud = fault(FaultKind::Noise, Tag::PIT501, Some(17.0));
    loud.start = Duration::ZERO;
    loud.duration = Duration::from_secs(20_000);
    let mut injector = Injector::new(vec![loud], 1);
    let mut squares = 0.0;
    for second in 0..20_000 {
        let mut readings = [0.0; COUNT];
        injector.distort(second * SECOND, &mut readings);
        squares += readings[Tag::PIT501.column()].powi(2);
    }
    // The sensor's own variance is there already: 16 times it is added.
    let own = SENSORS[Tag::PIT501.column()].noise.powi(2);
    let ratio = squares / 20_000.0 / own;
    assert!((15.0..17.0).contains(&ratio), "{ratio}");
}

#[test]
fn an_actuator_fault_is_noticed_when_the_pump_is_called_for() {
    let column = Tag::P501.column();
    let mut injector = Injector::new(vec![fault(FaultKind::Actuator, Tag::P501, None)], 1);
    let mut equipment = Equipment::new();
    for second in 0..40 {
        equipment.command(Tag::P501, second >= 15);
        injector.break_equipment(second * SECOND, &mut equipment);
        equipment.step(1.0);
        injector.watch(second * SECOND, &equipment);
        if second == 25 {
            assert_eq!(
                (equipment.status(column), equipment.effect(Tag::P501)),
                (2.0, 0.0)
            );
        }
    }
    assert!(equipment.effect(Tag::P501) > 0.9, "repaired");
    let noticed: Vec<_> = injector
        .noticeable()
        .map(|(_, from, to)| (from, to))
        .collect();
    assert_eq!(noticed, [(15 * SECOND, 30 * SECOND)]);
    assert_eq!(injector.unnoticed().count(), 0);

    let idle = Injector::new(vec![fault(FaultKind::Actuator, Tag::P602, None)], 1);
    assert_eq!(
        (idle.noticeable().count(), idle.unnoticed().count()),
        (0, 1)
    );
}

#[test]
fn faults_that_make_no_sense_are_refused_by_key() {
    let key = |fault: Fault| fault.check().map_err(|problem| problem.key);
    use FaultKind::{Actuator, Drift, Noise, Spoofed, Stuck};
    assert_eq!(key(fault(Actuator, Tag::LIT101, None)), Err("sensor"));
    assert_eq!(key(fault(Drift, Tag::P101, None)), Err("sensor"));
    assert_eq!(key(fault(Noise, Tag::MV101, None)), Err("sensor"));
    assert_eq!(key(fault(Spoofed, Tag::P101, Some(1.0))), Err("magnitude"));
    assert_eq!(key(fault(Actuator, Tag::P101, Some(1.5))), Err("magnitude"));
    assert_eq!(key(fault(Noise, Tag::LIT101, Some(0.5))), Err("magnitude"));
    assert_eq!(key(fault(Stuck, Tag::P101, None)), Ok(()));
    let mut replay = fault(Spoofed, Tag::LIT101, None);
    replay.start = Duration::ZERO;
    assert_eq!(key(replay), Err("start"));
    let mut brief = fault(Stuck, Tag::LIT101, None);
    brief.duration = Duration::ZERO;
    assert_eq!(key(brief), Err("duration"));
}

#[test]
fn every_actuator_has_something_it_moves() {
    for (column, spec) in SENSORS.iter().enumerate() {
        let moved = moved_by(column);
        assert_eq!(
            moved.is_empty(),
            spec.kind == SensorKind::Measure,
            "{}",
            spec.name
        );
    }
    let pump = fault(FaultKind::Actuator, Tag::P101, None);
    let names: Vec<_> = pump.targets().iter().map(|&c| SENSORS[c].name).collect();
    assert_eq!(names, ["P101", "FIT201", "P102"]);
}

#[test]
fn a_fault_after_the_end_is_an_error_with_a_remedy() {
    let faults = [fault(FaultKind::Stuck, Tag::LIT101, None)];
    assert!(check_within(&faults, Duration::from_secs(11)).is_ok());
    let error = check_within(&faults, Duration::from_secs(10)).unwrap_err();
    assert!(error.to_string().contains("longer --duration"), "{error}");
}
