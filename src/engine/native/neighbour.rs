//! The neighbour head: each sensor from a few others, as a sparse matrix.

use crate::model::Linear;

/// A linear layer in compressed rows: training keeps at most eight neighbours of a sensor, so
/// most weights are zero.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    /// `[F]`
    bias: Vec<f32>,
    /// Where each row's terms end, `[F]`
    ends: Vec<usize>,
    /// Column and weight of the weights that are not zero, row by row.
    terms: Vec<(u32, f32)>,
}

impl Neighbour {
    /// The shapes have been checked.
    pub(super) fn pack(linear: &Linear) -> Neighbour {
        let mut terms = Vec::new();
        let mut ends = Vec::with_capacity(linear.output);
        for row in linear.weight.chunks_exact(linear.input) {
            let columns = (0u32..).zip(row).filter(|(_, weight)| **weight != 0.0);
            terms.extend(columns.map(|(column, weight)| (column, *weight)));
            ends.push(terms.len());
        }
        terms.shrink_to_fit();
        Neighbour {
            bias: linear.bias.clone(),
            ends,
            terms,
        }
    }

    /// What the others say of each sensor of the frame `x` `[F]`, into `estimate` `[F]`.
    pub(super) fn estimate(&self, x: &[f32], estimate: &mut [f32]) {
        let mut start = 0;
        for ((out, bias), &end) in estimate.iter_mut().zip(&self.bias).zip(&self.ends) {
            let terms = &self.terms[start..end];
            *out = terms.iter().fold(*bias, |sum, (column, weight)| {
                sum + weight * x[*column as usize]
            });
            start = end;
        }
    }
}
