//! Draws faults at random, spread over a run without overlap.

use std::time::Duration;

use super::{Fault, FaultError, FaultKind};
use crate::simulate::random::Random;
use crate::simulate::sensors::{SENSORS, SensorKind, Tag};

/// Seconds of normal operation before each fault, at least, and of each fault.
const GAP: f64 = 300.0;
const SHORTEST: f64 = 240.0;
const LONGEST: f64 = 1_800.0;

/// Equipment whose failure is likely to be noticed within a fault's length.
const OFTEN_USED: [Tag; 9] = [
    Tag::MV101,
    Tag::P101,
    Tag::P203,
    Tag::P205,
    Tag::P301,
    Tag::P401,
    Tag::P403,
    Tag::P501,
    Tag::P601,
];

/// `count` faults of mixed kinds in a run of length `run`, the same for the same arguments.
///
/// The first 10 minutes, or 10 % of the run if that is longer, are normal; the rest is divided
/// evenly, and each part holds one fault of 4 to 30 minutes after at least 5 minutes without. Fails
/// when the parts would be shorter than that.
pub fn draw(count: usize, run: Duration, seed: u64) -> Result<Vec<Fault>, FaultError> {
    let seconds = run.as_secs_f64();
    let lead = (0.1 * seconds).max(600.0);
    let fit = ((seconds - lead) / (GAP + SHORTEST)).floor().max(0.0) as usize;
    if count > fit {
        return Err(FaultError::TooMany {
            wanted: count,
            fit,
            run: humantime::format_duration(run).to_string(),
        });
    }
    let mut random = Random::new(seed, 4);
    let part = (seconds - lead) / count as f64;
    let mut kinds = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for number in 0..count {
        // Each kind once, in random order, before any comes again.
        if kinds.is_empty() {
            kinds = FaultKind::ALL.to_vec();
        }
        let kind = kinds.swap_remove(random.below(kinds.len()));
        let longest = (part - GAP).min(LONGEST);
        let duration = random.between((0.5 * longest).max(SHORTEST), longest);
        let begin = lead + part * number as f64;
        let start = begin + random.between(GAP, part - duration);
        let before = faults.last().map(|fault| fault.columns[0]);
        let (column, magnitude) = draw_sensor(kind, before, &mut random);
        faults.push(Fault {
            kind,
            columns: vec![column],
            // Whole seconds read well in the recording's events.
            start: Duration::from_secs(start as u64),
            duration: Duration::from_secs(duration as u64),
            magnitude,
        });
    }
    Ok(faults)
}

/// A sensor for a fault of `kind` other than `before`, and how strong it is.
fn draw_sensor(
    kind: FaultKind,
    before: Option<usize>,
    random: &mut Random,
) -> (usize, Option<f64>) {
    let pool: Vec<usize> = match kind {
        FaultKind::Actuator => OFTEN_USED.iter().map(|tag| tag.column()).collect(),
        _ => {
            let measures = |&column: &usize| SENSORS[column].kind == SensorKind::Measure;
            (0..SENSORS.len()).filter(measures).collect()
        }
    };
    let pool: Vec<usize> = pool.into_iter().filter(|&c| Some(c) != before).collect();
    let column = pool[random.below(pool.len())];
    let spec = &SENSORS[column];
    let swing = random.between(0.4, 1.0) * spec.swing;
    // Flows and pressures rest at zero, where a negative error would be clipped away.
    let rests_at_zero = spec.low == 0.0 && spec.swing > 0.15 * spec.high;
    let signed = if !rests_at_zero && random.unit() < 0.5 {
        -swing
    } else {
        swing
    };
    let rounded = (signed / spec.resolution).round() * spec.resolution;
    let magnitude = match kind {
        FaultKind::Stuck | FaultKind::Actuator => None,
        FaultKind::Drift => Some(rounded),
        FaultKind::Spoofed => (random.unit() < 0.6).then_some(rounded),
        FaultKind::Noise => Some(random.between(16.0, 100.0).round()),
    };
    (column, magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_faults_keep_their_distance_and_repeat() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        for (count, run, seed) in [(1, hours(1), 1), (10, hours(6), 7), (25, hours(24), 9)] {
            let faults = draw(count, run, seed).unwrap();
            assert_eq!(faults, draw(count, run, seed).unwrap());
            assert_eq!(faults.len(), count);
            let lead = Duration::from_secs(600).max(run / 10);
            let mut normal_from = lead;
            for fault in &faults {
                fault.check().unwrap();
                assert!(fault.start >= normal_from, "{fault:?}");
                normal_from = fault.start + fault.duration + Duration::from_secs(299);
                assert!(fault.start + fault.duration <= run, "{fault:?}");
                assert!((239..=1_800).contains(&fault.duration.as_secs()));
            }
        }
        let kinds: Vec<_> = draw(5, hours(6), 3).unwrap();
        for kind in FaultKind::ALL {
            assert!(kinds.iter().any(|fault| fault.kind == kind), "{kind:?}");
        }
    }

    #[test]
    fn too_many_faults_are_refused_with_how_many_fit() {
        let hour = Duration::from_secs(3_600);
        let error = draw(6, hour, 1).unwrap_err();
        assert!(error.to_string().contains("at most 5"), "{error}");
        assert_eq!(draw(5, hour, 1).unwrap().len(), 5);
        assert!(draw(1, Duration::from_secs(60), 1).is_err());
        assert!(draw(0, Duration::from_secs(60), 1).unwrap().is_empty());
    }
}
