//! Refuses models whose arrays do not fit together, before anything is packed.

use crate::engine::EngineError;
use crate::model::{Autoencoder, GraphLstm, Linear, LstmLayer};

/// Largest T, F and H: what the file format allows.
const LARGEST: usize = 1024;

/// # Errors
/// [`EngineError::Unsupported`] names the array and what is wrong with it.
pub(super) fn model(model: &GraphLstm) -> Result<(), EngineError> {
    size("number of sensors", model.sensors)?;
    size("window length", model.window)?;
    if let Some(autoencoder) = &model.autoencoder {
        check_autoencoder(autoencoder, model.sensors)?;
    }
    match &model.neighbour {
        Some(linear) => check_linear("neighbour", linear, model.sensors, model.sensors),
        None => Ok(()),
    }
}

fn check_autoencoder(model: &Autoencoder, sensors: usize) -> Result<(), EngineError> {
    size("hidden size", model.hidden)?;
    check_layers("encoder", &model.encoder, sensors, model.hidden)?;
    check_layers("decoder", &model.decoder, model.hidden, model.hidden)?;
    check_linear("output", &model.output, model.hidden, sensors)
}

fn check_layers(
    name: &str,
    layers: &[LstmLayer],
    input: usize,
    hidden: usize,
) -> Result<(), EngineError> {
    if layers.is_empty() {
        return refuse(format!("the {name} has no layers"));
    }
    for (index, layer) in layers.iter().enumerate() {
        let input = if index == 0 { input } else { hidden };
        if (layer.input, layer.hidden) != (input, hidden) {
            return refuse(format!(
                "layer {index} of the {name} goes from {} to {} values, not from {input} to {hidden}",
                layer.input, layer.hidden
            ));
        }
        let rows = 4 * hidden;
        for (part, values, length) in [
            ("weight_ih", &layer.weight_ih, rows * input),
            ("weight_hh", &layer.weight_hh, rows * hidden),
            ("bias_ih", &layer.bias_ih, rows),
            ("bias_hh", &layer.bias_hh, rows),
        ] {
            array(&format!("{name}.{part}_l{index}"), values, length)?;
        }
    }
    Ok(())
}

fn check_linear(
    name: &str,
    linear: &Linear,
    input: usize,
    output: usize,
) -> Result<(), EngineError> {
    if (linear.input, linear.output) != (input, output) {
        return refuse(format!(
            "the layer {name} goes from {} to {} values, not from {input} to {output}",
            linear.input, linear.output
        ));
    }
    array(&format!("{name}.weight"), &linear.weight, input * output)?;
    array(&format!("{name}.bias"), &linear.bias, output)
}

fn array(name: &str, values: &[f32], length: usize) -> Result<(), EngineError> {
    if values.len() != length {
        return refuse(format!(
            "{name} has {} values instead of {length}",
            values.len()
        ));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => refuse(format!("{name} holds {value}")),
        None => Ok(()),
    }
}

fn size(name: &str, value: usize) -> Result<(), EngineError> {
    if (1..=LARGEST).contains(&value) {
        return Ok(());
    }
    refuse(format!("the {name} is {value}, not 1 to {LARGEST}"))
}

fn refuse(reason: String) -> Result<(), EngineError> {
    Err(EngineError::Unsupported(reason))
}
