use super::*;
use crate::model::manifest::HeadKind;
use crate::score::residual::Column;
use proptest::prelude::*;

fn machine(budget: f64) -> (AlarmMachine, Scorer) {
    let config = AlarmConfig {
        max_false_alarms_per_week: budget,
        thresholds: Thresholds { a: 1.0, b: 1.0 },
        clear_after_nanos: 600_000_000_000,
        model: "test".to_owned(),
    };
    let column = Column {
        median: 0.0,
        spread: 1.0,
        fast: 1.0,
        slow: 1.0,
    };
    let scorer = Scorer::with_columns(vec![HeadKind::Raw], 2, &[column; 2]);
    (AlarmMachine::new(config, 2), scorer)
}

fn at(score: f64) -> Charts {
    Charts {
        published: score as f32,
        a: score as f32,
        b: 0.0,
    }
}

fn transitions(scores: &[f64], step_seconds: i64) -> Vec<(usize, Transition)> {
    let (mut machine, scorer) = machine(7.0);
    let mut seen = Vec::new();
    for (row, &score) in scores.iter().enumerate() {
        let time = Timestamp::from_seconds(row as i64 * step_seconds);
        if let Some((transition, _)) = machine.step(time, at(score), &scorer).change {
            seen.push((row, transition));
        }
    }
    seen
}

#[test]
fn one_fault_is_one_alarm() {
    let mut scores = vec![0.2; 5];
    scores.extend([1.5, 0.9, 3.0, 0.5, 2.0]);
    scores.extend([0.1; 30]);
    let seen = transitions(&scores, 60);
    assert_eq!(seen, [(5, Transition::Raised), (20, Transition::Cleared)]);
}

#[test]
fn a_slow_grid_still_takes_three_samples_to_clear() {
    let seen = transitions(&[2.0, 0.0, 0.0, 0.0, 0.0], 3_600);
    assert_eq!(seen, [(0, Transition::Raised), (3, Transition::Cleared)]);
}

#[test]
fn a_standing_alarm_repeats_its_notice() {
    let seen = transitions(&[1e6; 60], 3_600);
    assert_eq!(
        seen[..2],
        [(0, Transition::Raised), (6, Transition::Updated)]
    );
}

#[test]
fn the_id_is_stable_until_the_alarm_clears_and_new_for_the_next() {
    let (mut machine, scorer) = machine(7.0);
    let mut ids = Vec::new();
    for (row, score) in [2.0, 0.0, 0.0, 0.0, 4.0].iter().enumerate() {
        let time = Timestamp::from_seconds(row as i64 * 600);
        if let Some((_, open)) = machine.step(time, at(*score), &scorer).change {
            ids.push(open.id);
        }
    }
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[test]
fn confirming_opens_the_bar_for_the_next_alarm_and_twice_changes_nothing() {
    let (mut machine, scorer) = machine(7.0);
    let at_second = Timestamp::from_seconds;
    let raised = machine.step(at_second(0), at(2.0), &scorer).change.unwrap();
    let id = raised.1.id;
    assert_eq!((raised.1.bar, machine.flood().gain()), (1.0, 3.0));
    let unknown = machine.confirm("zzzz", Verdict::Real).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        format!("there is no alarm zzzz among the latest; they are {id}")
    );
    let confirmed = machine.confirm(&id, Verdict::Real).unwrap();
    assert_eq!((confirmed.returned, confirmed.is_on), (1.0, true));
    assert_eq!(machine.flood().gain(), 1.0);
    let before = machine.save();
    let again = machine.confirm(&id, Verdict::Real).unwrap();
    assert_eq!((again.returned, again.before), (0.0, Some(Verdict::Real)));
    assert_eq!(machine.save(), before);
    // What was said can be taken back.
    machine.confirm(&id, Verdict::Normal).unwrap();
    assert_eq!(machine.flood().gain(), 3.0);
    machine.confirm(&id, Verdict::Real).unwrap();
    assert_eq!(machine.flood().gain(), 1.0);
}

#[test]
fn a_judged_alarm_that_stands_is_not_charged_again() {
    for (verdict, notices) in [(Verdict::Real, 3), (Verdict::Normal, 0)] {
        let (mut machine, scorer) = machine(7.0);
        let (_, open) = (machine.step(Timestamp::EPOCH, at(2.0), &scorer).change).unwrap();
        machine.confirm(&open.id, verdict).unwrap();
        let level = machine.flood().level();
        assert_eq!(machine.is_frozen(), verdict == Verdict::Real);
        let mut told = 0;
        for hour in 1..20 {
            let judgement = machine.step(Timestamp::from_seconds(hour * 3_600), at(2.0), &scorer);
            if let Some((transition, open)) = judgement.change {
                assert_eq!(
                    (transition, open.verdict),
                    (Transition::Updated, Some(verdict))
                );
                told += 1;
            }
            assert!(machine.flood().level() <= level);
        }
        assert_eq!(told, notices, "{verdict:?}");
    }
}

#[test]
fn a_muted_alarm_is_quiet_until_it_clears_or_is_heard_again() {
    let (mut machine, scorer) = machine(7.0);
    let hour = |hour: i64| Timestamp::from_seconds(hour * 3_600);
    assert!(machine.step(hour(0), at(1e6), &scorer).change.is_some());
    machine.set_quiet(true);
    let level = machine.flood().level();
    for now in 1..30 {
        assert_eq!(machine.step(hour(now), at(1e6), &scorer).change, None);
        assert!(machine.flood().level() <= level);
    }
    machine.set_quiet(false);
    let (transition, open) = (machine.step(hour(30), at(1e6), &scorer).change).unwrap();
    assert_eq!((transition, open.raised_at), (Transition::Updated, hour(0)));
    machine.set_quiet(true);
    let mut last = None;
    for now in 31..35 {
        last = machine.step(hour(now), at(0.0), &scorer).change.or(last);
    }
    assert_eq!(last.unwrap().0, Transition::Cleared);
}

#[test]
fn an_alarm_that_stood_at_a_restart_is_the_same_one_and_clears() {
    for jump in [0, -365 * 24, 365 * 24, -56 * 365 * 24] {
        let (mut before, scorer) = machine(7.0);
        let hour = |hour: i64| Timestamp::from_seconds(hour * 3_600);
        let (_, open) = (before.step(hour(600_000), at(20.0), &scorer).change).unwrap();
        let saved = serde_json::to_string(&before.save()).unwrap();
        let (mut after, _) = machine(7.0);
        after.resume(serde_json::from_str(&saved).unwrap(), true);
        assert_eq!(after.save(), before.save());
        let start = 600_000 + jump;
        let mut told = Vec::new();
        for now in start..start + 12 {
            let change = after.step(hour(now), at(20.0), &scorer).change;
            told.extend(change.map(|(transition, open)| (transition, open.id)));
        }
        // It repeats its notice whatever the clock says.
        assert!(!told.is_empty(), "{jump}");
        assert!(
            told.iter()
                .all(|(transition, _)| *transition == Transition::Updated)
        );
        let level = after.flood().level();
        assert!(
            (2.0..5.0).contains(&level),
            "neither wiped nor wedged: {level}"
        );
        for now in start + 12..start + 16 {
            let change = after.step(hour(now), at(0.0), &scorer).change;
            told.extend(change.map(|(transition, open)| (transition, open.id)));
        }
        assert_eq!(told.last(), Some(&(Transition::Cleared, open.id)));
        // And the next one has another id.
        let (_, next) = (after.step(hour(start + 600), at(1e3), &scorer).change).unwrap();
        assert!(!told.iter().any(|(_, id)| *id == next.id));
    }
}

#[test]
fn only_the_latest_alarms_are_remembered() {
    let (mut machine, scorer) = machine(7.0);
    for day in 0..100 {
        for minute in 0..60 {
            let time = Timestamp::from_seconds(day * 86_400 * 3 + minute * 60);
            machine.step(time, at(if minute == 0 { 5.0 } else { 0.0 }), &scorer);
        }
    }
    assert_eq!(machine.recent().len(), RECENT_ALARMS);
    assert!(machine.save().flood.charges.len() <= RECENT_ALARMS);
}

proptest! {
    /// The promise: whatever the scores do, notices stay within the budget and a constant.
    #[test]
    fn notices_never_exceed_the_budget(
        scores in prop::collection::vec(prop_oneof![0.0..2.0f64, 0.0..1e4f64], 1..400),
        budget in 0.2..30.0f64,
        step in prop_oneof![Just(60i64), Just(3_600), Just(20_000)],
    ) {
        let (mut machine, scorer) = machine(budget);
        let mut notices = 0;
        for (row, score) in scores.iter().enumerate() {
            let time = Timestamp::from_seconds(row as i64 * step);
            let judgement = machine.step(time, at(*score), &scorer);
            if let Some((Transition::Raised | Transition::Updated, _)) = judgement.change {
                notices += 1;
            }
        }
        let weeks = (scores.len() as i64 * step) as f64 / (7.0 * 86_400.0);
        let largest = scores.iter().copied().fold(0.8, f64::max);
        let bound = budget * weeks + 1.0 + (largest / CLEAR_SHARE).log(3.0);
        prop_assert!(f64::from(notices) <= bound + 1e-6, "{notices} > {bound}");
    }

    /// The promise with people in it: notices of alarms that nobody confirms stay within the
    /// budget and a constant, whatever else is confirmed, taken back or muted.
    #[test]
    fn unconfirmed_notices_never_exceed_the_budget(
        scores in prop::collection::vec(prop_oneof![0.0..2.0f64, 0.0..1e4f64], 1..400),
        says in prop::collection::vec((0..6u8, 0..3usize, any::<bool>()), 1..400),
        budget in 0.2..30.0f64,
        step in prop_oneof![Just(60i64), Just(3_600), Just(20_000)],
    ) {
        let (mut machine, scorer) = machine(budget);
        let mut notices = Vec::new();
        // Also those that were confirmed only for a time: notices given then trusted a person.
        let mut real = std::collections::HashSet::new();
        for (row, score) in scores.iter().enumerate() {
            let time = Timestamp::from_seconds(row as i64 * step);
            let (say, which, quiet) = says[row % says.len()];
            machine.set_quiet(quiet);
            let judgement = machine.step(time, at(*score), &scorer);
            if let Some((Transition::Raised | Transition::Updated, open)) = judgement.change {
                notices.push(open.id);
            }
            let id = machine.recent().iter().rev().nth(which).map(|alarm| alarm.id.clone());
            if let (0..=2, Some(id)) = (say, id) {
                let verdict = if say == 0 { Verdict::Normal } else { Verdict::Real };
                machine.confirm(&id, verdict).unwrap();
                if verdict == Verdict::Real {
                    real.insert(id);
                }
            }
        }
        let unconfirmed = notices.iter().filter(|id| !real.contains(*id)).count();
        let weeks = (scores.len() as i64 * step) as f64 / (7.0 * 86_400.0);
        let largest = scores.iter().copied().fold(0.8, f64::max);
        let bound = budget * weeks + 1.0 + (largest / CLEAR_SHARE).log(3.0);
        prop_assert!(unconfirmed as f64 <= bound + 1e-6, "{unconfirmed} > {bound}");
    }

    /// Raised and cleared alternate, whatever the scores do.
    #[test]
    fn transitions_alternate(scores in prop::collection::vec(0.0..3.0f64, 1..300)) {
        let mut on = false;
        for (_, transition) in transitions(&scores, 120) {
            match transition {
                Transition::Raised => prop_assert!(!std::mem::replace(&mut on, true)),
                Transition::Updated => prop_assert!(on),
                Transition::Cleared => prop_assert!(std::mem::replace(&mut on, false)),
            }
        }
    }
}
