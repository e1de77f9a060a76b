//! Weights in the order in which the products read them.

use super::{Block, LANES};

/// Four gates, or four runs of eight rows.
const QUARTERS: usize = 4;

/// The weights of one group and eight columns, aligned so that the widest load never crosses a
/// cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Columns(pub [Block; QUARTERS * LANES]);

/// A matrix `[rows,K]` packed for products with a vector of K values.
///
/// Rows are taken in groups of four times eight. For each group and each of the K columns the four
/// blocks of eight rows lie side by side, so a product walks straight through memory, and for LSTM
/// weights the four gates of eight units end up in four registers, ready for the cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    groups: usize,
    depth: usize,
    /// `[groups][depth]`, each `[8][4]`
    columns: Vec<Columns>,
}

impl Panel {
    /// Packs gate weights `[4H,K]` of one LSTM layer, each gate scaled by its entry of `scales`.
    pub fn gates(weight: &[f32], hidden: usize, columns: usize, scales: [f64; 4]) -> Panel {
        Panel::pack(Block::count(hidden), columns, |group, quarter, lane, k| {
            let unit = group * LANES + lane;
            (unit < hidden).then(|| {
                let value = weight[(quarter * hidden + unit) * columns + k];
                (f64::from(value) * scales[quarter]) as f32
            })
        })
    }

    /// Packs a plain matrix `[rows,K]`.
    pub fn rows(weight: &[f32], rows: usize, columns: usize) -> Panel {
        let groups = rows.div_ceil(LANES * QUARTERS);
        Panel::pack(groups, columns, |group, quarter, lane, k| {
            let row = (group * QUARTERS + quarter) * LANES + lane;
            (row < rows).then(|| weight[row * columns + k])
        })
    }

    fn pack(
        groups: usize,
        columns: usize,
        value: impl Fn(usize, usize, usize, usize) -> Option<f32>,
    ) -> Panel {
        let depth = Block::count(columns);
        let mut packed = vec![Columns([Block::ZERO; QUARTERS * LANES]); groups * depth];
        for group in 0..groups {
            for k in 0..columns {
                for quarter in 0..QUARTERS {
                    let eight = &mut packed[group * depth + k / LANES];
                    let block = &mut eight.0[k % LANES * QUARTERS + quarter];
                    for (lane, slot) in block.0.iter_mut().enumerate() {
                        *slot = value(group, quarter, lane, k).unwrap_or(0.0);
                    }
                }
            }
        }
        Panel {
            groups,
            depth,
            columns: packed,
        }
    }

    /// Number of groups of four blocks of rows.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// ⌈K/8⌉, the length of an input in blocks.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The weights of one group, eight columns an entry.
    #[inline(always)]
    pub(super) fn group(&self, group: usize) -> &[Columns] {
        &self.columns[group * self.depth..][..self.depth]
    }
}

/// Packs the biases `[4H]` of an LSTM layer in the row order of [`Panel::gates`].
pub fn gate_bias(bias: impl Fn(usize) -> f64, hidden: usize, scales: [f64; 4]) -> Vec<Block> {
    let mut blocks = vec![Block::ZERO; Block::count(hidden) * QUARTERS];
    for unit in 0..hidden {
        for (quarter, scale) in scales.iter().enumerate() {
            blocks[unit / LANES * QUARTERS + quarter].0[unit % LANES] =
                (bias(quarter * hidden + unit) * scale) as f32;
        }
    }
    blocks
}
