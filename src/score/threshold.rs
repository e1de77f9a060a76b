//! From "at most N false alarms a week" to the thresholds of both charts.
//!
//! Peaks over a quantile, declustered, with an exponential tail: the excess of chart A is already
//! a sum of logarithms and taken linearly, chart B's is taken in logarithms.

use crate::model::manifest::{ChartTail, Charts};

const SECONDS_A_WEEK: f64 = 7.0 * 86_400.0;
/// Scores above this quantile form the tail.
const TAIL_QUANTILE: f64 = 0.98;
/// With fewer cluster peaks than this no tail is fitted: the largest score is the threshold.
const FEWEST_PEAKS: usize = 5;
/// No threshold is below this, or a plant that stood still while it was learnt would alarm at
/// anything: for chart A one sensor at u = 5 for one sample, for chart B one at u = 3, where chart A
/// begins to count. Real recordings come out above both.
const LEAST_A: f64 = 0.1;
const LEAST_B: f64 = 3.0;
/// Shares of the budget N: chart A is the better judge.
pub const SHARE_A: f64 = 0.8;
pub const SHARE_B: f64 = 0.2;

/// Which way a chart's excess over its quantile is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// p − w
    Linear,
    /// ln(p / w)
    Logarithmic,
}

/// Thresholds θ_A and θ_B for one budget.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Thresholds {
    pub a: f64,
    pub b: f64,
}

impl Thresholds {
    /// For `budget` false alarms a week.
    pub fn for_budget(charts: &Charts, budget: f64) -> Self {
        Thresholds {
            a: threshold(&charts.a, Excess::Linear, SHARE_A * budget),
            b: threshold(&charts.b, Excess::Logarithmic, SHARE_B * budget),
        }
    }

    /// The larger share of a threshold that either chart reaches: 1 is the threshold.
    pub fn ratio(&self, a: f32, b: f32) -> f64 {
        (f64::from(a) / self.a).max(f64::from(b) / self.b)
    }
}

/// The level that peaks of this tail pass `a_week` times a week, and at least the floor of its
/// chart.
pub fn threshold(tail: &ChartTail, excess: Excess, a_week: f64) -> f64 {
    let level = if tail.peaks < FEWEST_PEAKS {
        tail.largest
    } else {
        // The tail need not be exponential where the data are short. The largest score seen is the
        // level passed once in their time, so only what is rarer than that is extrapolated to.
        let weeks = tail.peaks as f64 / tail.peaks_per_week;
        let beyond = |from: f64, times: f64| {
            let reach = tail.mean_excess * times.max(1.0).ln();
            match excess {
                Excess::Linear => from + reach,
                Excess::Logarithmic => from * reach.exp(),
            }
        };
        beyond(tail.quantile, tail.peaks_per_week / a_week)
            .min(beyond(tail.largest, 1.0 / (a_week * weeks)))
    };
    level.max(match excess {
        Excess::Linear => LEAST_A,
        Excess::Logarithmic => LEAST_B,
    })
}

/// Describes the tail of out-of-sample `scores` (NaN where unscored) `period_seconds` apart.
/// Peaks nearer than `separation` samples belong to one cluster.
pub fn fit_tail(
    scores: &[f32],
    period_seconds: f64,
    separation: usize,
    excess: Excess,
) -> ChartTail {
    let mut sorted: Vec<f32> = scores
        .iter()
        .copied()
        .filter(|score| score.is_finite())
        .collect();
    sorted.sort_by(f32::total_cmp);
    let largest = f64::from(sorted.last().copied().unwrap_or(0.0));
    let quantile = quantile(&sorted, TAIL_QUANTILE);
    let peaks = cluster_peaks(scores, quantile as f32, separation);
    let weeks = (sorted.len() as f64 * period_seconds / SECONDS_A_WEEK).max(f64::MIN_POSITIVE);
    let over = |peak: &f32| match excess {
        Excess::Linear => f64::from(*peak) - quantile,
        Excess::Logarithmic => (f64::from(*peak) / quantile.max(1e-12)).ln(),
    };
    ChartTail {
        quantile,
        mean_excess: peaks.iter().map(over).sum::<f64>() / peaks.len().max(1) as f64,
        peaks_per_week: peaks.len() as f64 / weeks,
        peaks: peaks.len(),
        largest,
    }
}

/// The largest score of each cluster of scores above `level`.
fn cluster_peaks(scores: &[f32], level: f32, separation: usize) -> Vec<f32> {
    let mut peaks: Vec<f32> = Vec::new();
    let mut last_above: Option<usize> = None;
    for (row, &score) in scores.iter().enumerate() {
        if score > level {
            match (last_above, peaks.last_mut()) {
                (Some(last), Some(peak)) if row - last <= separation => *peak = peak.max(score),
                _ => peaks.push(score),
            }
            last_above = Some(row);
        }
    }
    peaks
}

/// Quantile `q` of `sorted`, interpolated linearly; 0 when empty.
pub fn quantile(sorted: &[f32], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let position = q * last as f64;
    let below = (position as usize).min(last);
    let above = (below + 1).min(last);
    let share = position - below as f64;
    f64::from(sorted[below]) * (1.0 - share) + f64::from(sorted[above]) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_near_each_other_are_one_cluster() {
        let scores = [0.0, 5.0, 6.0, 0.0, 7.0, 0.0, 0.0, 0.0, 8.0];
        assert_eq!(cluster_peaks(&scores, 1.0, 2), [7.0, 8.0]);
        assert_eq!(cluster_peaks(&scores, 1.0, 1), [6.0, 7.0, 8.0]);
    }

    #[test]
    fn an_exponential_tail_gives_the_asked_rate() {
        // Isolated peaks with an exponential excess of mean 1, one every 20 samples of 1 min; a
        // fixed permutation keeps neighbours unlike.
        let mut scores = vec![0.0f32; 1_000_000];
        for k in 0..50_000 {
            let share = (k as f64 + 0.5) / 50_000.0;
            scores[k * 7_919 % 50_000 * 20] = 2.0 - (share.ln() as f32);
        }
        let tail = fit_tail(&scores, 60.0, 10, Excess::Linear);
        let level = threshold(&tail, Excess::Linear, 1.0) as f32;
        let weeks = 1_000_000.0 / 10_080.0;
        let passed = scores.iter().filter(|&&score| score > level).count() as f64 / weeks;
        assert!(
            (0.8..1.25).contains(&passed),
            "{passed} a week over {level}"
        );
    }

    #[test]
    fn a_smaller_budget_never_lowers_the_threshold() {
        let tail = ChartTail {
            quantile: 4.0,
            mean_excess: 0.5,
            peaks_per_week: 30.0,
            peaks: 60,
            largest: 9.0,
        };
        for excess in [Excess::Linear, Excess::Logarithmic] {
            let levels = [100.0, 7.0, 1.0, 0.1].map(|n| threshold(&tail, excess, n));
            assert!(
                levels.windows(2).all(|pair| pair[0] <= pair[1]),
                "{levels:?}"
            );
            assert_eq!(levels[0], tail.quantile);
        }
    }

    #[test]
    fn a_tail_of_short_data_is_not_stretched_beyond_what_was_seen() {
        // A day with many everyday peaks: an exponential tail would put the level at 26.
        let tail = ChartTail {
            quantile: 3.0,
            mean_excess: 4.0,
            peaks_per_week: 1_750.0,
            peaks: 250,
            largest: 12.0,
        };
        assert_eq!(threshold(&tail, Excess::Linear, 7.0), 12.0);
        let once_in_four_weeks = threshold(&tail, Excess::Linear, 0.25);
        assert!((once_in_four_weeks - (12.0 + 4.0 * 28f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn too_few_peaks_fall_back_to_the_largest_score() {
        let tail = fit_tail(&[0.0, 0.0, 3.0, 0.0], 60.0, 1, Excess::Logarithmic);
        assert_eq!(threshold(&tail, Excess::Logarithmic, 1.0), 3.0);
        let silent = fit_tail(&[0.0; 50], 60.0, 1, Excess::Linear);
        assert_eq!(threshold(&silent, Excess::Linear, 1.0), LEAST_A);
        let silent = fit_tail(&[0.0; 50], 60.0, 1, Excess::Logarithmic);
        assert_eq!(threshold(&silent, Excess::Logarithmic, 1.0), LEAST_B);
    }
}
