//! One set of tests for all kernels of the machine, against plain f64.

use super::*;

/// Numbers that are the same on every machine: a linear congruential generator over ±1.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f32> {
        let next = |_| {
            self.0 = (self.0)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }
}

/// Sizes around the edges of blocks, groups and triples.
const EDGES: [usize; 12] = [1, 2, 3, 7, 8, 9, 15, 31, 32, 33, 64, 100];

fn blocks(values: &[f32]) -> Vec<Block> {
    let mut blocks = vec![Block::ZERO; Block::count(values.len())];
    Block::fill(&mut blocks, values);
    blocks
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn products_agree_for_all_edge_sizes() {
    for rows in EDGES {
        for columns in EDGES {
            let mut numbers = Numbers(rows as u64 * 1000 + columns as u64);
            let weight = numbers.take(rows * columns);
            let bias = numbers.take(rows);
            let x = numbers.take(columns);
            let panel = Panel::rows(&weight, rows, columns);
            let mut packed_bias = vec![Block::ZERO; panel.groups() * 4];
            Block::fill(&mut packed_bias[..Block::count(rows)], &bias);
            for kernel in Kernel::available() {
                let mut out = vec![Block([7.0; LANES]); panel.groups() * 4];
                kernel.project(&panel, &packed_bias, &blocks(&x), &mut out);
                let mut ours = vec![0.0; rows];
                Block::spill(&out, &mut ours);
                for (row, ours) in ours.iter().enumerate() {
                    let terms = weight[row * columns..].iter().zip(&x);
                    let exact: f64 = terms.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    let error = (f64::from(*ours) - exact - f64::from(bias[row])).abs();
                    let name = kernel.name();
                    assert!(error < 5e-6, "{name} {rows}x{columns} row {row}: {error:e}");
                }
            }
        }
    }
}

/// One step of `count` states from `first` on, in f64: h and c `[ring,H]`.
struct ExactStep<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    hidden: usize,
    h: &'a [f32],
    c: &'a [f32],
}

impl ExactStep<'_> {
    fn unit(&self, slot: usize, unit: usize) -> (f64, f64) {
        let h = &self.h[slot * self.hidden..][..self.hidden];
        let [i, f, g, o] = [0, 1, 2, 3].map(|gate| {
            let row = gate * self.hidden + unit;
            let weights = &self.weight[row * self.hidden..][..self.hidden];
            let terms = weights.iter().zip(h);
            let sum: f64 = terms.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            sum + f64::from(self.bias[row])
        });
        let before = f64::from(self.c[slot * self.hidden + unit]);
        let c = sigmoid(f) * before + sigmoid(i) * g.tanh();
        (sigmoid(o) * c.tanh(), c)
    }
}

#[test]
fn steps_agree_for_all_edge_sizes_and_ranges_of_states() {
    let ring = 8;
    for hidden in EDGES {
        let mut numbers = Numbers(hidden as u64);
        let weight = numbers.take(4 * hidden * hidden);
        let bias = numbers.take(4 * hidden);
        let h = numbers.take(ring * hidden);
        let c = numbers.take(ring * hidden);
        let exact = ExactStep {
            weight: &weight,
            bias: &bias,
            hidden,
            h: &h,
            c: &c,
        };
        let panel = Panel::gates(&weight, hidden, hidden, GATE_SCALES);
        let projection = gate_bias(|row| f64::from(bias[row]), hidden, GATE_SCALES);
        let rows =
            |values: &[f32]| -> Vec<Block> { values.chunks(hidden).flat_map(blocks).collect() };
        let inputs = rows(&h);
        for kernel in Kernel::available() {
            for (first, count) in [
                (0, 0),
                (0, 1),
                (7, 2),
                (2, 3),
                (6, 4),
                (5, 5),
                (0, 8),
                (3, 8),
            ] {
                let step = Step {
                    projection: &projection,
                    products: &[Product {
                        weights: &panel,
                        inputs: &inputs,
                    }],
                    first,
                    count,
                    ring,
                    backward: count % 2 == 1,
                };
                let (mut new_h, mut new_c) = (inputs.clone(), rows(&c));
                kernel.advance(&step, &mut new_h, &mut new_c);
                let length = Block::count(hidden);
                for slot in 0..ring {
                    let chosen = (slot + ring - first) % ring < count;
                    for unit in 0..hidden {
                        let at = (slot * length + unit / LANES, unit % LANES);
                        let ours = [new_h[at.0].0[at.1], new_c[at.0].0[at.1]].map(f64::from);
                        let old = [h[slot * hidden + unit], c[slot * hidden + unit]];
                        let expected = match chosen {
                            true => exact.unit(slot, unit).into(),
                            false => old.map(f64::from),
                        };
                        for (ours, expected) in ours.into_iter().zip(expected) {
                            let error = (ours - expected).abs();
                            let name = kernel.name();
                            assert!(error < 1e-6, "{name} H={hidden} {first}+{count}: {error:e}");
                        }
                    }
                }
            }
        }
    }
}

/// h and c of one unit with the given gate sums and cell state.
fn one_cell(kernel: Kernel, gates: [f64; 4], c: f32) -> [f64; 2] {
    let projection = gate_bias(|row| gates[row], 1, GATE_SCALES);
    let step = Step {
        projection: &projection,
        products: &[],
        first: 0,
        count: 1,
        ring: 1,
        backward: false,
    };
    let (mut h, mut c) = ([Block::ZERO], blocks(&[c]));
    kernel.advance(&step, &mut h, &mut c);
    [f64::from(h[0].0[0]), f64::from(c[0].0[0])]
}

/// The largest error that `docs/performance.md` states for one activation.
const ACTIVATION_ERROR: f64 = 2e-7;

#[test]
fn activations_keep_to_the_stated_error_over_the_whole_range() {
    for kernel in Kernel::available() {
        let mut worst = [0.0f64; 3];
        for n in -80_000..=80_000 {
            let x = f64::from(n) / 2500.0;
            // Forget nothing, take nothing in: c = σ(x) of a cell state of 1.
            let [_, sigma] = one_cell(kernel, [-99.0, x, 0.0, 0.0], 1.0);
            worst[0] = worst[0].max((sigma - sigmoid(x)).abs());
            // Forget everything, take all in: c = tanh(x); all out: h = tanh(tanh(x)).
            let [h, c] = one_cell(kernel, [99.0, -99.0, x, 99.0], 0.5);
            worst[1] = worst[1].max((c - x.tanh()).abs());
            worst[2] = worst[2].max((h - c.tanh()).abs());
        }
        for (what, worst) in ["sigmoid", "tanh of g", "tanh of c"].iter().zip(worst) {
            println!("{} {what}: {worst:e}", kernel.name());
            assert!(
                worst < ACTIVATION_ERROR,
                "{} {what}: {worst:e}",
                kernel.name()
            );
        }
    }
}

#[test]
fn gates_of_zero_are_exact_and_absurd_ones_stay_finite() {
    for kernel in Kernel::available() {
        assert_eq!(one_cell(kernel, [0.0; 4], 0.0), [0.0, 0.0]);
        assert_eq!(one_cell(kernel, [0.0; 4], 1.0)[1], 0.5);
        for absurd in [1e30, -1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for c in [0.0, 1024.0, -1024.0] {
                let [h, c] = one_cell(kernel, [absurd; 4], c);
                assert!(
                    h.abs() <= 1.0 && c.abs() <= 1025.0,
                    "{absurd} gives h={h}, c={c}"
                );
            }
        }
    }
}

#[test]
fn the_best_kernel_is_the_last_available_one() {
    let all = Kernel::available();
    assert_eq!(all.first(), Some(&Kernel::portable()));
    assert_eq!(all.last(), Some(&Kernel::best()));
    #[cfg(target_arch = "aarch64")]
    assert_eq!(Kernel::best().name(), "neon");
}
