//! The weights of our own architecture by PyTorch's qualified names: fresh ones, a list of all, and
//! setting one. Imports `model` only.

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use super::{Autoencoder, GraphLstm, Linear, LstmLayer};

/// F, T and H at most: the limits of the file format and of the native engine.
pub const MAX_DIMENSION: usize = 1024;
/// LSTM layers that may be stacked in the encoder and in the decoder.
pub const MAX_LAYERS: usize = 2;

/// A tensor that does not fit the network it is meant for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TensorError {
    #[error("the network has no tensor {name}; it has {known}")]
    Unknown { name: String, known: String },
    #[error("tensor {name} has shape {found:?} where the network has {expected:?}")]
    Shape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error("tensor {name} needs {expected} values for its shape, but {found} were given")]
    Count {
        name: String,
        found: usize,
        expected: usize,
    },
    #[error("{0}")]
    Structure(String),
    #[error("tensor {name} holds {value} at position {position}: every weight must be finite")]
    NotFinite {
        name: String,
        position: usize,
        value: f32,
    },
}

/// One tensor of a network: its qualified name, its shape and its place.
type Slot<'a, T> = (String, Vec<usize>, &'a T);

impl GraphLstm {
    /// A fresh autoencoder for F sensors, windows of T frames, H hidden units and `layers` (1 or 2)
    /// stacked LSTM layers in the encoder and in the decoder; no neighbour head yet.
    ///
    /// Every weight and bias is uniform in ±1/√H, as `nn.LSTM` and `nn.Linear` (of H inputs) start
    /// in PyTorch. The same seed gives the same weights on every machine.
    pub fn init(sensors: usize, hidden: usize, window: usize, layers: usize, seed: u64) -> Self {
        let stack = |input: usize| -> Vec<LstmLayer> {
            (0..layers)
                .map(|layer| LstmLayer::zeros(if layer == 0 { input } else { hidden }, hidden))
                .collect()
        };
        let mut network = GraphLstm {
            sensors,
            window,
            autoencoder: Some(Autoencoder {
                hidden,
                encoder: stack(sensors),
                decoder: stack(hidden),
                output: Linear::zeros(hidden, sensors),
            }),
            neighbour: None,
        };
        let bound = 1.0 / (hidden.max(1) as f32).sqrt();
        let mut random = Pcg64::seed_from_u64(seed);
        for (_, _, values) in network.slots_mut() {
            for value in values.iter_mut() {
                // The upper 24 bits: every f32 in [0, 1) on a grid of 2^-24.
                let unit = (random.next_u32() >> 8) as f32 / 16_777_216.0;
                *value = bound * (2.0 * unit - 1.0);
            }
        }
        network
    }

    /// H; 0 without an autoencoder.
    pub fn hidden(&self) -> usize {
        self.autoencoder.as_ref().map_or(0, |auto| auto.hidden)
    }

    /// Number of weights and biases.
    pub fn parameter_count(&self) -> usize {
        self.named_tensors().iter().map(|(_, _, v)| v.len()).sum()
    }

    /// Every tensor with its qualified name (`encoder.weight_ih_l0` …), its shape and its values,
    /// row-major, in a fixed order.
    pub fn named_tensors(&self) -> Vec<(String, Vec<usize>, &[f32])> {
        self.slots()
            .into_iter()
            .map(|(name, shape, values)| (name, shape, values.as_slice()))
            .collect()
    }

    /// Replaces the tensor `name` by `values` (row-major, of shape `shape`).
    ///
    /// # Errors
    /// The network has no such tensor, or one of another shape; a value is not finite. The network
    /// is unchanged then.
    pub fn set_tensor(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<(), TensorError> {
        let mut slots = self.slots_mut();
        let Some(index) = slots.iter().position(|(known, _, _)| known == name) else {
            let known: Vec<&str> = slots.iter().map(|(known, _, _)| known.as_str()).collect();
            return Err(TensorError::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        let (_, expected, place) = &mut slots[index];
        if shape != expected.as_slice() {
            return Err(TensorError::Shape {
                name: name.to_owned(),
                found: shape.to_vec(),
                expected: expected.clone(),
            });
        }
        let needed = expected.iter().product();
        if values.len() != needed {
            return Err(TensorError::Count {
                name: name.to_owned(),
                found: values.len(),
                expected: needed,
            });
        }
        check_finite(name, values)?;
        place.clear();
        place.extend_from_slice(values);
        Ok(())
    }

    /// Whether the layers fit each other and the limits, and every tensor has the size that its
    /// place demands and finite values only.
    ///
    /// # Errors
    /// Names the first layer or tensor that does not.
    pub fn check(&self) -> Result<(), TensorError> {
        self.check_structure().map_err(TensorError::Structure)?;
        for (name, shape, values) in self.named_tensors() {
            let expected = shape.iter().product();
            if values.len() != expected {
                return Err(TensorError::Count {
                    name,
                    found: values.len(),
                    expected,
                });
            }
            check_finite(&name, values)?;
        }
        Ok(())
    }

    fn check_structure(&self) -> Result<(), String> {
        within("sensors (F)", self.sensors)?;
        within("frames in the window (T)", self.window)?;
        if let Some(auto) = &self.autoencoder {
            within("hidden units (H)", auto.hidden)?;
            let layers = auto.encoder.len();
            if !(1..=MAX_LAYERS).contains(&layers) || auto.decoder.len() != layers {
                return Err(format!(
                    "the encoder has {layers} and the decoder {} LSTM layers; they must have the \
                     same number, 1 or {MAX_LAYERS}",
                    auto.decoder.len()
                ));
            }
            for (module, stack, first) in [
                ("encoder", &auto.encoder, self.sensors),
                ("decoder", &auto.decoder, auto.hidden),
            ] {
                for (index, layer) in stack.iter().enumerate() {
                    let input = if index == 0 { first } else { auto.hidden };
                    let what = format!("layer {index} of the {module}");
                    fits(&what, (layer.input, layer.hidden), (input, auto.hidden))?;
                }
            }
            let output = (auto.output.input, auto.output.output);
            fits("the output layer", output, (auto.hidden, self.sensors))?;
        }
        if let Some(linear) = &self.neighbour {
            let sizes = (linear.input, linear.output);
            fits("the neighbour head", sizes, (self.sensors, self.sensors))?;
        }
        Ok(())
    }

    fn slots(&self) -> Vec<Slot<'_, Vec<f32>>> {
        let mut slots = Vec::new();
        if let Some(auto) = &self.autoencoder {
            for (module, stack) in [("encoder", &auto.encoder), ("decoder", &auto.decoder)] {
                for (index, layer) in stack.iter().enumerate() {
                    let gates = 4 * layer.hidden;
                    let name = |tensor: &str| format!("{module}.{tensor}_l{index}");
                    slots.extend([
                        (
                            name("weight_ih"),
                            vec![gates, layer.input],
                            &layer.weight_ih,
                        ),
                        (
                            name("weight_hh"),
                            vec![gates, layer.hidden],
                            &layer.weight_hh,
                        ),
                        (name("bias_ih"), vec![gates], &layer.bias_ih),
                        (name("bias_hh"), vec![gates], &layer.bias_hh),
                    ]);
                }
            }
        }
        let output = self.autoencoder.as_ref().map(|auto| &auto.output);
        for (module, linear) in [("output", output), ("neighbour", self.neighbour.as_ref())] {
            if let Some(linear) = linear {
                slots.extend([
                    (
                        format!("{module}.weight"),
                        vec![linear.output, linear.input],
                        &linear.weight,
                    ),
                    (format!("{module}.bias"), vec![linear.output], &linear.bias),
                ]);
            }
        }
        slots
    }

    /// The same tensors in the same order as [`Self::slots`], to be written to.
    fn slots_mut(&mut self) -> Vec<(String, Vec<usize>, &mut Vec<f32>)> {
        let names: Vec<(String, Vec<usize>)> = self
            .slots()
            .into_iter()
            .map(|(name, shape, _)| (name, shape))
            .collect();
        let mut places: Vec<&mut Vec<f32>> = Vec::with_capacity(names.len());
        if let Some(auto) = &mut self.autoencoder {
            for layer in auto.encoder.iter_mut().chain(&mut auto.decoder) {
                places.extend([
                    &mut layer.weight_ih,
                    &mut layer.weight_hh,
                    &mut layer.bias_ih,
                    &mut layer.bias_hh,
                ]);
            }
            places.extend([&mut auto.output.weight, &mut auto.output.bias]);
        }
        if let Some(linear) = &mut self.neighbour {
            places.extend([&mut linear.weight, &mut linear.bias]);
        }
        names
            .into_iter()
            .zip(places)
            .map(|((name, shape), place)| (name, shape, place))
            .collect()
    }
}

impl LstmLayer {
    /// A layer of `input` columns and `hidden` units, all weights 0.
    pub fn zeros(input: usize, hidden: usize) -> Self {
        LstmLayer {
            input,
            hidden,
            weight_ih: vec![0.0; 4 * hidden * input],
            weight_hh: vec![0.0; 4 * hidden * hidden],
            bias_ih: vec![0.0; 4 * hidden],
            bias_hh: vec![0.0; 4 * hidden],
        }
    }
}

impl Linear {
    /// A layer from `input` to `output` values, all weights 0.
    pub fn zeros(input: usize, output: usize) -> Self {
        Linear {
            input,
            output,
            weight: vec![0.0; output * input],
            bias: vec![0.0; output],
        }
    }
}

fn within(what: &str, count: usize) -> Result<(), String> {
    if (1..=MAX_DIMENSION).contains(&count) {
        Ok(())
    } else {
        Err(format!("{count} {what}; 1 to {MAX_DIMENSION} are possible"))
    }
}

fn fits(what: &str, found: (usize, usize), expected: (usize, usize)) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!(
            "{what} leads from {} to {} values where {} to {} are needed",
            found.0, found.1, expected.0, expected.1
        ))
    }
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), TensorError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(position) => Err(TensorError::NotFinite {
            name: name.to_owned(),
            position,
            value: values[position],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_network_has_pytorchs_names_shapes_and_bounds() {
        let mut network = GraphLstm::init(3, 16, 10, 2, 7);
        network.neighbour = Some(Linear::zeros(3, 3));
        let tensors = network.named_tensors();
        let shapes: Vec<(&str, &[usize])> = tensors
            .iter()
            .map(|(name, shape, _)| (name.as_str(), shape.as_slice()))
            .collect();
        assert_eq!(shapes.len(), 20);
        assert_eq!(shapes[0], ("encoder.weight_ih_l0", [64, 3].as_slice()));
        assert_eq!(shapes[4], ("encoder.weight_ih_l1", [64, 16].as_slice()));
        assert_eq!(shapes[8], ("decoder.weight_ih_l0", [64, 16].as_slice()));
        assert_eq!(shapes[15], ("decoder.bias_hh_l1", [64].as_slice()));
        assert_eq!(shapes[16], ("output.weight", [3, 16].as_slice()));
        assert_eq!(shapes[19], ("neighbour.bias", [3].as_slice()));

        let drawn: Vec<f32> = tensors[..18].iter().flat_map(|t| t.2).copied().collect();
        assert!(drawn.iter().all(|weight| weight.abs() <= 0.25));
        let mean = drawn.iter().sum::<f32>() / drawn.len() as f32;
        let square = drawn.iter().map(|w| w * w).sum::<f32>() / drawn.len() as f32;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((square - 0.0625 / 3.0).abs() < 0.002, "{square}");
    }

    #[test]
    fn the_seed_decides_the_weights() {
        let network = GraphLstm::init(2, 4, 5, 1, 1);
        assert_eq!(network, GraphLstm::init(2, 4, 5, 1, 1));
        assert_ne!(network, GraphLstm::init(2, 4, 5, 1, 2));
        // The very numbers, so that a change of the generator does not pass unseen.
        let first = &network.named_tensors()[0].2[..2];
        assert_eq!(first, FIRST_OF_SEED_1);
    }

    const FIRST_OF_SEED_1: [f32; 2] = [-0.359_280_77, 0.041_911_066];

    #[test]
    fn a_tensor_is_set_only_when_it_fits() {
        let mut network = GraphLstm::init(2, 4, 5, 1, 1);
        network
            .set_tensor("output.bias", &[2], &[1.0, -1.0])
            .unwrap();
        let auto = network.autoencoder.as_ref().unwrap();
        assert_eq!(auto.output.bias, [1.0, -1.0]);

        let before = network.clone();
        let errors = [
            network.set_tensor("output.bias", &[3], &[1.0, 2.0, 3.0]),
            network.set_tensor("output.bias", &[2], &[1.0]),
            network.set_tensor("output.bias", &[2], &[1.0, f32::NAN]),
            network.set_tensor("neighbour.bias", &[2], &[1.0, 2.0]),
        ]
        .map(|result| result.unwrap_err().to_string());
        assert_eq!(network, before);
        assert_eq!(
            errors[0],
            "tensor output.bias has shape [3] where the network has [2]"
        );
        assert!(errors[1].contains("needs 2 values"), "{}", errors[1]);
        assert!(errors[2].contains("NaN at position 1"), "{}", errors[2]);
        assert!(
            errors[3].contains("no tensor neighbour.bias"),
            "{}",
            errors[3]
        );
    }

    #[test]
    fn a_damaged_network_is_named() {
        let mut network = GraphLstm::init(2, 4, 5, 1, 1);
        assert_eq!(network.check(), Ok(()));
        if let Some(auto) = &mut network.autoencoder {
            auto.decoder[0].bias_hh.pop();
        }
        let message = network.check().unwrap_err().to_string();
        assert!(message.contains("decoder.bias_hh_l0"), "{message}");

        let mut network = GraphLstm::init(2, 4, 5, 2, 1);
        if let Some(auto) = &mut network.autoencoder {
            auto.decoder.pop();
        }
        let message = network.check().unwrap_err().to_string();
        assert!(message.contains("same number"), "{message}");

        let wide = GraphLstm {
            neighbour: Some(Linear::zeros(3, 2)),
            ..GraphLstm::init(2, 4, 5, 1, 1)
        };
        let message = wide.check().unwrap_err().to_string();
        assert_eq!(
            message,
            "the neighbour head leads from 3 to 2 values where 2 to 2 are needed"
        );
        let message = GraphLstm::init(2, 4, 0, 1, 1)
            .check()
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("0 frames in the window"), "{message}");
    }
}
