//! The messages of ONNX that are written here, with the numbers of their fields (`onnx.proto3` of the
//! ONNX project). Imports `protobuf` only.

use super::protobuf::Message;

/// The version of the file format that goes with [`OPSET`].
pub const IR_VERSION: i64 = 7;
/// The version of the operators: old enough for runtimes of 2020 and later.
pub const OPSET: i64 = 13;

/// `TensorProto.DataType`
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// `ModelProto` of one graph.
pub fn model(graph: &Message, properties: &[(String, String)]) -> Message {
    let opset = Message::default().text(1, "").integer(2, OPSET);
    // The first two make the file's beginning, by which it is known as ours (`super::START`).
    let mut model = Message::default()
        .integer(1, IR_VERSION)
        .text(2, super::PRODUCER)
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, graph)
        .message(8, &opset);
    for (key, value) in properties {
        let entry = Message::default().text(1, key).text(2, value);
        model = model.message(14, &entry);
    }
    model
}

/// `GraphProto`: nodes in an order in which each finds its inputs computed.
pub fn graph(
    name: &str,
    nodes: &[Message],
    constants: &[Message],
    inputs: &[Message],
    outputs: &[Message],
) -> Message {
    let mut graph = Message::default();
    for node in nodes {
        graph = graph.message(1, node);
    }
    graph = graph.text(2, name);
    for (field, parts) in [(5, constants), (11, inputs), (12, outputs)] {
        for part in parts {
            graph = graph.message(field, part);
        }
    }
    graph
}

/// `NodeProto`, named after its operator's result; an output `""` is not wanted.
pub fn node(
    operator: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[(&str, Attribute)],
) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node = node.text(1, input);
    }
    for output in outputs {
        node = node.text(2, output);
    }
    let name = outputs.iter().find(|output| !output.is_empty());
    node = node
        .text(3, name.copied().unwrap_or_default())
        .text(4, operator);
    for (name, value) in attributes {
        node = node.message(5, &value.named(name));
    }
    node
}

/// The value of an `AttributeProto`.
pub enum Attribute<'a> {
    Integer(usize),
    Integers(&'a [usize]),
}

impl Attribute<'_> {
    /// Field 20 says which of the value's fields counts.
    fn named(&self, name: &str) -> Message {
        let attribute = Message::default().text(1, name);
        match self {
            Attribute::Integer(value) => attribute.integer(3, *value as i64).integer(20, 2),
            Attribute::Integers(values) => (values.iter())
                .fold(attribute, |so_far, value| so_far.integer(8, *value as i64))
                .integer(20, 7),
        }
    }
}

/// `TensorProto` of float32 values, row-major.
pub fn floats(name: &str, shape: &[usize], values: impl Iterator<Item = f32>) -> Message {
    let raw: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    tensor(name, FLOAT, shape, &raw)
}

/// `TensorProto` of int64 values.
pub fn integers(name: &str, shape: &[usize], values: &[usize]) -> Message {
    let raw: Vec<u8> = (values.iter())
        .flat_map(|value| (*value as i64).to_le_bytes())
        .collect();
    tensor(name, INT64, shape, &raw)
}

fn tensor(name: &str, kind: i64, shape: &[usize], raw: &[u8]) -> Message {
    (shape.iter())
        .fold(Message::default(), |tensor, length| {
            tensor.integer(1, *length as i64)
        })
        .integer(2, kind)
        .text(8, name)
        .bytes(9, raw)
}

/// `ValueInfoProto`: a float32 input or output `[batch, rest…]`, of any batch.
pub fn value(name: &str, rest: &[usize], meaning: &str) -> Message {
    let batch = Message::default().text(2, "batch");
    let mut shape = Message::default().message(1, &batch);
    for length in rest {
        let dimension = Message::default().integer(1, *length as i64);
        shape = shape.message(1, &dimension);
    }
    let tensor = Message::default().integer(1, FLOAT).message(2, &shape);
    let kind = Message::default().message(1, &tensor);
    Message::default()
        .text(1, name)
        .message(2, &kind)
        .text(3, meaning)
}
