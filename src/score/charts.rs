//! The two control charts that sum up all columns of a sample.
//!
//! Chart A answers to fast deviations and to many sensors at once; it is the published score.
//! Chart B answers to a slow deviation of a single sensor; it serves alarms only.

use super::residual::Residuals;

/// u below this is everyday and adds nothing to chart A.
const EVERYDAY: f32 = 3.0;
/// Rate of chart A's average.
const CHART_RATE: f32 = 0.2;

/// Both charts at one sample, as the residuals say (`published`) and as flood control lets through.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Charts {
    /// Chart A without attenuation: the published score, at least 0.
    pub published: f32,
    /// Chart A after attenuation.
    pub a: f32,
    /// Chart B after attenuation.
    pub b: f32,
}

/// Keeps chart A's average over the stream.
#[derive(Debug, Clone, Default)]
pub struct ChartState {
    charts: Charts,
}

impl ChartState {
    pub fn restart(&mut self) {
        self.charts = Charts::default();
    }

    /// Sums up the newest sample of `residuals`. `attenuation` `[F]` holds v_i, by how many
    /// halvings flood control turns sensor i down.
    pub fn step(&mut self, residuals: &Residuals, attenuation: &[f32]) -> Charts {
        let (mut sum, mut attenuated, mut b) = (0.0f32, 0.0f32, 0.0f32);
        for (i, &halvings) in attenuation.iter().enumerate() {
            let (mut fast, mut slow) = (0.0f32, 0.0f32);
            for h in 0..residuals.heads() {
                fast = fast.max(residuals.fast(h)[i]);
                slow = slow.max(residuals.slow(h)[i]);
            }
            if fast > EVERYDAY {
                let unusual = (fast / EVERYDAY).ln();
                sum += unusual;
                attenuated += (unusual - std::f32::consts::LN_2 * halvings).max(0.0);
            }
            b = b.max(if halvings > 0.0 {
                slow * (-halvings).exp2()
            } else {
                slow
            });
        }
        self.charts.published += CHART_RATE * (sum - self.charts.published);
        self.charts.a += CHART_RATE * (attenuated - self.charts.a);
        self.charts.b = b;
        self.charts
    }
}

/// What sensor `i` alone adds to chart A and to chart B, without attenuation and averaging.
pub fn part(residuals: &Residuals, i: usize) -> (f32, f32) {
    let heads = 0..residuals.heads();
    let fast = heads.clone().map(|h| residuals.fast(h)[i]);
    let slow = heads.map(|h| residuals.slow(h)[i]);
    let fast = fast.fold(0.0, f32::max);
    let a = if fast > EVERYDAY {
        (fast / EVERYDAY).ln()
    } else {
        0.0
    };
    (a, slow.fold(0.0, f32::max))
}

#[cfg(test)]
mod tests {
    use super::super::residual::Column;
    use super::*;

    fn residuals_at(values: &[f32]) -> Residuals {
        let column = Column {
            median: 0.0,
            spread: 1.0,
            fast: 1.0,
            slow: 1.0,
        };
        let mut residuals = Residuals::new(values.len(), &vec![column; values.len()]);
        let ones = vec![1.0; values.len()];
        residuals.step(0, values, &vec![0.0; values.len()], &ones, true);
        residuals
    }

    #[test]
    fn everyday_deviations_leave_chart_a_at_zero() {
        let charts = ChartState::default().step(&residuals_at(&[2.9, -2.9]), &[0.0; 2]);
        assert_eq!((charts.published, charts.a), (0.0, 0.0));
        assert!((charts.b - 0.29).abs() < 1e-6);
    }

    #[test]
    fn chart_a_adds_sensors_up() {
        let residuals = residuals_at(&[3.0 * std::f32::consts::E, 3.0 * std::f32::consts::E]);
        let charts = ChartState::default().step(&residuals, &[0.0; 2]);
        assert!((charts.published - 0.4).abs() < 1e-6);
    }

    #[test]
    fn attenuation_turns_one_sensor_down_but_not_the_published_score() {
        let residuals = residuals_at(&[6.0, 12.0]);
        let charts = ChartState::default().step(&residuals, &[0.0, 2.0]);
        assert!((charts.a - 0.2 * 2f32.ln()).abs() < 1e-6);
        assert!((charts.published - 0.2 * (2f32.ln() + 4f32.ln())).abs() < 1e-6);
        assert!((charts.b - 0.6).abs() < 1e-6);
    }
}
