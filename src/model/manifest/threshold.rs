//! Thresholds from what the manifest keeps of the out-of-sample scores, so that the number of
//! allowed false alarms can be changed without training (docs/detection.md, threshold).

use super::{ChartTail, Charts};

/// Peaks below which the tail says nothing: the largest score is the threshold then.
const MIN_PEAKS: usize = 5;
/// How the allowed false alarms are shared between the charts.
const SHARE_A: f64 = 0.8;
const SHARE_B: f64 = 0.2;

/// Scores at which an alarm is raised.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Thresholds {
    pub a: f64,
    pub b: f64,
}

impl Charts {
    /// The thresholds for at most `per_week` false alarms a week: chart A's tail is exponential
    /// (its score is a sum of logarithms), chart B's is a power.
    pub fn thresholds(&self, per_week: f64) -> Thresholds {
        let a = tail(&self.a, SHARE_A * per_week);
        let b = tail(&self.b, SHARE_B * per_week);
        Thresholds {
            a: a.map_or(self.a.largest, |excess| self.a.quantile + excess),
            b: b.map_or(self.b.largest, |excess| self.b.quantile * excess.exp()),
        }
    }
}

/// How far beyond the quantile a peak lies that comes `per_week` times a week.
fn tail(chart: &ChartTail, per_week: f64) -> Option<f64> {
    let rarity = (chart.peaks_per_week / per_week).max(1.0).ln();
    (chart.peaks >= MIN_PEAKS).then_some(chart.mean_excess * rarity)
}

#[cfg(test)]
mod tests {
    use super::super::example;

    #[test]
    fn fewer_allowed_alarms_mean_higher_thresholds() {
        let charts = example().charts;
        // w = 1.25, mean excess 0.5, 12 peaks a week
        let one = charts.thresholds(1.0);
        assert!((one.a - (1.25 + 0.5 * (12.0f64 / 0.8).ln())).abs() < 1e-12);
        assert!((one.b - 1.25 * (0.5 * (12.0f64 / 0.2).ln()).exp()).abs() < 1e-12);
        let seven = charts.thresholds(7.0);
        assert!(seven.a < one.a && seven.b < one.b);
        // More allowed than there were peaks: not below the quantile.
        let many = charts.thresholds(1000.0);
        assert_eq!((many.a, many.b), (1.25, 1.25));
    }

    #[test]
    fn with_few_peaks_the_largest_score_decides() {
        let mut charts = example().charts;
        charts.a.peaks = 4;
        assert_eq!(charts.thresholds(1.0).a, 3.5);
    }
}
