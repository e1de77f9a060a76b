//! Our architecture as the entries of a TorchScript archive: the object tree as a pickle, the
//! storages, and the TorchScript source of its classes. Imports `model` only.
//!
//! The classes are named as PyTorch names scripted `nn.LSTM` and `nn.Linear`, so that the module
//! reads in Python as what it is. The sources name no size: they are the same for every F, T and H.

use super::Entry;
use crate::model::{GraphLstm, LstmLayer};

/// The class of the top module.
pub const CLASS: &str = "GraphLstmAutoencoder";
const MODULE: &str = "__torch__.anomalyd";
const LSTM_MODULE: &str = "__torch__.torch.nn.modules.rnn";
const LINEAR_MODULE: &str = "__torch__.torch.nn.modules.linear";

/// The attribute that keeps T, which no weight tells.
pub const WINDOW_ATTRIBUTE: &str = "window_length";
/// The attribute that keeps F, which a module without any head does not tell otherwise.
pub const SENSORS_ATTRIBUTE: &str = "sensor_count";

/// Every entry of the archive of `network`, without `extra/`, in the order in which to write them.
pub fn entries(network: &GraphLstm) -> Vec<Entry> {
    let mut pickle = Pickle::new();
    pickle.object(MODULE, CLASS);
    if let Some(auto) = &network.autoencoder {
        for (name, stack) in [("encoder", &auto.encoder), ("decoder", &auto.decoder)] {
            pickle.text(name);
            pickle.object(LSTM_MODULE, "LSTM");
            for (index, layer) in stack.iter().enumerate() {
                pickle.lstm_layer(index, layer);
            }
            pickle.end_object();
        }
    }
    let output = network.autoencoder.as_ref().map(|auto| &auto.output);
    for (name, linear) in [
        ("output", output),
        ("neighbour", network.neighbour.as_ref()),
    ] {
        if let Some(linear) = linear {
            pickle.text(name);
            pickle.object(LINEAR_MODULE, "Linear");
            pickle.tensor("weight", &[linear.output, linear.input], &linear.weight);
            pickle.tensor("bias", &[linear.output], &linear.bias);
            pickle.end_object();
        }
    }
    pickle.text(WINDOW_ATTRIBUTE);
    pickle.integer(network.window);
    pickle.text(SENSORS_ATTRIBUTE);
    pickle.integer(network.sensors);
    pickle.end_object();
    let (data, storages) = pickle.finish();

    let mut entries = vec![Entry::new("data.pkl", data)];
    entries.extend(
        storages
            .into_iter()
            .enumerate()
            .map(|(key, bytes)| Entry::new(format!("data/{key}"), bytes)),
    );
    let mut code = |path: &str, source: String| {
        entries.push(Entry::new(
            format!("code/__torch__/{path}.py"),
            source.into_bytes(),
        ));
    };
    code("anomalyd", top_source(network));
    if let Some(auto) = &network.autoencoder {
        code("torch/nn/modules/rnn", lstm_source(auto.encoder.len()));
    }
    if network.autoencoder.is_some() || network.neighbour.is_some() {
        code("torch/nn/modules/linear", linear_source());
    }
    // An empty tuple: no constants.
    entries.push(Entry::new("constants.pkl", b"\x80\x02).".to_vec()));
    entries.push(Entry::new("byteorder", b"little".to_vec()));
    entries.push(Entry::new("version", b"3\n".to_vec()));
    entries
}

/// A writer of the pickle that `torch.jit.load` expects (protocol 2), without a memo.
struct Pickle {
    bytes: Vec<u8>,
    storages: Vec<Vec<u8>>,
}

impl Pickle {
    fn new() -> Self {
        Pickle {
            bytes: b"\x80\x02".to_vec(),
            storages: Vec::new(),
        }
    }

    fn finish(mut self) -> (Vec<u8>, Vec<Vec<u8>>) {
        self.bytes.push(b'.');
        (self.bytes, self.storages)
    }

    fn global(&mut self, module: &str, name: &str) {
        self.bytes
            .extend_from_slice(format!("c{module}\n{name}\n").as_bytes());
    }

    /// GLOBAL, EMPTY_TUPLE, NEWOBJ, then a dict of attributes that stays open.
    fn object(&mut self, module: &str, class: &str) {
        self.global(module, class);
        self.bytes.extend_from_slice(b")\x81}(");
        self.text("training");
        // NEWFALSE: the module is in eval mode.
        self.bytes.push(0x89);
    }

    /// SETITEMS, BUILD
    fn end_object(&mut self) {
        self.bytes.extend_from_slice(b"ub");
    }

    /// BINUNICODE; every text written here is a short name.
    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// LONG1 of eight bytes holds every count.
    fn integer(&mut self, value: usize) {
        self.bytes.extend_from_slice(b"\x8a\x08");
        self.bytes.extend_from_slice(&(value as u64).to_le_bytes());
    }

    fn integers(&mut self, values: &[usize]) {
        self.bytes.push(b'(');
        for &value in values {
            self.integer(value);
        }
        self.bytes.push(b't');
    }

    /// An attribute with a contiguous f32 tensor in a storage of its own. It is written as
    /// trainable, so that tch's `TrainableCModule` takes it as a variable.
    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let strides: Vec<usize> = (0..shape.len())
            .map(|axis| shape[axis + 1..].iter().product())
            .collect();
        self.text(name);
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.bytes.extend_from_slice(b"((");
        self.text("storage");
        self.global("torch", "FloatStorage");
        self.text(&self.storages.len().to_string());
        self.text("cpu");
        self.integer(values.len());
        self.bytes.extend_from_slice(b"tQ");
        self.integer(0);
        self.integers(shape);
        self.integers(&strides);
        self.bytes.push(0x88);
        self.global("collections", "OrderedDict");
        self.bytes.extend_from_slice(b")RtR");
        self.storages.push(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        );
    }

    fn lstm_layer(&mut self, index: usize, layer: &LstmLayer) {
        let gates = 4 * layer.hidden;
        for (name, shape, values) in [
            ("weight_ih", vec![gates, layer.input], &layer.weight_ih),
            ("weight_hh", vec![gates, layer.hidden], &layer.weight_hh),
            ("bias_ih", vec![gates], &layer.bias_ih),
            ("bias_hh", vec![gates], &layer.bias_hh),
        ] {
            self.tensor(&format!("{name}_l{index}"), &shape, values);
        }
    }
}

fn top_source(network: &GraphLstm) -> String {
    let auto = network.autoencoder.is_some();
    let neighbour = network.neighbour.is_some();
    let mut attributes = String::new();
    if auto {
        attributes += &format!("  encoder : {LSTM_MODULE}.LSTM\n  decoder : {LSTM_MODULE}.LSTM\n");
        attributes += &format!("  output : {LINEAR_MODULE}.Linear\n");
    }
    if neighbour {
        attributes += &format!("  neighbour : {LINEAR_MODULE}.Linear\n");
    }
    let reconstruction = if auto {
        "    encoder = self.encoder
    decoder = self.decoder
    output = self.output
    _0, h, = (encoder).forward(window, )
    last = torch.unsqueeze(torch.select(h, 0, -1), 1)
    steps = torch.repeat(last, [1, torch.size(window, 1), 1])
    decoded, _1, = (decoder).forward(steps, )
    reconstruction = (output).forward(decoded, )
"
    } else {
        "    reconstruction = torch.zeros_like(window)\n"
    };
    let (result, rest) = if neighbour {
        (
            "Tuple[Tensor, Tensor]",
            "    neighbour = self.neighbour
    estimate = (neighbour).forward(torch.select(window, 1, -1), )
    return (reconstruction, estimate)
",
        )
    } else {
        ("Tensor", "    return reconstruction\n")
    };
    format!(
        "class {CLASS}(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
{attributes}  {WINDOW_ATTRIBUTE} : int
  {SENSORS_ATTRIBUTE} : int
  def forward(self: {MODULE}.{CLASS},
    window: Tensor) -> {result}:
{reconstruction}{rest}"
    )
}

/// `nn.LSTM` with `batch_first=True`; returns the outputs `[B,T,H]` and the last h `[layers,B,H]`.
fn lstm_source(layers: usize) -> String {
    let names: Vec<String> = (0..layers)
        .flat_map(|layer| {
            ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| format!("{name}_l{layer}"))
        })
        .collect();
    let each = |line: &dyn Fn(&String) -> String| names.iter().map(line).collect::<String>();
    format!(
        "class LSTM(Module):
  __parameters__ = [{parameters}]
  __buffers__ = []
{attributes}  training : bool
  def forward(self: {LSTM_MODULE}.LSTM,
    input: Tensor) -> Tuple[Tensor, Tensor]:
{locals}    start = torch.new_zeros(input, [{layers}, torch.size(input, 0), torch.size(weight_hh_l0, 1)])
    weights = [{weights}]
    training = self.training
    output, h, c, = torch.lstm(input, [start, start], weights, True, {layers}, 0., training, False, True)
    return (output, h)
",
        parameters = each(&|name| format!("\"{name}\", ")),
        attributes = each(&|name| format!("  {name} : Tensor\n")),
        locals = each(&|name| format!("    {name} = self.{name}\n")),
        weights = names.join(", "),
    )
}

fn linear_source() -> String {
    format!(
        "class Linear(Module):
  __parameters__ = [\"weight\", \"bias\", ]
  __buffers__ = []
  weight : Tensor
  bias : Tensor
  training : bool
  def forward(self: {LINEAR_MODULE}.Linear,
    input: Tensor) -> Tensor:
    weight = self.weight
    bias = self.bias
    return torch.linear(input, weight, bias)
"
    )
}
