//! From out-of-sample residuals of normal data to the scorer's constants and the charts' tails.
//!
//! Two passes over the same streaming code that the daemon runs: the first finds each column's
//! spread and the scale of its two speeds, the second what the charts do on normal data.

use super::charts::ChartState;
use super::residual::{CLIP_Z, Column, Residuals, SLOW_RATE};
use super::threshold::{Excess, Thresholds, fit_tail, quantile};
use crate::model::manifest::{Charts, ResidualSpread};

/// IQR of a standard normal.
const NORMAL_IQR: f64 = 1.349;
/// 99 % quantile of |z| of a standard normal.
const NORMAL_Q99: f64 = 2.576;
/// Median of |z| of a standard normal.
const NORMAL_MEDIAN: f64 = 0.6745;
/// s0 is never below this, in standardised units: a normally constant sensor that moves counts,
/// but cannot alone explode the score.
const SPREAD_FLOOR: f64 = 0.02;
/// sig is never below this, at each speed. Columns of real noise come out well above; a column
/// that never moved would otherwise divide by zero.
const FAST_FLOOR: f64 = 0.5;
const SLOW_FLOOR: f64 = 0.5 * SLOW_RATE as f64;

/// Out-of-sample residuals of all heads on the training rows.
#[derive(Debug, Clone)]
pub struct OutOfSample {
    pub sensors: usize,
    /// One `[N,F]` array a head; NaN where the sensor was stale or the head could not say.
    pub heads: Vec<Vec<f32>>,
    /// `[N]`, true where a row does not follow from the one before it.
    pub restart: Vec<bool>,
    pub period_seconds: f64,
}

/// What calibration finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// `[heads][F]`
    pub spreads: Vec<Vec<ResidualSpread>>,
    pub charts: Charts,
    /// `[N]` chart A on the training rows, out of sample; NaN where unscored.
    pub a: Vec<f32>,
    /// `[N]` chart B likewise.
    pub b: Vec<f32>,
    separation: usize,
}

impl Calibration {
    /// How many alarms these very rows would have raised, without flood control.
    pub fn alarms(&self, thresholds: Thresholds) -> usize {
        let mut alarms = 0;
        let mut last_above: Option<usize> = None;
        for (row, (&a, &b)) in self.a.iter().zip(&self.b).enumerate() {
            if thresholds.ratio(a, b) >= 1.0 {
                if last_above.is_none_or(|last| row - last > self.separation) {
                    alarms += 1;
                }
                last_above = Some(row);
            }
        }
        alarms
    }
}

/// Calibrates on `residuals`; `separation` is the number of samples that part two alarms.
pub fn calibrate(residuals: &OutOfSample, separation: usize) -> Calibration {
    let mut spreads = Vec::with_capacity(residuals.heads.len());
    for head in &residuals.heads {
        let of_head = (0..residuals.sensors).map(|i| {
            let column: Vec<f32> = head
                .iter()
                .skip(i)
                .step_by(residuals.sensors)
                .copied()
                .collect();
            column_spread(&column, &residuals.restart)
        });
        spreads.push(of_head.collect());
    }
    let (a, b) = replay_charts(residuals, &spreads);
    let charts = Charts {
        a: fit_tail(&a, residuals.period_seconds, separation, Excess::Linear),
        b: fit_tail(
            &b,
            residuals.period_seconds,
            separation,
            Excess::Logarithmic,
        ),
    };
    Calibration {
        spreads,
        charts,
        a,
        b,
        separation,
    }
}

/// Constants of one column from its residuals `[N]` (NaN where missing).
pub fn column_spread(residual: &[f32], restart: &[bool]) -> ResidualSpread {
    let mut sorted: Vec<f32> = residual.iter().copied().filter(|r| r.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let median = quantile(&sorted, 0.5);
    let iqr = quantile(&sorted, 0.75) - quantile(&sorted, 0.25);
    let mut off: Vec<f32> = sorted.iter().map(|r| (r - median as f32).abs()).collect();
    off.sort_by(f32::total_cmp);
    let spread = (iqr / NORMAL_IQR)
        .max(quantile(&off, 0.99) / NORMAL_Q99)
        .max(SPREAD_FLOOR);

    // Run the column through the daemon's own update with unit scales to see its two speeds.
    let unit = Column {
        median: median as f32,
        spread: spread as f32,
        fast: 1.0,
        slow: 1.0,
    };
    let mut stream = Residuals::new(1, &[unit]);
    let (mut fast, mut slow) = (
        Vec::with_capacity(sorted.len()),
        Vec::with_capacity(sorted.len()),
    );
    for (row, &r) in residual.iter().enumerate() {
        if restart[row] {
            stream.restart();
        }
        if r.is_finite() {
            stream.step(0, &[r], &[0.0], &[1.0], false);
            fast.push(stream.fast(0)[0]);
            slow.push(stream.average(0)[0].abs());
        }
    }
    ResidualSpread {
        median,
        spread,
        fast: scale(&mut fast).clamp(FAST_FLOOR, f64::from(CLIP_Z)),
        slow: scale(&mut slow).clamp(SLOW_FLOOR, f64::from(CLIP_Z)),
    }
}

/// sig = max(median|E| / 0.6745, q99|E| / 2.576)
fn scale(magnitudes: &mut [f32]) -> f64 {
    magnitudes.sort_by(f32::total_cmp);
    (quantile(magnitudes, 0.5) / NORMAL_MEDIAN).max(quantile(magnitudes, 0.99) / NORMAL_Q99)
}

/// Charts A and B over the residuals, each `[N]`, as the daemon would have drawn them without any
/// alarm.
fn replay_charts(residuals: &OutOfSample, spreads: &[Vec<ResidualSpread>]) -> (Vec<f32>, Vec<f32>) {
    let sensors = residuals.sensors;
    let columns: Vec<Column> = spreads
        .iter()
        .flatten()
        .map(|spread| Column {
            median: spread.median as f32,
            spread: spread.spread as f32,
            fast: spread.fast as f32,
            slow: spread.slow as f32,
        })
        .collect();
    let mut stream = Residuals::new(sensors, &columns);
    let mut charts = ChartState::default();
    let rows = residuals.restart.len();
    let zeros = vec![0.0; sensors];
    let (mut x, mut scored) = (vec![0.0; sensors], vec![0.0; sensors]);
    let mut drawn = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for row in 0..rows {
        if residuals.restart[row] {
            stream.restart();
            charts.restart();
        }
        let mut any = false;
        for (h, head) in residuals.heads.iter().enumerate() {
            let of_row = &head[row * sensors..(row + 1) * sensors];
            for i in 0..sensors {
                let known = of_row[i].is_finite();
                any |= known;
                scored[i] = if known { 1.0 } else { 0.0 };
                x[i] = if known { of_row[i] } else { 0.0 };
            }
            stream.step(h, &x, &zeros, &scored, false);
        }
        let point = charts.step(&stream, &zeros);
        let keep = |value: f32| if any { value } else { f32::NAN };
        drawn.0.push(keep(point.published));
        drawn.1.push(keep(point.b));
    }
    drawn
}
