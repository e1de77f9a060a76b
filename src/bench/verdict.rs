//! Whether the targets are met, or why nobody can say. Imports its siblings' plain types.

use serde::{Deserialize, Serialize};

use super::outcome::{EngineOutcome, Grade, Metric, Verdict};

/// Processor time of others, in cores, above which a machine is not ours alone.
const FOREIGN_CORES: f64 = 0.15;
/// Without these there is nothing to judge.
const NEEDED: &[&str] = &[
    "memory",
    "cpu",
    "latency_mean",
    "throughput",
    "start",
    "model_load",
];

/// A reason against a verdict that a user may accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Doubt {
    Throttled,
    Uncapped,
    Load,
}

/// The verdict over all engines.
pub fn verdict(engines: &[EngineOutcome], interrupted: bool, accept: &[Doubt]) -> Verdict {
    let mut verdict = Verdict::default();
    for (doubt, why) in engines.iter().flat_map(doubts) {
        match accept.contains(&doubt) {
            true => verdict.accepted.push(why),
            false => verdict.refused.push(why),
        }
    }
    if interrupted {
        verdict.refused.push("it was interrupted".to_owned());
    }
    for engine in engines {
        let lacks = |id: &&&str| engine.value(id).is_none();
        let lacking: Vec<&str> = NEEDED.iter().filter(lacks).copied().collect();
        if !lacking.is_empty() {
            verdict.refused.push(format!(
                "{}: not measured: {}",
                engine.engine.name(),
                lacking.join(", ")
            ));
        }
    }
    if engines.is_empty() {
        verdict.refused.push("no engine was measured".to_owned());
    }
    if verdict.refused.is_empty() {
        let all = |of: fn(&Metric) -> Grade| {
            let grades = || {
                engines
                    .iter()
                    .flat_map(|engine| engine.metrics.iter().map(of))
            };
            let good = |grade: Grade| matches!(grade, Grade::Pass | Grade::None);
            let any = grades().any(|grade| grade != Grade::None);
            any.then(|| grades().all(good))
        };
        verdict.seed_pass = all(|metric| metric.against_seed);
        verdict.ours_pass = all(|metric| metric.against_ours);
    }
    verdict
}

fn doubts(engine: &EngineOutcome) -> Vec<(Doubt, String)> {
    let name = engine.engine.name();
    let mut doubts = Vec::new();
    if !engine.cap.active {
        let why = format!("{name}: the memory cap is inactive: {}", engine.cap.how);
        doubts.push((Doubt::Uncapped, why));
    }
    for phase in &engine.phases {
        if phase.slowed() == Some(true) {
            let why = format!("{name}: the machine was throttled while {}", phase.name);
            doubts.push((Doubt::Throttled, why));
        }
        match phase.foreign_cores {
            Some(cores) if cores > FOREIGN_CORES => {
                let why = format!(
                    "{name}: another load ran while {}: {:.0} % of a core",
                    phase.name,
                    cores * 100.0
                );
                doubts.push((Doubt::Load, why));
            }
            _ => {}
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::made_up;
    use crate::bench::target::EngineName;
    use crate::health::Throttle;

    #[test]
    fn a_sound_run_is_judged() {
        let engine = made_up::engine(EngineName::Native);
        let verdict = verdict(&[engine], false, &[]);
        assert_eq!(verdict.refused, Vec::<String>::new());
        // Of the made-up run CPU is above our own target.
        assert_eq!(
            (verdict.seed_pass, verdict.ours_pass),
            (Some(true), Some(false))
        );
    }

    #[test]
    fn every_doubt_refuses_until_it_is_accepted() {
        let sound = made_up::engine(EngineName::Native);
        let mut uncapped = sound.clone();
        uncapped.cap.active = false;
        let mut loaded = sound.clone();
        loaded.phases[0].foreign_cores = Some(0.2);
        let mut throttled = sound.clone();
        throttled.phases[0].readings[1].throttle = Some(Throttle::from_bits(4));
        for (engine, doubt, word) in [
            (uncapped, Doubt::Uncapped, "cap is inactive"),
            (loaded, Doubt::Load, "another load ran"),
            (throttled, Doubt::Throttled, "throttled"),
        ] {
            let refused = verdict(&[sound.clone(), engine.clone()], false, &[]);
            assert_eq!(refused.seed_pass, None);
            assert!(refused.refused[0].contains(word), "{refused:?}");
            let accepted = verdict(&[engine], false, &[doubt]);
            assert_eq!(accepted.seed_pass, Some(true));
            assert!(accepted.accepted[0].contains(word), "{accepted:?}");
        }
    }

    #[test]
    fn throttling_between_two_readings_is_seen_and_old_throttling_is_not() {
        let mut engine = made_up::engine(EngineName::Native);
        let bits = |engine: &mut EngineOutcome, bits: [u32; 3]| {
            for (reading, bits) in engine.phases[0].readings.iter_mut().zip(bits) {
                reading.throttle = Some(Throttle::from_bits(bits));
            }
        };
        bits(&mut engine, [0x4_0000; 3]);
        assert_eq!(engine.phases[0].slowed(), Some(false));
        bits(&mut engine, [0, 0x4_0000, 0x4_0000]);
        assert_eq!(engine.phases[0].slowed(), Some(true));
        engine.phases[0].readings.clear();
        assert_eq!(engine.phases[0].slowed(), None);
    }

    #[test]
    fn what_is_unfinished_or_lacks_the_main_figures_is_not_judged() {
        let engine = made_up::engine(EngineName::Native);
        let one = std::slice::from_ref(&engine);
        assert_eq!(verdict(one, true, &[]).seed_pass, None);
        assert_eq!(verdict(&[], false, &[]).seed_pass, None);
        let mut lacking = engine;
        lacking.metrics.retain(|metric| metric.id != "cpu");
        let refused = verdict(&[lacking], false, &[]).refused;
        assert!(refused[0].contains("not measured: cpu"), "{refused:?}");
    }

    #[test]
    fn one_missed_target_fails_it_all() {
        let mut engine = made_up::engine(EngineName::Native);
        let memory = engine
            .metrics
            .iter_mut()
            .find(|metric| metric.id == "memory");
        memory.unwrap().against_seed = Grade::Warn;
        assert_eq!(verdict(&[engine], false, &[]).seed_pass, Some(false));
    }
}
