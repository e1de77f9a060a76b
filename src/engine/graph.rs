//! The sensor graph: a Gaussian graphical model fitted in closed form.
//!
//! With C the covariance of the standardised sensors, P = (C + ρI)⁻¹ gives every sensor's
//! expectation from all others, with weights −P_ij / P_ii (Lauritzen, "Graphical Models", 1996,
//! section 5.1). The strongest neighbours are kept and refitted at the same ridge ρ.
//! Imports `model` only.

use std::collections::HashSet;

use nalgebra::{Cholesky, DMatrix, DVector};

use crate::model::Linear;
use crate::model::manifest::Edge;

/// ρ. A ridge ten times smaller gave thirty times the false alarms under drift.
pub const RIDGE: f64 = 0.2;
/// Neighbours kept a sensor: as good as all of them, and cheap.
pub const NEIGHBOURS: usize = 8;
/// Weights below this carry nothing and would only clutter the explanation.
const NEGLIGIBLE: f64 = 1e-4;

/// Mean and covariance of standardised rows, gathered in one pass; missing values are left out
/// pair by pair.
#[derive(Debug, Clone)]
pub struct Moments {
    sensors: usize,
    sum: DVector<f64>,
    count: DVector<f64>,
    product: DMatrix<f64>,
    pairs: DMatrix<f64>,
    complete: f64,
}

impl Moments {
    pub fn new(sensors: usize) -> Self {
        Moments {
            sensors,
            sum: DVector::zeros(sensors),
            count: DVector::zeros(sensors),
            product: DMatrix::zeros(sensors, sensors),
            pairs: DMatrix::zeros(sensors, sensors),
            complete: 0.0,
        }
    }

    /// Adds one row `[F]`; NaN is a missing value.
    pub fn add(&mut self, row: &[f32]) {
        let complete = row.iter().all(|value| value.is_finite());
        if complete {
            self.complete += 1.0;
        }
        for j in 0..self.sensors {
            let value = f64::from(row[j]);
            if !value.is_finite() {
                continue;
            }
            self.sum[j] += value;
            self.count[j] += 1.0;
            // The matrix is stored column by column.
            let start = j * self.sensors;
            let column = &mut self.product.as_mut_slice()[start..=start + j];
            if complete {
                for (product, other) in column.iter_mut().zip(row) {
                    *product += f64::from(*other) * value;
                }
            } else {
                for i in 0..=j {
                    if row[i].is_finite() {
                        column[i] += f64::from(row[i]) * value;
                        self.pairs[(i, j)] += 1.0;
                    }
                }
            }
        }
    }

    /// Takes out rows that were added: of all but a few rows it is quicker to take out the few.
    pub fn remove(&mut self, rows: &Moments) {
        self.sum -= &rows.sum;
        self.count -= &rows.count;
        self.product -= &rows.product;
        self.pairs -= &rows.pairs;
        self.complete -= rows.complete;
    }

    /// Mean `[F]`; 0 for a sensor that never reported.
    pub fn mean(&self) -> Vec<f64> {
        (0..self.sensors)
            .map(|i| self.sum[i] / self.count[i].max(1.0))
            .collect()
    }

    /// Covariance `[F,F]`, symmetric; 0 where two sensors never reported together.
    pub fn covariance(&self) -> DMatrix<f64> {
        let mean = self.mean();
        DMatrix::from_fn(self.sensors, self.sensors, |row, column| {
            let (i, j) = (row.min(column), row.max(column));
            let pairs = self.complete + self.pairs[(i, j)];
            if pairs < 2.0 {
                0.0
            } else {
                self.product[(i, j)] / pairs - mean[i] * mean[j]
            }
        })
    }
}

/// The fitted neighbour head.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorGraph {
    sensors: usize,
    /// m: the training mean of each standardised sensor.
    pub mean: Vec<f64>,
    /// Strongest first within each target.
    pub edges: Vec<Edge>,
}

impl SensorGraph {
    /// Fits the graph; `allowed`, when given, says which undirected edges may exist.
    pub fn fit(moments: &Moments, allowed: Option<&HashSet<(usize, usize)>>) -> Self {
        let covariance = moments.covariance();
        let sensors = moments.sensors;
        let may = |i: usize, j: usize| {
            allowed.is_none_or(|set| set.contains(&(i, j)) || set.contains(&(j, i)))
        };
        let precision = inverse(ridged(&covariance));
        let mut edges = Vec::new();
        for i in 0..sensors {
            let mut strongest: Vec<usize> = (0..sensors).filter(|&j| j != i && may(i, j)).collect();
            let weight = |j: usize| (precision[(i, j)] / precision[(i, i)]).abs();
            strongest.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
            strongest.truncate(NEIGHBOURS);
            strongest.retain(|&j| weight(j) > NEGLIGIBLE);
            let weights = regress(&covariance, i, &strongest);
            let mut of_target: Vec<Edge> = strongest
                .into_iter()
                .zip(weights)
                .map(|(source, weight)| Edge {
                    target: i,
                    source,
                    weight,
                })
                .collect();
            of_target.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
            edges.extend(of_target);
        }
        SensorGraph {
            sensors,
            mean: moments.mean(),
            edges,
        }
    }

    /// The head as one linear layer with a zero diagonal: expectation = W x + b.
    pub fn to_linear(&self) -> Linear {
        let mut weight = vec![0.0f32; self.sensors * self.sensors];
        let mut bias = self.mean.clone();
        for edge in &self.edges {
            weight[edge.target * self.sensors + edge.source] = edge.weight as f32;
            bias[edge.target] -= edge.weight * self.mean[edge.source];
        }
        Linear {
            input: self.sensors,
            output: self.sensors,
            weight,
            bias: bias.into_iter().map(|value| value as f32).collect(),
        }
    }

    /// What the graph expects of each sensor in the standardised row `x` `[F]`, into `out` `[F]`.
    /// A missing neighbour (NaN) counts as standing at its mean.
    pub fn expect(&self, x: &[f32], out: &mut [f32]) {
        let mut expected = self.mean.clone();
        for edge in &self.edges {
            let off = f64::from(x[edge.source]) - self.mean[edge.source];
            if off.is_finite() {
                expected[edge.target] += edge.weight * off;
            }
        }
        for (out, expected) in out.iter_mut().zip(expected) {
            *out = expected as f32;
        }
    }
}

fn ridged(covariance: &DMatrix<f64>) -> DMatrix<f64> {
    covariance + DMatrix::identity(covariance.nrows(), covariance.ncols()) * RIDGE
}

/// Inverse of a symmetric matrix that is positive definite up to rounding; pairwise deletion of
/// missing values can break definiteness, which more ridge mends.
fn inverse(mut matrix: DMatrix<f64>) -> DMatrix<f64> {
    loop {
        if let Some(factor) = Cholesky::new(matrix.clone()) {
            return factor.inverse();
        }
        for i in 0..matrix.nrows() {
            matrix[(i, i)] += RIDGE;
        }
    }
}

/// Ridge regression of sensor `i` on the sensors `on`: (C_SS + ρI)⁻¹ C_Si.
fn regress(covariance: &DMatrix<f64>, i: usize, on: &[usize]) -> Vec<f64> {
    if on.is_empty() {
        return Vec::new();
    }
    let block = DMatrix::from_fn(on.len(), on.len(), |a, b| covariance[(on[a], on[b])]);
    let target = DVector::from_fn(on.len(), |a, _| covariance[(on[a], i)]);
    (inverse(ridged(&block)) * target).iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in which sensor 2 follows 0 and 1, and sensor 3 is on its own.
    fn rows() -> Vec<[f32; 4]> {
        let wave = |row: usize, step: f64| (row as f64 * step).sin() as f32 * 1.4;
        (0..5_000)
            .map(|row| {
                let (a, b, own) = (wave(row, 0.37), wave(row, 0.11), wave(row, 0.73));
                [a, b, 0.5 * a + 0.5 * b, own]
            })
            .collect()
    }

    fn fitted(allowed: Option<&HashSet<(usize, usize)>>) -> SensorGraph {
        let mut moments = Moments::new(4);
        rows().iter().for_each(|row| moments.add(row));
        SensorGraph::fit(&moments, allowed)
    }

    #[test]
    fn a_follower_is_expected_from_those_it_follows() {
        let graph = fitted(None);
        let sources: Vec<usize> = graph
            .edges
            .iter()
            .filter(|e| e.target == 2)
            .take(2)
            .map(|e| e.source)
            .collect();
        assert!(sources.contains(&0) && sources.contains(&1), "{sources:?}");
        let mut expected = [0.0; 4];
        graph.expect(&[1.0, 1.0, -5.0, 0.0], &mut expected);
        assert!((0.6..1.0).contains(&expected[2]), "{expected:?}");
        assert!(expected[3].abs() < 0.05);
    }

    #[test]
    fn the_estimate_of_a_sensor_never_sees_it_and_matches_the_linear_layer() {
        let graph = fitted(None);
        let linear = graph.to_linear();
        for i in 0..4 {
            assert_eq!(linear.weight[i * 4 + i], 0.0);
        }
        let x = [0.3, -0.7, 2.0, 1.0];
        let mut expected = [0.0; 4];
        graph.expect(&x, &mut expected);
        for (i, expected) in expected.iter().enumerate() {
            let products = (0..4).map(|j| linear.weight[i * 4 + j] * x[j]);
            let by_layer = linear.bias[i] + products.sum::<f32>();
            assert!((by_layer - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn a_full_set_of_neighbours_agrees_with_the_precision_matrix() {
        let mut moments = Moments::new(4);
        rows().iter().for_each(|row| moments.add(row));
        let precision = inverse(ridged(&moments.covariance()));
        for edge in fitted(None).edges {
            let weight =
                -precision[(edge.target, edge.source)] / precision[(edge.target, edge.target)];
            assert!((weight - edge.weight).abs() < 1e-3, "{edge:?} {weight}");
        }
    }

    #[test]
    fn rows_taken_out_again_leave_no_trace() {
        let holed = |row: usize| {
            let mut values = rows()[row];
            values[row % 4] = if row.is_multiple_of(7) { f32::NAN } else { 9.0 };
            values
        };
        let gather = |range: std::ops::Range<usize>| {
            let mut moments = Moments::new(4);
            range.for_each(|row| moments.add(&holed(row)));
            moments
        };
        let mut rest = gather(0..300);
        rest.remove(&gather(100..300));
        let (rest, alone) = (rest.covariance(), gather(0..100).covariance());
        assert!((rest - &alone).abs().max() < 1e-12, "{alone}");
    }

    #[test]
    fn only_allowed_edges_exist() {
        let allowed = HashSet::from([(0, 2)]);
        let graph = fitted(Some(&allowed));
        assert!(
            graph
                .edges
                .iter()
                .all(|e| (e.target, e.source) == (0, 2) || (e.target, e.source) == (2, 0))
        );
        assert!(!graph.edges.is_empty());
    }

    #[test]
    fn missing_values_are_left_out_pair_by_pair() {
        let mut moments = Moments::new(4);
        for (row, values) in rows().iter().enumerate() {
            let mut values = *values;
            if row % 3 == 0 {
                values[row % 4] = f32::NAN;
            }
            moments.add(&values);
        }
        let with_holes = SensorGraph::fit(&moments, None);
        for edge in fitted(None).edges.iter().filter(|e| e.weight.abs() > 0.1) {
            let same = with_holes
                .edges
                .iter()
                .find(|e| (e.target, e.source) == (edge.target, edge.source))
                .unwrap();
            assert!((same.weight - edge.weight).abs() < 0.1, "{edge:?} {same:?}");
        }
    }
}
