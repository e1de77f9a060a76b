//! Reading the module in an archive: our own architecture with its weights, whoever wrote it, or a
//! foreign module. Imports `model` only.

use super::forward::{self, Meaning, Modules};
use super::pickle::{Id, Tree, Value};
use super::{Archive, ArchiveError, emit};
use crate::model::{
    Autoencoder, GraphLstm, Linear, LstmLayer, MAX_DIMENSION, MAX_LAYERS, Network, TensorError,
};

/// A pickle, or the source of a class, at most.
const MAX_TEXT_BYTES: u64 = 16 << 20;
/// A storage at most; several tensors may lie in one.
const MAX_STORAGE_BYTES: u64 = 256 << 20;
/// T of a module that does not tell it.
pub const DEFAULT_WINDOW: usize = 10;

const SAVE_AS: &str =
    "save a module with `torch.jit.script(module).save(path)`, not with torch.save";

/// What the archive computes. A module that is not ours in every respect is foreign, which is no
/// error.
///
/// # Errors
/// The archive is damaged or not TorchScript.
pub fn recognise(archive: &mut Archive) -> Result<Network, ArchiveError> {
    if archive.contains("byteorder") && archive.read("byteorder", 64)? != b"little" {
        return Err(ArchiveError::Layout(
            "it was written by a big-endian machine; save it again on a little-endian one"
                .to_owned(),
        ));
    }
    let pickle = archive.read("data.pkl", MAX_TEXT_BYTES)?;
    let tree = Tree::parse(&pickle)
        .map_err(|error| ArchiveError::Layout(format!("its data.pkl: {error}; {SAVE_AS}")))?;
    let Some((module, class)) = tree.class(tree.root()) else {
        return Err(ArchiveError::Layout(format!(
            "its data.pkl holds no module; {SAVE_AS}"
        )));
    };
    if !module.starts_with("__torch__") {
        return Err(ArchiveError::Layout(format!(
            "its top object is {module}.{class}, no TorchScript module; {SAVE_AS}"
        )));
    }
    let class = class.to_owned();
    match ours(archive, &tree) {
        Ok(network) => Ok(Network::GraphLstm(network)),
        Err(NotOurs::Foreign(reason)) => {
            log::debug!("module {class} is not the known architecture: {reason}");
            Ok(Network::Foreign { class })
        }
        Err(NotOurs::Damaged(error)) => Err(error),
    }
}

enum NotOurs {
    Foreign(String),
    Damaged(ArchiveError),
}

impl From<String> for NotOurs {
    fn from(reason: String) -> Self {
        NotOurs::Foreign(reason)
    }
}

impl From<ArchiveError> for NotOurs {
    fn from(error: ArchiveError) -> Self {
        NotOurs::Damaged(error)
    }
}

fn ours(archive: &mut Archive, tree: &Tree) -> Result<GraphLstm, NotOurs> {
    let top = tree.root();
    for (name, value) in tree.attributes(top) {
        let known = matches!(name, "encoder" | "decoder" | "output" | "neighbour");
        if !known && !is_plain(tree, value) {
            return Err(format!("it has an attribute {name}").into());
        }
    }
    let count = |name: &str| {
        tree.attribute(top, name)
            .and_then(|id| tree.integer(id))
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| (1..=MAX_DIMENSION).contains(count))
    };
    let mut lstms = [Meaning::Nothing, Meaning::Nothing];
    let autoencoder = match ["encoder", "decoder", "output"].map(|name| tree.attribute(top, name)) {
        [Some(encoder), Some(decoder), Some(output)] => {
            let encoder = lstm(archive, tree, encoder)?;
            let decoder = lstm(archive, tree, decoder)?;
            let output = linear(archive, tree, output)?;
            lstms = [encoder.1, decoder.1];
            Some(Autoencoder {
                hidden: encoder.0[0].hidden,
                encoder: encoder.0,
                decoder: decoder.0,
                output,
            })
        }
        [None, None, None] => None,
        _ => {
            return Err("it lacks one of encoder, decoder and output"
                .to_owned()
                .into());
        }
    };
    let neighbour = match tree.attribute(top, "neighbour") {
        Some(id) => Some(linear(archive, tree, id)?),
        None => None,
    };
    let sensors = match (&autoencoder, &neighbour) {
        (Some(auto), _) => auto.encoder[0].input,
        (None, Some(linear)) => linear.input,
        (None, None) => count(emit::SENSORS_ATTRIBUTE)
            .ok_or_else(|| "it has none of the known submodules".to_owned())?,
    };
    let modules = Modules {
        autoencoder: autoencoder.is_some(),
        neighbour: neighbour.is_some(),
        layers: autoencoder.as_ref().map_or(0, |auto| auto.encoder.len()),
    };
    let (source, class) = class_source(archive, tree, top)?;
    let [encoder, decoder] = &lstms;
    let integer = |name: &str| tree.attribute(top, name).and_then(|id| tree.integer(id));
    let fixed = forward::check(&source, class, modules, [encoder, decoder], &integer)?;
    let network = GraphLstm {
        sensors,
        window: fixed
            .or_else(|| count(emit::WINDOW_ATTRIBUTE))
            .unwrap_or(DEFAULT_WINDOW),
        autoencoder,
        neighbour,
    };
    // A weight that is not finite is no reason to take the module for another one: `load` names it.
    match network.check() {
        Ok(()) | Err(TensorError::NotFinite { .. }) => Ok(network),
        Err(error) => Err(error.to_string().into()),
    }
}

/// Attributes without bearing on what a module computes, given that its source is checked too.
fn is_plain(tree: &Tree, id: Id) -> bool {
    matches!(
        tree.value(id),
        Value::None | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_)
    )
}

/// The stacked layers of an `nn.LSTM`, and what its forward returns.
fn lstm(archive: &mut Archive, tree: &Tree, id: Id) -> Result<(Vec<LstmLayer>, Meaning), NotOurs> {
    expect_class(tree, id, "__torch__.torch.nn.modules.rnn", "LSTM")?;
    let names = tensor_names(tree, id);
    let layers = names.len() / 4;
    if !names.len().is_multiple_of(4) || !(1..=MAX_LAYERS).contains(&layers) {
        return Err(format!("its LSTM has the tensors {}", names.join(", ")).into());
    }
    check_flat_weights(tree, id, layers)?;
    let (source, class) = class_source(archive, tree, id)?;
    let result = forward::lstm_result(&source, class, layers)?;
    let mut stack = Vec::with_capacity(layers);
    for layer in 0..layers {
        let mut read = |name: &str| tensor(archive, tree, id, &format!("{name}_l{layer}"));
        let ([gates, input], weight_ih) = read("weight_ih")?;
        let ([rows, hidden], weight_hh) = read("weight_hh")?;
        let mut bias = |name: &str| tensor(archive, tree, id, &format!("{name}_l{layer}"));
        let ([bias_ih_rows], bias_ih) = bias("bias_ih")?;
        let ([bias_hh_rows], bias_hh) = bias("bias_hh")?;
        if [gates, rows, bias_ih_rows, bias_hh_rows] != [4 * hidden; 4] {
            return Err("its LSTM weights do not have the shapes of nn.LSTM"
                .to_owned()
                .into());
        }
        stack.push(LstmLayer {
            input,
            hidden,
            weight_ih,
            weight_hh,
            bias_ih,
            bias_hh,
        });
    }
    Ok((stack, result))
}

/// A scripted `nn.LSTM` computes with the list `_flat_weights`: it must hold the named tensors.
fn check_flat_weights(tree: &Tree, id: Id, layers: usize) -> Result<(), String> {
    let Some(flat) = tree.attribute(id, "_flat_weights") else {
        return Ok(());
    };
    let named: Option<Vec<Id>> = (0..layers)
        .flat_map(|layer| {
            ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                .map(|name| tree.attribute(id, &format!("{name}_l{layer}")))
        })
        .collect();
    let listed = match tree.value(flat) {
        Value::Call { arguments, .. } => match tree.tuple(*arguments) {
            Some([list]) => match tree.value(*list) {
                Value::List(items) => Some(items.clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    if listed.is_some() && listed == named {
        Ok(())
    } else {
        Err("its LSTM's _flat_weights are not its named weights".to_owned())
    }
}

fn linear(archive: &mut Archive, tree: &Tree, id: Id) -> Result<Linear, NotOurs> {
    expect_class(tree, id, "__torch__.torch.nn.modules.linear", "Linear")?;
    let ([output, input], weight) = tensor(archive, tree, id, "weight")?;
    let ([rows], bias) = tensor(archive, tree, id, "bias")?;
    if rows != output {
        return Err("its linear layer's bias does not fit".to_owned().into());
    }
    Ok(Linear {
        input,
        output,
        weight,
        bias,
    })
}

/// PyTorch puts `___torch_mangle_7` into the module path where two classes share a name.
fn expect_class(tree: &Tree, id: Id, module: &str, name: &str) -> Result<(), String> {
    match tree.class(id) {
        Some((found, class))
            if class == name
                && found.strip_prefix(module).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(".___torch_mangle_")
                }) =>
        {
            Ok(())
        }
        Some((found, class)) => Err(format!("it has a {found}.{class} where {name} stands")),
        None => Err(format!("it has no object where {name} stands")),
    }
}

/// The source file in which the class of an object is defined, and the name of the class.
fn class_source<'t>(
    archive: &mut Archive,
    tree: &'t Tree,
    id: Id,
) -> Result<(String, &'t str), NotOurs> {
    let (module, class) = tree
        .class(id)
        .ok_or_else(|| "a submodule is no object".to_owned())?;
    let path = format!("code/{}.py", module.replace('.', "/"));
    let bytes = archive.read(&path, MAX_TEXT_BYTES)?;
    match String::from_utf8(bytes) {
        Ok(source) => Ok((source, class)),
        Err(_) => Err(ArchiveError::Layout(format!("its {path} is not UTF-8")).into()),
    }
}

/// The attributes of an object that are tensors.
fn tensor_names(tree: &Tree, id: Id) -> Vec<&str> {
    tree.attributes(id)
        .filter(|(_, value)| tensor_arguments(tree, *value).is_some())
        .map(|(name, _)| name)
        .collect()
}

/// The arguments of `_rebuild_tensor_v2`: storage, offset, size, stride, …
fn tensor_arguments(tree: &Tree, id: Id) -> Option<&[Id]> {
    match tree.value(id) {
        Value::Call {
            function,
            arguments,
        } if tree.global(*function) == Some(("torch._utils", "_rebuild_tensor_v2")) => {
            tree.tuple(*arguments)
        }
        _ => None,
    }
}

/// A tensor of N dimensions, made contiguous from whatever part of a storage it is.
fn tensor<const N: usize>(
    archive: &mut Archive,
    tree: &Tree,
    object: Id,
    name: &str,
) -> Result<([usize; N], Vec<f32>), NotOurs> {
    let layout = tree
        .attribute(object, name)
        .and_then(|id| layout::<N>(tree, id))
        .ok_or_else(|| format!("it has no float tensor {name} of {N} dimensions"))?;
    let [rows, columns @ ..] = &layout.shape[..] else {
        return Err(format!("its tensor {name} has no dimension").into());
    };
    if *rows > 4 * MAX_DIMENSION || columns.iter().any(|&size| size > MAX_DIMENSION) {
        return Err(format!("its tensor {name} is larger than supported").into());
    }
    let path = format!("data/{}", layout.key);
    let storage = archive.read(&path, MAX_STORAGE_BYTES)?;
    let (storage, _) = storage.as_chunks::<4>();
    layout
        .gather(storage)
        .map(|values| (layout.shape, values))
        .ok_or_else(|| {
            ArchiveError::Layout(format!("its tensor {name} reaches beyond {path}")).into()
        })
}

struct Layout<'a, const N: usize> {
    key: &'a str,
    offset: usize,
    shape: [usize; N],
    stride: [usize; N],
}

fn layout<const N: usize>(tree: &Tree, id: Id) -> Option<Layout<'_, N>> {
    let [storage, offset, shape, stride, ..] = tensor_arguments(tree, id)? else {
        return None;
    };
    let Value::Persistent(storage) = tree.value(*storage) else {
        return None;
    };
    let [_, kind, key, ..] = tree.tuple(*storage)? else {
        return None;
    };
    if tree.global(*kind)? != ("torch", "FloatStorage") {
        return None;
    }
    let size = |id: Id| tree.integer(id).and_then(|size| usize::try_from(size).ok());
    let sizes = |id: Id| -> Option<[usize; N]> {
        let items = tree.tuple(id)?;
        let sizes: Option<Vec<usize>> = items.iter().map(|&item| size(item)).collect();
        sizes?.try_into().ok()
    };
    Some(Layout {
        key: tree.text(*key)?,
        offset: size(*offset)?,
        shape: sizes(*shape)?,
        stride: sizes(*stride)?,
    })
}

impl<const N: usize> Layout<'_, N> {
    /// The values in row-major order; none when one lies outside of the storage.
    fn gather(&self, storage: &[[u8; 4]]) -> Option<Vec<f32>> {
        let count = self.shape.iter().product();
        let mut values = Vec::with_capacity(count);
        for position in 0..count {
            let mut rest = position;
            let mut place = self.offset;
            for axis in (0..N).rev() {
                let index = rest % self.shape[axis];
                rest /= self.shape[axis];
                place = place.checked_add(index.checked_mul(self.stride[axis])?)?;
            }
            values.push(f32::from_le_bytes(*storage.get(place)?));
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(count: usize) -> Vec<[u8; 4]> {
        (0..count)
            .map(|value| (value as f32).to_le_bytes())
            .collect()
    }

    #[test]
    fn parts_and_transposed_tensors_become_contiguous() {
        let transposed = Layout {
            key: "0",
            offset: 1,
            shape: [2, 3],
            stride: [1, 2],
        };
        let values = transposed.gather(&storage(7)).unwrap();
        assert_eq!(values, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(transposed.gather(&storage(6)), None);
        let repeated = Layout {
            key: "0",
            offset: 2,
            shape: [3],
            stride: [0],
        };
        assert_eq!(repeated.gather(&storage(3)).unwrap(), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn places_beyond_all_numbers_are_no_panic() {
        let far = Layout {
            key: "0",
            offset: usize::MAX,
            shape: [2, 2],
            stride: [usize::MAX, 1],
        };
        assert_eq!(far.gather(&storage(4)), None);
    }
}
