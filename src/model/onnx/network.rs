//! A [`GraphLstm`] as an ONNX graph. Imports `model` only.
//!
//! ```text
//! window [B,T,F] ─ Transpose ─ LSTM ─┬ last h ┬─ Concat ─ LSTM ─ Transpose ─ MatMul ─ Add ─ reconstruction [B,T,F]
//!        │                           └ T times┘
//!        └ Gather(newest frame) ─ Gemm ─ neighbour [B,F]
//! ```
//!
//! ONNX wants an LSTM's sequence as `[T,B,·]`, its gates in the order i, o, f, c where PyTorch has
//! i, f, g, o (c is PyTorch's g), and both biases in one tensor.

use super::protobuf::Message;
use super::schema::{self, Attribute};
use crate::model::{Autoencoder, GraphLstm, Linear, LstmLayer};

/// Where ONNX's gates i, o, f, c stand among PyTorch's i, f, g, o.
const GATES: [usize; 4] = [0, 3, 1, 2];

/// The name of the input, `[B,T,F]`.
pub const WINDOW: &str = "window";
/// The name of the first output, `[B,T,F]`.
pub const RECONSTRUCTION: &str = "reconstruction";
/// The name of the second output, `[B,F]`; only where the network has the head.
pub const NEIGHBOUR: &str = "neighbour";

/// `GraphProto` of the network.
pub fn graph(network: &GraphLstm) -> Message {
    let mut parts = Parts::default();
    let (window, sensors) = (network.window, network.sensors);
    match &network.autoencoder {
        Some(autoencoder) => parts.autoencoder(autoencoder, window),
        None => {
            parts.node("Shape", &[WINDOW], &["shape"], &[]);
            // Of zeros, unless told otherwise.
            parts.node("ConstantOfShape", &["shape"], &[RECONSTRUCTION], &[]);
        }
    }
    let mut outputs = vec![schema::value(
        RECONSTRUCTION,
        &[window, sensors],
        "the window as the autoencoder expects it, standardised; only its newest frame is scored",
    )];
    if let Some(linear) = &network.neighbour {
        parts.neighbour(linear, window);
        outputs.push(schema::value(
            NEIGHBOUR,
            &[sensors],
            "each sensor of the newest frame as the other sensors have it, standardised",
        ));
    }
    let input = schema::value(
        WINDOW,
        &[window, sensors],
        "frames, oldest first, each sensor as (value - mean) / deviation",
    );
    let name = "GraphLstmAutoencoder";
    schema::graph(name, &parts.nodes, &parts.constants, &[input], &outputs)
}

#[derive(Default)]
struct Parts {
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Parts {
    fn node(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], with: &[Setting]) {
        self.nodes
            .push(schema::node(operator, inputs, outputs, with));
    }

    fn autoencoder(&mut self, autoencoder: &Autoencoder, window: usize) {
        let hidden = autoencoder.hidden;
        // The only axis of length 1 to be taken out of an LSTM's [T,1,B,H]: directions.
        (self.constants).push(schema::integers("direction", &[1], &[1]));
        self.swap(WINDOW, "sequence");
        let mut sequence = "sequence".to_owned();
        let layers = autoencoder.encoder.len();
        for (index, layer) in autoencoder.encoder.iter().enumerate() {
            let name = format!("encoder_l{index}");
            if index + 1 < layers {
                sequence = self.lstm(&name, layer, &sequence);
            } else {
                self.lstm_tensors(&name, layer);
                self.lstm_node(&name, hidden, &sequence, &["", "code"]);
            }
        }
        // [1,B,H] T times. Expand would say it more shortly, but not every runtime takes a
        // sequence from it.
        let copies = vec!["code"; window];
        let axis = [("axis", Attribute::Integer(0))];
        self.node("Concat", &copies, &["codes"], &axis);
        let mut sequence = "codes".to_owned();
        for (index, layer) in autoencoder.decoder.iter().enumerate() {
            sequence = self.lstm(&format!("decoder_l{index}"), layer, &sequence);
        }
        self.swap(&sequence, "decoded");
        let Linear { input, output, .. } = autoencoder.output;
        let weight = &autoencoder.output.weight;
        let transposed =
            (0..input).flat_map(|column| weight.iter().skip(column).step_by(input).copied());
        self.constants.extend([
            schema::floats("output.weight", &[input, output], transposed),
            schema::floats(
                "output.bias",
                &[output],
                autoencoder.output.bias.iter().copied(),
            ),
        ]);
        self.node("MatMul", &["decoded", "output.weight"], &["product"], &[]);
        self.node("Add", &["product", "output.bias"], &[RECONSTRUCTION], &[]);
    }

    fn neighbour(&mut self, linear: &Linear, window: usize) {
        let Linear { input, output, .. } = *linear;
        self.constants.extend([
            schema::integers("newest", &[], &[window - 1]),
            schema::floats(
                "neighbour.weight",
                &[output, input],
                linear.weight.iter().copied(),
            ),
            schema::floats("neighbour.bias", &[output], linear.bias.iter().copied()),
        ]);
        let axis = [("axis", Attribute::Integer(1))];
        self.node("Gather", &[WINDOW, "newest"], &["frame"], &axis);
        let inputs = ["frame", "neighbour.weight", "neighbour.bias"];
        let transposed = [("transB", Attribute::Integer(1))];
        self.node("Gemm", &inputs, &[NEIGHBOUR], &transposed);
    }

    /// `[B,T,·]` to `[T,B,·]` or back.
    fn swap(&mut self, from: &str, to: &str) {
        let order = [("perm", Attribute::Integers(&[1, 0, 2]))];
        self.node("Transpose", &[from], &[to], &order);
    }

    /// A layer whose whole sequence is wanted; returns the name of that `[T,B,H]`.
    fn lstm(&mut self, name: &str, layer: &LstmLayer, sequence: &str) -> String {
        self.lstm_tensors(name, layer);
        let all = format!("{name}_all");
        self.lstm_node(name, layer.hidden, sequence, &[&all]);
        let one = format!("{name}_h");
        self.node("Squeeze", &[&all, "direction"], &[&one], &[]);
        one
    }

    fn lstm_node(&mut self, name: &str, hidden: usize, sequence: &str, outputs: &[&str]) {
        let [w, r, b] = lstm_names(name);
        let inputs = [sequence, w.as_str(), r.as_str(), b.as_str()];
        let size = [("hidden_size", Attribute::Integer(hidden))];
        self.node("LSTM", &inputs, outputs, &size);
    }

    /// `[1,4H,input]`, `[1,4H,H]` and `[1,8H]`
    fn lstm_tensors(&mut self, name: &str, layer: &LstmLayer) {
        let (input, hidden) = (layer.input, layer.hidden);
        let [w, r, b] = lstm_names(name);
        let biases = [&layer.bias_ih, &layer.bias_hh].into_iter();
        self.constants.extend([
            schema::floats(
                &w,
                &[1, 4 * hidden, input],
                reordered(&layer.weight_ih, hidden * input),
            ),
            schema::floats(
                &r,
                &[1, 4 * hidden, hidden],
                reordered(&layer.weight_hh, hidden * hidden),
            ),
            schema::floats(
                &b,
                &[1, 8 * hidden],
                biases.flat_map(|bias| reordered(bias, hidden)),
            ),
        ]);
    }
}

type Setting<'a> = (&'a str, Attribute<'a>);

/// ONNX's names of an LSTM's tensors are W, R and B.
fn lstm_names(layer: &str) -> [String; 3] {
    ["W", "R", "B"].map(|tensor| format!("{layer}.{tensor}"))
}

/// The gates' parts of a tensor, `part` values each, in ONNX's order.
fn reordered(values: &[f32], part: usize) -> impl Iterator<Item = f32> + '_ {
    GATES
        .into_iter()
        .flat_map(move |gate| values[gate * part..][..part].iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_come_in_onnxs_order() {
        // i, f, g, o of two units.
        let pytorch = [0.0, 0.1, 1.0, 1.1, 2.0, 2.1, 3.0, 3.1];
        let onnx: Vec<f32> = reordered(&pytorch, 2).collect();
        assert_eq!(onnx, [0.0, 0.1, 3.0, 3.1, 1.0, 1.1, 2.0, 2.1]);
    }
}
