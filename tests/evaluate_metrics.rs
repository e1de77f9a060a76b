//! VUS-PR and AUC-PR against the values of the reference packages, and the laws that they obey.
//!
//! The reference values come from `vus` 0.0.6 (`generate_curve(labels, scores, buffer, 'opt',
//! thresholds)`, the authors' package) and scikit-learn 1.9.1 (`average_precision_score`), run once
//! on the series below, which are defined by a formula.

use anomalyd::score::evaluate::{Grid, auc_pr, vus_pr};
use proptest::prelude::*;

struct Series {
    rows: usize,
    /// First anomalous row, first normal row after it.
    events: &'static [(usize, usize)],
    lift: f64,
    /// Scores are rounded down to multiples of one over this, to make ties.
    levels: Option<f64>,
}

impl Series {
    fn labels(&self) -> Vec<bool> {
        (0..self.rows)
            .map(|row| self.events.iter().any(|&(s, e)| (s..e).contains(&row)))
            .collect()
    }

    /// Noise, raised inside events and half as much on the three rows after each.
    fn scores(&self) -> Vec<f64> {
        let score = |row: usize| {
            let noise = ((row * row * 31 + row * 7919 + 12345) % 10007) as f64 / 10007.0;
            let inside = self.events.iter().any(|&(s, e)| (s..e).contains(&row));
            let mut score = noise + if inside { self.lift } else { 0.0 };
            for &(_, end) in self.events {
                if (end..end + 3).contains(&row) {
                    score += 0.5 * self.lift;
                }
            }
            match self.levels {
                Some(levels) => (score * levels).floor() / levels,
                None => score,
            }
        };
        (0..self.rows).map(score).collect()
    }
}

/// Buffer, thresholds, VUS-PR.
type VusValue = (usize, usize, f64);

/// Series, average precision, VUS-PR values.
#[rustfmt::skip]
fn reference() -> Vec<(Series, f64, [VusValue; 6])> {
    let series = |rows, events, lift, levels| Series { rows, events, lift, levels };
    vec![
        (series(200, &[(80, 100)], 0.5, None), 0.7493096144602169, [
            (0, 250, 0.7493096144602169), (5, 250, 0.7582635652744978),
            (20, 200, 0.7810600712252912), (20, 17, 0.7657057404784599),
            (100, 200, 0.8574459184676593), (100, 17, 0.8327945338555327)]),
        (series(300, &[(40, 60), (70, 75), (200, 230)], 0.4, None), 0.68709106633169, [
            (0, 250, 0.6857837468348404), (5, 250, 0.700112378820071),
            (20, 300, 0.7345870153801239), (20, 17, 0.690742500123606),
            (100, 250, 0.8471636730030603), (100, 300, 0.8480683542778543)]),
        (series(150, &[(0, 10), (145, 150)], 0.3, None), 0.46879443393029624, [
            (0, 250, 0.4687944339302963), (5, 250, 0.47345293052036097),
            (20, 150, 0.49527595740762415), (20, 17, 0.3409037390327453),
            (100, 250, 0.6512182851018408), (100, 17, 0.5162723231479479)]),
        (series(250, &[(50, 70), (150, 151)], 0.6, Some(4.0)), 0.6953422539171331, [
            (0, 250, 0.6745089205837997), (5, 250, 0.7097404323844637),
            (20, 250, 0.7731069995653673), (20, 17, 0.76901618736029),
            (100, 250, 0.8676411609335772), (100, 17, 0.8665215616970913)]),
        (series(400, &[(100, 130), (300, 320)], 0.0, None), 0.13267496127606107, [
            (0, 250, 0.13121088040913956), (5, 250, 0.14074826536721),
            (20, 400, 0.17139289917932649), (20, 17, 0.16856196197820814),
            (100, 250, 0.33541600345757117), (100, 400, 0.336888458446344)]),
        (series(120, &[(30, 40), (119, 120)], 0.7, None), 0.9679144385026738, [
            (0, 250, 0.8074866310160427), (5, 250, 0.8356968842324911),
            (20, 120, 0.8986658939528243), (20, 17, 0.7793470226861446),
            (100, 250, 0.9611964463829822), (100, 17, 0.9085707639768776)]),
        (series(60, &[(0, 60)], 0.0, None), 1.0, [
            (0, 250, 1.0), (5, 250, 1.0), (20, 60, 1.0), (20, 17, 1.0), (100, 60, 1.0),
            (100, 17, 1.0)]),
    ]
}

#[test]
fn vus_pr_has_the_values_of_the_reference_package() {
    for (series, _, values) in reference() {
        let (scores, labels) = (series.scores(), series.labels());
        for (buffer, thresholds, expected) in values {
            let ours = vus_pr(&scores, &labels, buffer, Grid::Ranks(thresholds)).unwrap();
            assert!(
                (ours - expected).abs() < 1e-9,
                "{} rows, buffer {buffer}, {thresholds} thresholds: {ours}, reference {expected}",
                series.rows
            );
            if thresholds == series.rows {
                let exact = vus_pr(&scores, &labels, buffer, Grid::EveryScore).unwrap();
                assert!((exact - expected).abs() < 1e-9, "exact grid: {exact}");
            }
        }
    }
}

#[test]
fn auc_pr_has_the_values_of_average_precision() {
    for (series, expected, _) in reference() {
        let ours = auc_pr(&series.scores(), &series.labels()).unwrap();
        assert!(
            (ours - expected).abs() < 1e-9,
            "{ours}, reference {expected}"
        );
    }
}

/// Scores with ties and missing values, and labels with at least one anomalous row.
fn recordings() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
    let score = prop_oneof![
        6 => -100.0..100.0f64,
        3 => (-3i32..3).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ];
    proptest::collection::vec((score, any::<bool>()), 1..120).prop_map(|rows| {
        let (scores, mut labels): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
        if !labels.contains(&true) {
            labels[scores.len() / 2] = true;
        }
        (scores, labels)
    })
}

fn grids() -> impl Strategy<Value = Grid> {
    prop_oneof![Just(Grid::EveryScore), (0usize..300).prop_map(Grid::Ranks)]
}

proptest! {
    #[test]
    fn metrics_lie_between_0_and_1((scores, labels) in recordings(), buffer in 0usize..80, grid in grids()) {
        let vus = vus_pr(&scores, &labels, buffer, grid).unwrap();
        let auc = auc_pr(&scores, &labels).unwrap();
        prop_assert!((0.0..=1.0).contains(&vus), "{vus}");
        prop_assert!((0.0..=1.0).contains(&auc), "{auc}");
    }

    #[test]
    fn only_the_order_of_scores_counts((scores, labels) in recordings(), buffer in 0usize..40, grid in grids()) {
        // Multiplying by a power of two keeps every distinction and every tie.
        let other: Vec<f64> = scores.iter().map(|score| score * 8.0).collect();
        prop_assert_eq!(vus_pr(&scores, &labels, buffer, grid), vus_pr(&other, &labels, buffer, grid));
        prop_assert_eq!(auc_pr(&scores, &labels), auc_pr(&other, &labels));
        let rows = scores.len();
        let ranks: Vec<f64> = scores
            .iter()
            .map(|score| scores.iter().filter(|other| *other < score).count())
            .zip(&scores)
            .map(|(rank, score)| if score.is_nan() { -1.0 } else { (rank as f64 / rows as f64).sqrt() })
            .collect();
        prop_assert_eq!(vus_pr(&scores, &labels, buffer, grid), vus_pr(&ranks, &labels, buffer, grid));
        prop_assert_eq!(auc_pr(&scores, &labels), auc_pr(&ranks, &labels));
    }

    #[test]
    fn a_perfect_ranking_scores_1((scores, labels) in recordings(), buffer in 0usize..40) {
        let perfect: Vec<f64> = scores
            .iter()
            .zip(&labels)
            .map(|(score, &label)| if label { 1000.0 } else { 0.0 } + score.clamp(-100.0, 100.0).max(-100.0))
            .collect();
        prop_assert!((vus_pr(&perfect, &labels, buffer, Grid::EveryScore).unwrap() - 1.0).abs() < 1e-9);
        prop_assert!((auc_pr(&perfect, &labels).unwrap() - 1.0).abs() < 1e-9);
    }

    /// The one-pass computation equals the definition, spelled out for every buffer and threshold.
    #[test]
    fn one_pass_equals_the_definition((scores, labels) in recordings(), buffer in 0usize..30) {
        let fast = vus_pr(&scores, &labels, buffer, Grid::EveryScore).unwrap();
        let slow = vus_pr_by_definition(&scores, &labels, buffer);
        prop_assert!((fast - slow).abs() < 1e-9, "{fast} by one pass, {slow} by definition");
    }
}

fn vus_pr_by_definition(scores: &[f64], labels: &[bool], buffer: usize) -> f64 {
    let rows = scores.len();
    let scores: Vec<f64> = scores
        .iter()
        .map(|score| {
            if score.is_nan() {
                f64::NEG_INFINITY
            } else {
                *score
            }
        })
        .collect();
    let mut thresholds = scores.clone();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let starts = (0..rows).filter(|&row| labels[row] && (row == 0 || !labels[row - 1]));
    let starts: Vec<usize> = starts.collect();
    let last_of =
        |start: usize| start + labels[start..].iter().take_while(|label| **label).count() - 1;
    let mut total = 0.0;
    for window in 0..=buffer {
        let half = window / 2;
        let mut soft = vec![0.0; rows];
        // Which rows belong to which group of (widened) events.
        let mut near = vec![false; rows];
        for &start in &starts {
            let last = last_of(start);
            for row in start.saturating_sub(half)..=(last + half).min(rows - 1) {
                near[row] = true;
                soft[row] += if row < start {
                    (1.0 - (start - row) as f64 / window as f64).sqrt()
                } else if row > last {
                    (1.0 - (row - last) as f64 / window as f64).sqrt()
                } else {
                    1.0
                };
            }
        }
        // Two groups that only adjoin stay two: number them by the gaps between widened events.
        let mut group_of = vec![usize::MAX; rows];
        let mut groups = 0;
        let mut reach: Option<usize> = None;
        for &start in &starts {
            let (first, last) = (
                start.saturating_sub(half),
                (last_of(start) + half).min(rows - 1),
            );
            if reach.is_none_or(|reach| reach < first) {
                groups += 1;
            }
            reach = Some(last);
            group_of[first..=last].fill(groups - 1);
        }
        assert!((0..rows).all(|row| near[row] == (group_of[row] != usize::MAX)));
        let mut recall_before = 0.0;
        for &threshold in &thresholds {
            let predicted: Vec<usize> = (0..rows).filter(|&row| scores[row] >= threshold).collect();
            let hits: f64 = predicted.iter().map(|&row| f64::min(soft[row], 1.0)).sum();
            let plain = predicted.iter().filter(|&&row| labels[row]).count() as f64;
            let mut touched: Vec<usize> = predicted.iter().map(|&row| group_of[row]).collect();
            touched.retain(|&group| group != usize::MAX);
            touched.sort_unstable();
            touched.dedup();
            let expected = (positives + positives + (hits - plain)) / 2.0;
            let recall = (hits / expected).min(1.0) * touched.len() as f64 / groups as f64;
            total += (recall - recall_before) * hits / predicted.len() as f64;
            recall_before = recall;
        }
    }
    total / (buffer + 1) as f64
}

#[test]
fn scores_that_know_nothing_come_out_near_the_anomalous_share() {
    let labels: Vec<bool> = (0..20_000).map(|row| row % 1000 >= 800).collect();
    let mut state = 1u64;
    let scores: Vec<f64> = labels
        .iter()
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) as f64
        })
        .collect();
    let auc = auc_pr(&scores, &labels).unwrap();
    let vus = vus_pr(&scores, &labels, 4, Grid::EveryScore).unwrap();
    assert!((auc - 0.2).abs() < 0.01, "{auc}");
    assert!((vus - 0.2).abs() < 0.02, "{vus}");
}

#[test]
fn rows_without_a_score_take_the_lowest_rank() {
    let labels = [false, true, true, false, false, false];
    let scored = [0.1, 0.9, f64::NAN, 0.2, 0.3, 0.0];
    let lowest = [0.1, 0.9, -9.0, 0.2, 0.3, 0.0];
    assert_eq!(
        vus_pr(&scored, &labels, 3, Grid::EveryScore),
        vus_pr(&lowest, &labels, 3, Grid::EveryScore)
    );
    assert_eq!(auc_pr(&scored, &labels), auc_pr(&lowest, &labels));
    assert_eq!(auc_pr(&scored, &labels), Some(0.5 + 0.5 * 2.0 / 6.0));
}

#[test]
fn without_anomalous_rows_there_is_no_figure() {
    assert_eq!(
        vus_pr(&[1.0, 2.0], &[false, false], 5, Grid::EveryScore),
        None
    );
    assert_eq!(vus_pr(&[], &[], 5, Grid::EveryScore), None);
    assert_eq!(auc_pr(&[1.0, 2.0], &[false, false]), None);
}

/// detection.md: with a rare event, 100 steps cannot tell rankings apart; the exact grid can.
#[test]
fn a_coarse_grid_hides_what_the_exact_one_shows() {
    let labels: Vec<bool> = (0..23_700)
        .map(|row| (17_580..17_741).contains(&row))
        .collect();
    let ranking = |ahead: usize| -> Vec<f64> {
        (0..23_700)
            .map(|row| match row {
                17_580..17_741 => 1000.0 + (row % 161) as f64,
                _ if row < ahead => 5000.0,
                _ => (row % 997) as f64,
            })
            .collect()
    };
    let value = |ahead, grid| vus_pr(&ranking(ahead), &labels, 100, grid).unwrap();
    let coarse = value(0, Grid::Ranks(100));
    let exact = value(0, Grid::EveryScore);
    assert!(exact > 0.99, "{exact}");
    assert!(coarse < 0.8, "{coarse}");
    assert!(value(40, Grid::EveryScore) < exact - 0.05);
}
