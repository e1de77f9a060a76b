//! Weights files: the bare tensors of a network as safetensors, for the exchange with the trainer.
//! Imports `model` only.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{GraphLstm, ModelError};

/// Named f32 tensors, as they stand in a safetensors file: shape and row-major values.
pub(super) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Writes every tensor of `network` under its qualified name.
///
/// # Errors
/// The file cannot be written.
pub fn write_weights(path: &Path, network: &GraphLstm) -> Result<(), ModelError> {
    let tensors = network.named_tensors();
    let bytes = to_bytes(
        tensors
            .iter()
            .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), *values)),
    )
    .map_err(|reason| refused(path, reason))?;
    std::fs::write(path, bytes).map_err(|source| io(path, source))
}

/// Reads the tensors written by [`write_weights`] (or by the trainer) into `network`, which must
/// have exactly these tensors in these shapes.
///
/// # Errors
/// The file cannot be read, is no safetensors file, lacks a tensor, has one too many, or one that
/// does not fit or is not finite. The network is unchanged then.
pub fn read_weights(path: &Path, network: &mut GraphLstm) -> Result<(), ModelError> {
    let bytes = std::fs::read(path).map_err(|source| io(path, source))?;
    let tensors = from_bytes(&bytes).map_err(|reason| refused(path, reason))?;
    let mut updated = network.clone();
    for (name, (shape, values)) in &tensors {
        updated
            .set_tensor(name, shape, values)
            .map_err(|error| refused(path, error.to_string()))?;
    }
    if let Some((name, _, _)) = network
        .named_tensors()
        .into_iter()
        .find(|(name, _, _)| !tensors.contains_key(name))
    {
        return Err(refused(
            path,
            format!("lacks the tensor {name}: it was written for another network"),
        ));
    }
    *network = updated;
    Ok(())
}

/// The bytes of a safetensors file; deterministic.
pub(super) fn to_bytes<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
) -> Result<Vec<u8>, String> {
    let raw: Vec<(&str, &[usize], Vec<u8>)> = tensors
        .map(|(name, shape, values)| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (name, shape, bytes.collect())
        })
        .collect();
    let views = raw
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).map(|view| (*name, view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    safetensors::serialize(views, None).map_err(|error| error.to_string())
}

/// The tensors of a safetensors file, which must all be f32.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Tensors, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("not a safetensors file: {error}"))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!(
                "tensor {name} has type {:?} where F32 is expected",
                view.dtype()
            ));
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        let values = chunks.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
        tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
    }
    Ok(tensors)
}

fn io(path: &Path, source: std::io::Error) -> ModelError {
    ModelError::Io {
        path: path.to_owned(),
        source,
    }
}

fn refused(path: &Path, reason: String) -> ModelError {
    ModelError::Refused {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let network = GraphLstm::init(5, 8, 10, 2, 11);
        write_weights(&path, &network).unwrap();
        let mut other = GraphLstm::init(5, 8, 10, 2, 12);
        assert_ne!(other, network);
        read_weights(&path, &mut other).unwrap();
        assert_eq!(other, network);

        let again = folder.path().join("again.safetensors");
        write_weights(&again, &other).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(again).unwrap());
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        write_weights(&path, &GraphLstm::init(5, 8, 10, 1, 11)).unwrap();
        let message = |network: &mut GraphLstm| {
            let before = network.clone();
            let message = read_weights(&path, network).unwrap_err().to_string();
            assert_eq!(*network, before);
            message
        };
        let wider = message(&mut GraphLstm::init(6, 8, 10, 1, 11));
        assert!(wider.contains("has shape"), "{wider}");
        let deeper = message(&mut GraphLstm::init(5, 8, 10, 2, 11));
        assert!(deeper.contains("lacks the tensor"), "{deeper}");
        let headless = message(&mut GraphLstm {
            autoencoder: None,
            ..GraphLstm::init(5, 8, 10, 1, 11)
        });
        assert!(headless.contains("has no tensor"), "{headless}");

        std::fs::write(&path, b"rubbish").unwrap();
        let rubbish = message(&mut GraphLstm::init(5, 8, 10, 1, 11));
        assert!(rubbish.contains("not a safetensors file"), "{rubbish}");
        std::fs::remove_file(&path).unwrap();
        let gone = message(&mut GraphLstm::init(5, 8, 10, 1, 11));
        assert!(gone.contains("weights.safetensors: No such file"), "{gone}");
    }
}
