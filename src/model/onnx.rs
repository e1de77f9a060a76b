//! A model as an ONNX file, for other runtimes: the network, and what a program needs to feed it.
//! Imports `model` only.
//!
//! The file takes windows of standardised values, as the TorchScript module does; the properties
//! carry each sensor's name, mean and deviation. docs/model-format.md describes it for its users.

mod network;
mod protobuf;
mod schema;

pub use network::{NEIGHBOUR, RECONSTRUCTION, WINDOW};
pub use schema::OPSET;

use std::path::Path;

use serde_json::json;

use super::torchscript::replace_file;
use super::{GraphLstm, ModelError, ModelFile, Network};

const PRODUCER: &str = "anomalyd";

/// What every file written here begins with: the format's version, and who made it.
pub const START: &[u8] = b"\x08\x07\x12\x08anomalyd";

/// The bytes of an ONNX file of `network`, which must have passed [`GraphLstm::check`], with free
/// `properties`. The same input gives the same bytes.
pub fn to_bytes(network: &GraphLstm, properties: &[(String, String)]) -> Vec<u8> {
    schema::model(&network::graph(network), properties).into_bytes()
}

impl ModelFile {
    /// Writes the model to `path` as ONNX. At every moment `path` is either the old file or the whole
    /// new one.
    ///
    /// # Errors
    /// The module is foreign, or the file cannot be written.
    pub fn save_onnx(&self, path: &Path) -> Result<(), ModelError> {
        let network = match &self.network {
            Network::GraphLstm(network) => network,
            Network::Foreign { class } => {
                return Err(ModelError::Refused {
                    path: self.path.clone(),
                    reason: format!(
                        "its module {class} is not the GraphLstmAutoencoder that can be exported; \
                         export it with torch.onnx where it was made"
                    ),
                });
            }
        };
        let bytes = to_bytes(network, &self.onnx_properties());
        replace_file(path, &bytes).map_err(|source| ModelError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// What a program needs besides the weights. Texts only, as ONNX has it; lists are JSON.
    fn onnx_properties(&self) -> Vec<(String, String)> {
        let manifest = &self.manifest;
        let sensors: Vec<_> = (manifest.sensors.iter())
            .map(|sensor| {
                json!({
                    "name": sensor.name,
                    "unit": sensor.unit,
                    "mean": sensor.mean,
                    "deviation": sensor.deviation,
                })
            })
            .collect();
        [
            ("name", manifest.name.clone()),
            ("version", manifest.version.clone()),
            ("digest", self.digest.clone()),
            ("created_at", manifest.created_at.clone()),
            ("period_seconds", manifest.period_seconds.to_string()),
            ("sensors", json!(sensors).to_string()),
        ]
        .map(|(key, value)| (format!("{PRODUCER}.{key}"), value))
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_network_gives_the_same_bytes_and_our_beginning() {
        let network = GraphLstm::init(3, 4, 5, 2, 1);
        let bytes = to_bytes(&network, &[]);
        assert_eq!(bytes, to_bytes(&network, &[]));
        assert!(bytes.starts_with(START));
        // All weights are in it, four bytes each, and little else.
        let weights = 4 * network.parameter_count();
        assert!((weights..weights + 4096).contains(&bytes.len()));
        assert_ne!(bytes, to_bytes(&GraphLstm::init(3, 4, 5, 2, 2), &[]));
    }
}
