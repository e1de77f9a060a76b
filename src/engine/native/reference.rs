//! The architecture in f64, written down as PyTorch documents it and as slowly as that reads: what
//! the tests hold the engine against.

use crate::model::{Autoencoder, GraphLstm, Linear, LstmLayer};

/// The outputs for one `window` `[T,F]`: reconstruction `[T,F]` and neighbour estimate `[F]`.
pub(super) fn run(model: &GraphLstm, window: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let frames: Vec<Vec<f64>> = window
        .chunks(model.sensors)
        .map(|frame| frame.iter().map(|x| f64::from(*x)).collect())
        .collect();
    let reconstruction = match &model.autoencoder {
        Some(autoencoder) => autoencode(autoencoder, &frames).concat(),
        None => vec![0.0; window.len()],
    };
    let neighbour = match &model.neighbour {
        Some(head) => linear(head, &frames[frames.len() - 1]),
        None => vec![0.0; model.sensors],
    };
    (reconstruction, neighbour)
}

fn autoencode(model: &Autoencoder, frames: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let codes = lstm(&model.encoder, frames.to_vec());
    let last = codes[codes.len() - 1].clone();
    let decoded = lstm(&model.decoder, vec![last; frames.len()]);
    decoded.iter().map(|h| linear(&model.output, h)).collect()
}

/// `nn.LSTM` over a sequence from a zero state; all h of the last layer.
fn lstm(layers: &[LstmLayer], mut sequence: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for layer in layers {
        let mut h = vec![0.0; layer.hidden];
        let mut c = vec![0.0; layer.hidden];
        for x in &mut sequence {
            let gate = |gate: usize, unit: usize| {
                let row = gate * layer.hidden + unit;
                f64::from(layer.bias_ih[row])
                    + f64::from(layer.bias_hh[row])
                    + dot(&layer.weight_ih[row * layer.input..], x)
                    + dot(&layer.weight_hh[row * layer.hidden..], &h)
            };
            let mut next = h.clone();
            for unit in 0..layer.hidden {
                let [i, f, g, o] = [0, 1, 2, 3].map(|number| gate(number, unit));
                c[unit] = sigmoid(f) * c[unit] + sigmoid(i) * g.tanh();
                next[unit] = sigmoid(o) * c[unit].tanh();
            }
            h = next;
            x.clone_from(&h);
        }
    }
    sequence
}

fn linear(linear: &Linear, x: &[f64]) -> Vec<f64> {
    (0..linear.output)
        .map(|row| f64::from(linear.bias[row]) + dot(&linear.weight[row * linear.input..], x))
        .collect()
}

fn dot(weights: &[f32], x: &[f64]) -> f64 {
    weights.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Numbers that are the same on every machine: a linear congruential generator over ±1.
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub(super) fn next(&mut self) -> f32 {
        self.0 = (self.0)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(super) fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * scale).collect()
    }
}

/// A model with random weights in PyTorch's initial range ±1/√H, times `gain`.
pub(super) fn model(
    [sensors, window, hidden, layers]: [usize; 4],
    gain: f32,
    numbers: &mut Numbers,
) -> GraphLstm {
    let bound = gain / (hidden as f32).sqrt();
    let mut stack = |input: usize| -> Vec<LstmLayer> {
        (0..layers)
            .map(|index| {
                let input = if index == 0 { input } else { hidden };
                LstmLayer {
                    input,
                    hidden,
                    weight_ih: numbers.take(4 * hidden * input, bound),
                    weight_hh: numbers.take(4 * hidden * hidden, bound),
                    bias_ih: numbers.take(4 * hidden, bound),
                    bias_hh: numbers.take(4 * hidden, bound),
                }
            })
            .collect()
    };
    let autoencoder = Autoencoder {
        hidden,
        encoder: stack(sensors),
        decoder: stack(hidden),
        output: Linear {
            input: hidden,
            output: sensors,
            weight: numbers.take(sensors * hidden, bound),
            bias: numbers.take(sensors, bound),
        },
    };
    let mut weight = numbers.take(sensors * sensors, 0.3);
    for row in 0..sensors {
        for column in 0..sensors {
            if row == column || (row + 3 * column) % 5 > 1 {
                weight[row * sensors + column] = 0.0;
            }
        }
    }
    GraphLstm {
        sensors,
        window,
        autoencoder: Some(autoencoder),
        neighbour: Some(Linear {
            input: sensors,
            output: sensors,
            weight,
            bias: numbers.take(sensors, 0.1),
        }),
    }
}
