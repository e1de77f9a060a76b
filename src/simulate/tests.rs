//! The plant as a whole: repeatable, within its tanks, and ruled by its physics.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn frames(plant: &mut Plant, count: usize) -> Vec<Vec<f64>> {
    (0..count).map(|_| plant.step().to_vec()).collect()
}

fn fault(kind: FaultKind, tag: Tag, start: u64, minutes: u64) -> Fault {
    Fault {
        kind,
        columns: vec![tag.column()],
        start: Duration::from_secs(start),
        duration: Duration::from_secs(60 * minutes),
        magnitude: None,
    }
}

fn column(frames: &[Vec<f64>], tag: Tag) -> Vec<f64> {
    frames.iter().map(|frame| frame[tag.column()]).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - mean_a) * (y - mean_b);
        aa += (x - mean_a).powi(2);
        bb += (y - mean_b).powi(2);
    }
    ab / (aa * bb).sqrt()
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let run = |seed| frames(&mut Plant::new(seed, SECOND), 300);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_week_stays_inside_the_tanks_for_several_seeds() {
    for seed in [1, 2, 3] {
        // The physics still step by the second.
        let mut plant = Plant::new(seed, Duration::from_secs(10));
        for row in 0..7 * 8_640 {
            let values = plant.step();
            for (value, spec) in values.iter().zip(SENSORS) {
                let inside = (spec.low..=spec.high).contains(value);
                assert!(inside, "seed {seed} row {row}: {} is {value}", spec.name);
            }
            for (tag, low, high) in [
                (Tag::LIT101, 350.0, 950.0),
                (Tag::LIT301, 350.0, 1_050.0),
                (Tag::LIT401, 350.0, 1_100.0),
                (Tag::LIT601, 350.0, 1_000.0),
                (Tag::LIT602, 600.0, 960.0),
            ] {
                let level = values[tag.column()];
                let inside = (low..=high).contains(&level);
                assert!(inside, "seed {seed} row {row}: {} is {level}", tag.name());
            }
            for tag in [
                Tag::P102,
                Tag::P204,
                Tag::P206,
                Tag::P302,
                Tag::P402,
                Tag::P404,
                Tag::P502,
            ] {
                assert_eq!(
                    values[tag.column()],
                    1.0,
                    "seed {seed} row {row}: {}",
                    tag.name()
                );
            }
        }
    }
}

#[test]
fn levels_integrate_their_flows() {
    let day = frames(&mut Plant::new(4, SECOND), 20_000);
    // Change of level over 5 min against inflow less outflow over 5 min.
    for (level, inflow, outflow, area) in [
        (Tag::LIT101, Tag::FIT101, Tag::FIT201, 1.6),
        (Tag::LIT301, Tag::FIT201, Tag::FIT301, 1.2),
        (Tag::LIT401, Tag::FIT301, Tag::FIT401, 1.2),
        (Tag::LIT601, Tag::FIT502, Tag::FIT601, 1.2),
    ] {
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        for start in (0..day.len() - 301).step_by(300) {
            let part = &day[start..=start + 300];
            seen.push(part[300][level.column()] - part[0][level.column()]);
            let net = mean(&column(&part[1..], inflow)) - mean(&column(&part[1..], outflow));
            expected.push(net * 300.0 / (3.6 * area));
        }
        for (seen, expected) in seen.iter().zip(&expected) {
            assert!(
                (seen - expected).abs() < 5.0,
                "{}: {seen} mm, flows say {expected} mm",
                level.name()
            );
        }
        assert!(correlation(&seen, &expected) > 0.99);
    }
}

#[test]
fn neighbours_move_together() {
    let day = frames(&mut Plant::new(4, SECOND), 40_000);
    for (a, b, least) in [
        (Tag::P101, Tag::FIT201, 0.95),
        (Tag::MV101, Tag::FIT101, 0.9),
        (Tag::FIT301, Tag::DPIT301, 0.8),
        (Tag::FIT401, Tag::FIT501, 0.99),
        (Tag::PIT501, Tag::PIT503, 0.99),
        (Tag::FIT502, Tag::PIT502, 0.95),
        (Tag::AIT402, Tag::AIT502, 0.6),
        (Tag::P602, Tag::FIT602, 0.9),
    ] {
        let r = correlation(&column(&day, a), &column(&day, b));
        assert!(r > least, "{} and {}: {r}", a.name(), b.name());
    }
    let constant = |tag| column(&day, tag).windows(2).all(|pair| pair[0] == pair[1]);
    assert!(constant(Tag::P102) && !constant(Tag::P101));
}

#[test]
fn frames_before_a_fault_are_those_of_the_sound_plant() {
    let faults = vec![fault(FaultKind::Noise, Tag::LIT101, 100, 5)];
    let mut faulty = Plant::with_faults(7, SECOND, Timestamp::EPOCH, faults);
    let sound = frames(&mut Plant::new(7, SECOND), 401);
    let seen = frames(&mut faulty, 401);
    assert_eq!(seen[..100], sound[..100]);
    assert_ne!(seen[100..], sound[100..]);
    let events = faulty.events(401);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].rows, 100..400);
    assert_eq!(events[0].targets, [Tag::LIT101.column()]);
}

#[test]
fn a_stuck_level_misleads_its_controller_and_a_spoofed_one_does_not() {
    let hours = 6 * 3_600;
    // The inlet valve stays as it was and the tank leaves the band that it is kept in.
    let stuck = vec![fault(FaultKind::Stuck, Tag::LIT101, 600, 330)];
    let mut plant = Plant::with_faults(3, SECOND, Timestamp::EPOCH, stuck);
    frames(&mut plant, hours);
    let level = plant.water.raw.level;
    assert!(!(440.0..860.0).contains(&level), "{level} mm");

    let spoofed = Fault {
        magnitude: Some(200.0),
        ..fault(FaultKind::Spoofed, Tag::LIT101, 600, 330)
    };
    let mut plant = Plant::with_faults(3, SECOND, Timestamp::EPOCH, vec![spoofed]);
    let seen = frames(&mut plant, hours);
    let sound = frames(&mut Plant::new(3, SECOND), hours);
    let (seen, sound) = (&seen[hours - 7_200], &sound[hours - 7_200]);
    for (column, spec) in SENSORS.iter().enumerate() {
        let expected = sound[column] + if spec.name == "LIT101" { 200.0 } else { 0.0 };
        assert!((seen[column] - expected).abs() < 1e-9, "{}", spec.name);
    }
}

#[test]
fn the_standby_replaces_a_broken_pump() {
    let faults = vec![fault(FaultKind::Actuator, Tag::P101, 600, 60)];
    let mut plant = Plant::with_faults(3, SECOND, Timestamp::EPOCH, faults);
    let seen = frames(&mut plant, 8_000);
    let standby = column(&seen, Tag::P102);
    assert!(standby[..600].iter().all(|&state| state == 1.0));
    assert!(standby.contains(&2.0));
    let events = plant.events(8_000);
    let start = events[0].rows.start as usize;
    let end = events[0].rows.end as usize;
    assert!((600..4_200).contains(&start) && end >= 4_200);
    assert!(standby[end..].iter().all(|&state| state == 1.0));
    // The drive says that it runs, but nothing flows.
    let frame = &seen[start + 15];
    assert_eq!(frame[Tag::P101.column()], 2.0);
    assert!(frame[Tag::FIT201.column()] < 0.2);
    assert_eq!(plant.unnoticed().count(), 0);
}

#[test]
fn the_period_sets_the_rows_and_not_the_plant() {
    let minutes = 30;
    let coarse = frames(&mut Plant::new(5, Duration::from_secs(30)), minutes * 2);
    let fine = frames(&mut Plant::new(5, SECOND), minutes * 60);
    // The first coarse frame ends a whole period of 30 steps, the first fine one a single step, so
    // the two differ by noise, but not in level.
    for (tag, near) in [(Tag::LIT101, 60.0), (Tag::LIT401, 60.0), (Tag::TIT101, 0.5)] {
        let difference = coarse[minutes][tag.column()] - fine[minutes * 30][tag.column()];
        assert!(difference.abs() < near, "{}: {difference}", tag.name());
    }
    for period in [
        Duration::ZERO,
        Duration::from_micros(1_500),
        Duration::from_millis(2_500),
    ] {
        let mut plant = Plant::new(5, period);
        assert!(
            frames(&mut plant, 50)
                .iter()
                .flatten()
                .all(|value| value.is_finite())
        );
    }
}
