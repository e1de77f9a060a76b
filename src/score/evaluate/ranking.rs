//! Scores put in order: the threshold steps that every ranking metric walks through, and the area
//! under the precision-recall curve. Imports nothing from the crate.

/// Average precision: Σ (recall_k − recall_{k−1}) · precision_k over the distinct scores, highest
/// first (the step-wise AUC-PR of scikit-learn's `average_precision_score`; no interpolation, which
/// would be too kind; Davis and Goadrich, ICML 2006).
///
/// Equal scores form one step. A row without a score (NaN) takes the lowest rank. `None` when no
/// row is labelled anomalous: the metric has no meaning then.
///
/// # Panics
/// When the slices differ in length.
pub fn auc_pr(scores: &[f64], labels: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "one label for each score");
    let positives = labels.iter().filter(|&&label| label).count();
    if positives == 0 {
        return None;
    }
    let steps = Steps::new(scores, &every_rank(scores.len()));
    let mut hits = vec![0usize; steps.count()];
    for (&step, _) in steps.of_row.iter().zip(labels).filter(|(_, label)| **label) {
        hits[step as usize] += 1;
    }
    let (mut found, mut area) = (0usize, 0.0);
    for (&new, &predicted) in hits.iter().zip(&steps.predicted) {
        found += new;
        area += new as f64 / positives as f64 * (found as f64 / predicted as f64);
    }
    Some(area.min(1.0))
}

/// Thresholds from the highest to the lowest: step k predicts every row scored at or above its own.
pub(super) struct Steps {
    /// `[rows]`: the first step that predicts the row.
    pub of_row: Vec<u32>,
    /// `[steps]`: how many rows the step predicts.
    pub predicted: Vec<usize>,
}

impl Steps {
    /// `ranks` are places in the descending order of the scores, rising, the last one being the
    /// last place: then every row has a step. Ranks of equal scores become one step.
    pub fn new(scores: &[f64], ranks: &[usize]) -> Self {
        let ranked: Vec<f64> = scores.iter().map(|&score| rankable(score)).collect();
        let mut sorted = ranked.clone();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut thresholds: Vec<f64> = ranks.iter().map(|&rank| sorted[rank]).collect();
        thresholds.dedup();
        let of_row: Vec<u32> = ranked
            .iter()
            .map(|&score| thresholds.partition_point(|&threshold| threshold > score) as u32)
            .collect();
        let mut predicted = vec![0; thresholds.len()];
        for &step in &of_row {
            predicted[step as usize] += 1;
        }
        let mut sum = 0;
        for count in &mut predicted {
            sum += *count;
            *count = sum;
        }
        Steps { of_row, predicted }
    }

    pub fn count(&self) -> usize {
        self.predicted.len()
    }
}

pub(super) fn every_rank(rows: usize) -> Vec<usize> {
    (0..rows).collect()
}

/// NaN takes the lowest rank; −0 and 0 are the same score (`total_cmp` would part them).
fn rankable(score: f64) -> f64 {
    if score.is_nan() {
        f64::NEG_INFINITY
    } else {
        score + 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_missing_and_signed_zero_form_one_step_each() {
        let scores = [0.0, -0.0, 2.0, f64::NAN, 2.0, f64::NEG_INFINITY];
        let steps = Steps::new(&scores, &every_rank(scores.len()));
        assert_eq!(steps.of_row, [1, 1, 0, 2, 0, 2]);
        assert_eq!(steps.predicted, [2, 4, 6]);
    }

    #[test]
    fn average_precision_of_a_ranking_worked_out_by_hand() {
        let scores = [0.9, 0.8, 0.7, 0.6, 0.5];
        let labels = [true, false, true, false, true];
        let by_hand = (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0;
        assert!((auc_pr(&scores, &labels).unwrap() - by_hand).abs() < 1e-12);
        assert_eq!(auc_pr(&[1.0; 5], &labels), Some(0.6));
        assert_eq!(auc_pr(&scores, &[true; 5]), Some(1.0));
        assert_eq!(auc_pr(&scores, &[false; 5]), None);
        assert_eq!(auc_pr(&[], &[]), None);
    }
}
