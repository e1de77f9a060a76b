//! A straight line through readings: does something grow, and how sure is that? Imports nothing.

use serde::{Deserialize, Serialize};

/// What a line rises by for each unit of x, and the standard error of that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    pub slope: f64,
    pub error: f64,
}

impl Slope {
    /// Least squares through points (x, y); none of fewer than three, or where all x are the same.
    pub fn through(points: &[(f64, f64)]) -> Option<Slope> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if points.len() < 3 || spread <= 0.0 {
            return None;
        }
        let common = |(x, y): &(f64, f64)| (x - mean_x) * (y - mean_y);
        let slope = points.iter().map(common).sum::<f64>() / spread;
        let off = |(x, y): &(f64, f64)| (y - mean_y - slope * (x - mean_x)).powi(2);
        let rest: f64 = points.iter().map(off).sum();
        Some(Slope {
            slope,
            error: (rest / (count - 2.0) / spread).sqrt(),
        })
    }

    pub fn times(self, factor: f64) -> Slope {
        Slope {
            slope: self.slope * factor,
            error: self.error * factor.abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_noise_is_found_with_its_error() {
        // By hand: mean x 1.5, spread 5, slope 1.4 of 7/5, residuals 0.1 -0.3 0.3 -0.1.
        let slope = Slope::through(&[(0.0, 1.0), (1.0, 2.0), (2.0, 4.0), (3.0, 5.0)]).unwrap();
        assert!((slope.slope - 1.4).abs() < 1e-12);
        assert!((slope.error - (0.2_f64 / 2.0 / 5.0).sqrt()).abs() < 1e-12);
        let flat = Slope::through(&[(0.0, 3.0), (1.0, 3.0), (2.0, 3.0)]).unwrap();
        assert_eq!((flat.slope, flat.error), (0.0, 0.0));
        assert_eq!(slope.times(2.0).slope, slope.slope * 2.0);
    }

    #[test]
    fn too_little_is_no_line() {
        assert_eq!(Slope::through(&[]), None);
        assert_eq!(Slope::through(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Slope::through(&[(1.0, 1.0); 5]), None);
    }
}
