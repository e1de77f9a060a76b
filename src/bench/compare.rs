//! Two results against each other: has anything become worse? Imports its siblings' plain types.

use super::outcome::{EngineOutcome, Outcome};
use super::target::Better;

/// What may change by how much: the seed's ratios.
const RULES: &[Rule] = &[
    rule("memory", Better::Lower, 1.1),
    rule("latency_mean", Better::Lower, 1.2),
    rule("throughput", Better::Higher, 0.9),
    rule("streamed", Better::Higher, 0.9),
    rule("replayed", Better::Higher, 0.9),
    rule("cpu", Better::Lower, 1.15),
];

struct Rule {
    metric: &'static str,
    better: Better,
    /// Current to base.
    limit: f64,
}

const fn rule(metric: &'static str, better: Better, limit: f64) -> Rule {
    Rule {
        metric,
        better,
        limit,
    }
}

/// One figure in both results.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub engine: &'static str,
    pub metric: String,
    pub unit: String,
    pub base: f64,
    pub current: f64,
    /// Current to base.
    pub ratio: f64,
    pub limit: f64,
    pub better: Better,
    pub regressed: bool,
}

/// Why two results cannot be compared; empty when they can.
pub fn obstacles(base: &Outcome, current: &Outcome) -> Vec<String> {
    let mut obstacles = Vec::new();
    let mut differ = |what: &str, base: String, current: String| {
        if base != current {
            obstacles.push(format!("{what}: {base} before, {current} now"));
        }
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let (before, now) = (&base.machine, &current.machine);
    differ("board", text(&before.board), text(&now.board));
    differ("processor", text(&before.processor), text(&now.processor));
    differ(
        "architecture",
        before.architecture.clone(),
        now.architecture.clone(),
    );
    differ("cores", before.cores.to_string(), now.cores.to_string());
    differ("governor", text(&before.governor), text(&now.governor));
    let names = |outcome: &Outcome| {
        let names: Vec<&str> = outcome
            .engines
            .iter()
            .map(|one| one.engine.name())
            .collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    differ("engines", names(base), names(current));
    for engine in &base.engines {
        if let Some(other) = current.engine(engine.engine) {
            differ(
                "model",
                engine.model.digest.clone(),
                other.model.digest.clone(),
            );
        }
    }
    for (which, outcome) in [("base", base), ("current", current)] {
        let slowed =
            |engine: &EngineOutcome| engine.phases.iter().any(|one| one.slowed() == Some(true));
        if outcome.engines.iter().any(slowed) {
            obstacles.push(format!("the machine was throttled in the {which} result"));
        }
        let uncapped = |engine: &EngineOutcome| !engine.cap.active;
        if outcome.engines.iter().any(uncapped) {
            obstacles.push(format!("the memory cap was inactive in the {which} result"));
        }
    }
    obstacles
}

/// Every figure that both results have and a rule is about.
pub fn changes(base: &Outcome, current: &Outcome) -> Vec<Change> {
    let mut changes = Vec::new();
    for before in &base.engines {
        let Some(now) = current.engine(before.engine) else {
            continue;
        };
        changes.extend(RULES.iter().filter_map(|rule| change(rule, before, now)));
    }
    changes
}

fn change(rule: &Rule, before: &EngineOutcome, now: &EngineOutcome) -> Option<Change> {
    let metric = now.metric(rule.metric)?;
    let (base, current) = (before.value(rule.metric)?, metric.value?);
    let ratio = current / base;
    Some(Change {
        engine: now.engine.name(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        base,
        current,
        ratio,
        limit: rule.limit,
        better: rule.better,
        // A figure that was 0 and is not any more has no ratio to be within.
        regressed: match rule.better {
            Better::Lower => ratio > rule.limit,
            Better::Higher => ratio < rule.limit,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::made_up;
    use crate::health::Throttle;

    fn set(outcome: &mut Outcome, id: &str, value: f64) {
        let metrics = &mut outcome.engines[0].metrics;
        let metric = metrics.iter_mut().find(|metric| metric.id == id);
        metric.unwrap().value = Some(value);
    }

    #[test]
    fn the_seeds_ratios_decide() {
        let mut base = made_up::outcome();
        for rule in RULES {
            set(&mut base, rule.metric, 100.0);
        }
        assert!(changes(&base, &base).iter().all(|change| !change.regressed));
        assert_eq!(changes(&base, &base).len(), RULES.len());
        for (id, within, beyond) in [
            ("memory", 109.9, 110.1),
            ("latency_mean", 119.9, 120.1),
            ("throughput", 90.1, 89.9),
            ("streamed", 90.1, 89.9),
            ("replayed", 90.1, 89.9),
            ("cpu", 114.9, 115.1),
        ] {
            let regressed = |value: f64| {
                let mut current = base.clone();
                set(&mut current, id, value);
                let all = changes(&base, &current);
                all.iter().filter(|change| change.regressed).count()
            };
            assert_eq!((regressed(within), regressed(beyond)), (0, 1), "{id}");
        }
    }

    #[test]
    fn what_is_not_alike_is_not_compared() {
        let base = made_up::outcome();
        assert_eq!(obstacles(&base, &base), Vec::<String>::new());
        let with = |change: fn(&mut Outcome), word: &str| {
            let mut current = base.clone();
            change(&mut current);
            let found = obstacles(&base, &current);
            assert!(
                found.iter().any(|one| one.contains(word)),
                "{word}: {found:?}"
            );
        };
        with(
            |one| one.machine.processor = Some("other".to_owned()),
            "processor",
        );
        with(|one| one.machine.board = None, "board");
        with(|one| one.machine.cores = 1, "cores");
        with(
            |one| one.engines.clear(),
            "engines: native before, none now",
        );
        with(|one| one.engines[0].model.digest = "x".to_owned(), "model");
        with(
            |one| one.engines[0].cap.active = false,
            "cap was inactive in the current",
        );
        let throttle = |one: &mut Outcome| {
            one.engines[0].phases[0].readings[0].throttle = Some(Throttle::from_bits(4));
        };
        with(throttle, "throttled in the current");
    }

    #[test]
    fn a_figure_that_one_result_lacks_is_left_out() {
        let base = made_up::outcome();
        let mut current = base.clone();
        current.engines[0]
            .metrics
            .retain(|metric| metric.id != "cpu");
        assert_eq!(changes(&base, &current).len(), RULES.len() - 1);
    }
}
