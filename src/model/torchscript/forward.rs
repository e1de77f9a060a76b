//! Does the TorchScript source of a module compute what the native engine would? The names and
//! shapes of its weights do not tell: a `forward` may reverse, scale or cut.
//!
//! The source is followed symbolically: each variable holds what it stands for (the window, the
//! encoder's last h, …), and a step that is not known to keep the meaning is an error, which makes
//! the module foreign. So nothing is taken for our architecture that is not.
//! Imports nothing of the crate.

mod syntax;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::HashMap;

use syntax::{Expression, Function};

/// Which submodules the module has.
#[derive(Debug, Clone, Copy)]
pub struct Modules {
    pub autoencoder: bool,
    pub neighbour: bool,
    /// Stacked LSTM layers.
    pub layers: usize,
}

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    Myself,
    Nothing,
    Integer(i64),
    /// B, T and F of the window
    Batch,
    Length,
    Sensors,
    /// `[B,T,F]` (within `nn.LSTM`: its input)
    Window,
    /// `[B,F]`, the window's last frame
    Newest,
    /// A tensor of zeros, whatever its shape.
    Zeros,
    /// Zeros of the shape of the window.
    ZeroWindow,
    /// An attribute of the module: a submodule, a weight or a flag.
    Attribute(String),
    /// `[B,T,H]`, `[layers,B,H]` and the cell state that an LSTM returns.
    Outputs,
    Hidden,
    Cell,
    /// `[B,H]`, the encoder's last h; the same as `[B,1,H]` and as `[B,T,H]`.
    Last,
    LastRow,
    Steps,
    /// `[B,T,H]` out of the decoder
    Decoded,
    Reconstruction,
    Estimate,
    Several(Vec<Meaning>),
}

/// Checks that the module of class `class` returns the contract's outputs. `encoder` and `decoder`
/// are what [`lstm_result`] found; `integer` tells the module's integer attributes. Returns T where
/// the source has it fixed.
///
/// # Errors
/// Says which step is not known.
pub fn check(
    source: &str,
    class: &str,
    modules: Modules,
    lstms: [&Meaning; 2],
    integer: &dyn Fn(&str) -> Option<i64>,
) -> Result<Option<usize>, String> {
    let function = syntax::function(source, class, "forward")?;
    let run = Run {
        modules,
        lstms,
        integer,
        fixed_length: Cell::new(None),
    };
    let result = run.function(&function)?;
    let (first, second) = match result {
        Meaning::Several(parts) => match <[Meaning; 2]>::try_from(parts) {
            Ok([first, second]) => (first, Some(second)),
            Err(parts) => return Err(format!("it returns {} values", parts.len())),
        },
        single => (single, None),
    };
    let reconstruction = if modules.autoencoder {
        Meaning::Reconstruction
    } else {
        Meaning::ZeroWindow
    };
    let estimate = modules.neighbour.then_some(Meaning::Estimate);
    if first == reconstruction && second == estimate {
        Ok(run.fixed_length.get())
    } else {
        Err(format!("it returns {first:?} and {second:?}"))
    }
}

/// What the `nn.LSTM` of class `class` with `layers` layers returns, in terms of its outputs, h and
/// c; that it starts from zeros, is batch first, in one direction, and uses its weights in order.
///
/// # Errors
/// Says which step is not known.
pub fn lstm_result(source: &str, class: &str, layers: usize) -> Result<Meaning, String> {
    // As torch.jit.script prints PyTorch's own class, with branches for packed sequences.
    if let Ok(function) = syntax::function(source, class, "forward__0") {
        let call = format!("_flat_weights, True, {layers}, ");
        let known = function.text.lines().any(|line| {
            line.contains("torch.lstm(input0, [")
                && line.contains(&call)
                && line.ends_with(", training, False, True)")
        });
        return if known {
            Ok(Meaning::Several(vec![
                Meaning::Outputs,
                Meaning::Several(vec![Meaning::Hidden, Meaning::Cell]),
            ]))
        } else {
            Err("its LSTM is not batch first, or not in one direction".to_owned())
        };
    }
    let modules = Modules {
        autoencoder: false,
        neighbour: false,
        layers,
    };
    let function = syntax::function(source, class, "forward")?;
    Run {
        modules,
        lstms: [&Meaning::Nothing; 2],
        integer: &|_| None,
        fixed_length: Cell::new(None),
    }
    .function(&function)
}

struct Run<'a> {
    modules: Modules,
    lstms: [&'a Meaning; 2],
    integer: &'a dyn Fn(&str) -> Option<i64>,
    /// T, where the source states it as a number.
    fixed_length: Cell<Option<usize>>,
}

impl Run<'_> {
    fn function(&self, function: &Function) -> Result<Meaning, String> {
        let mut known = HashMap::from([
            (function.myself.clone(), Meaning::Myself),
            (function.input.clone(), Meaning::Window),
        ]);
        for statement in &function.statements()? {
            let meaning = self.value(&statement.value, &known)?;
            match statement.targets.as_slice() {
                [] => return Ok(meaning),
                [single] if !statement.unpacks => {
                    known.insert(single.clone(), meaning);
                }
                several => match meaning {
                    Meaning::Several(parts) if parts.len() == several.len() => {
                        known.extend(several.iter().cloned().zip(parts));
                    }
                    other => return Err(format!("{other:?} is unpacked")),
                },
            }
        }
        Err("it returns nothing".to_owned())
    }

    fn value(
        &self,
        expression: &Expression,
        known: &HashMap<String, Meaning>,
    ) -> Result<Meaning, String> {
        match expression {
            Expression::Integer(integer) => Ok(Meaning::Integer(*integer)),
            Expression::Word(word) => match (known.get(word), word.as_str()) {
                (Some(meaning), _) => Ok(meaning.clone()),
                (None, "None") => Ok(Meaning::Nothing),
                (None, "True" | "False") => Ok(Meaning::Attribute(word.clone())),
                (None, number) if number.contains('.') => Ok(Meaning::Attribute(word.clone())),
                _ => Err(format!("{word} is not known")),
            },
            Expression::Several(parts) => self.values(parts, known).map(Meaning::Several),
            Expression::Member(of, name) => match self.value(of, known)? {
                Meaning::Myself => Ok((self.integer)(name)
                    .map_or_else(|| Meaning::Attribute(name.clone()), Meaning::Integer)),
                other => Err(format!("{name} of {other:?}")),
            },
            Expression::Index(of, index) => match self.value(of, known)? {
                Meaning::Several(mut parts) if *index < parts.len() => {
                    Ok(parts.swap_remove(*index))
                }
                other => Err(format!("part {index} of {other:?}")),
            },
            Expression::Call(function, arguments) => {
                if let Expression::Member(of, method) = &**function
                    && (method == "forward" || method == "forward__0")
                {
                    let module = self.value(of, known)?;
                    return self.submodule(&module, &self.values(arguments, known)?);
                }
                let path = function.path().ok_or("it calls what has no name")?;
                if path == "torch.zeros" || path == "torch.new_zeros" {
                    return Ok(Meaning::Zeros);
                }
                let arguments = self.values(arguments, known)?;
                self.operation(&path, &arguments)
            }
        }
    }

    fn values(
        &self,
        arguments: &[Expression],
        known: &HashMap<String, Meaning>,
    ) -> Result<Vec<Meaning>, String> {
        arguments
            .iter()
            .map(|argument| self.value(argument, known))
            .collect()
    }

    fn submodule(&self, module: &Meaning, arguments: &[Meaning]) -> Result<Meaning, String> {
        use Meaning::*;
        let Attribute(name) = module else {
            return Err(format!("{module:?} is called"));
        };
        match (name.as_str(), arguments) {
            ("encoder", [Window] | [Window, Nothing]) => Ok(self.lstms[0].clone()),
            ("decoder", [Steps] | [Steps, Nothing]) => Ok(decoded(self.lstms[1])),
            ("output", [Decoded]) => Ok(Reconstruction),
            ("neighbour", [Newest]) => Ok(Estimate),
            _ => Err(format!("{name} is applied to {arguments:?}")),
        }
    }

    fn operation(&self, path: &str, arguments: &[Meaning]) -> Result<Meaning, String> {
        use Meaning::*;
        let layers = i64::try_from(self.modules.layers).unwrap_or(i64::MAX);
        Ok(match (path, arguments) {
            ("torch.size", [Window]) => Several(vec![Batch, Length, Sensors]),
            ("torch.size", [Window, Integer(0 | -3)]) => Batch,
            ("torch.size", [Window, Integer(1 | -2)]) => Length,
            ("torch.size", [Window, Integer(2 | -1)]) => Sensors,
            // Only the sizes of zeros are asked of weights.
            ("torch.size", [Attribute(_), Integer(_)]) => Integer(0),
            ("int" | "ops.prim.NumToTensor", [size]) => size.clone(),
            ("torch.zeros_like", [Window]) => ZeroWindow,
            ("torch.contiguous", [same]) => same.clone(),
            ("torch.slice", [same, bounds @ ..]) if is_whole(bounds) => same.clone(),
            ("torch.select", [Window, Integer(1), Integer(-1)]) => Newest,
            ("torch.select", [Outputs, Integer(1), Integer(-1)]) => Last,
            ("torch.select", [Hidden, Integer(0), Integer(layer)])
                if *layer == -1 || *layer == layers - 1 =>
            {
                Last
            }
            ("torch.squeeze", [Hidden, Integer(0)]) if layers == 1 => Last,
            ("torch.unsqueeze", [Last, Integer(1)]) => LastRow,
            ("torch.transpose", [Hidden, Integer(0), Integer(1)]) if layers == 1 => LastRow,
            ("torch.permute", [Hidden, Several(axes)])
                if layers == 1 && axes[..] == [Integer(1), Integer(0), Integer(2)] =>
            {
                LastRow
            }
            ("torch.repeat", [LastRow, Several(times)]) => match times.as_slice() {
                [Integer(1), length, Integer(1)] => self.steps(length)?,
                _ => return Err(format!("the last h is repeated {times:?} times")),
            },
            ("torch.expand", [LastRow, Several(sizes)]) => match sizes.as_slice() {
                [Integer(-1) | Batch, length, Integer(_)] => self.steps(length)?,
                _ => return Err(format!("the last h is expanded to {sizes:?}")),
            },
            (
                "torch.lstm",
                [
                    Window,
                    Several(start),
                    Several(weights),
                    Attribute(biases),
                    Integer(stacked),
                    // Dropout does nothing unless in training.
                    Attribute(_),
                    Attribute(training),
                    Attribute(bidirectional),
                    Attribute(batch_first),
                ],
            ) => {
                let known = start[..] == [Zeros, Zeros]
                    && *weights == weight_names(self.modules.layers)
                    && *stacked == layers
                    && training != "True"
                    && [biases, bidirectional, batch_first] == ["True", "False", "True"];
                if !known {
                    return Err("its LSTM is not a plain batch-first one".to_owned());
                }
                Several(vec![Outputs, Hidden, Cell])
            }
            _ => return Err(format!("{path} is applied to {arguments:?}")),
        })
    }

    fn steps(&self, length: &Meaning) -> Result<Meaning, String> {
        match length {
            Meaning::Length => Ok(Meaning::Steps),
            Meaning::Integer(length) => {
                self.fixed_length.set(usize::try_from(*length).ok());
                Ok(Meaning::Steps)
            }
            other => Err(format!("the last h is repeated {other:?} times")),
        }
    }
}

/// Whether dimension, start, end and step of a slice leave nothing out.
fn is_whole(bounds: &[Meaning]) -> bool {
    use Meaning::{Integer, Nothing};
    let [_, bounds @ ..] = bounds else {
        return true;
    };
    let full: [&[Meaning]; 3] = [
        &[Integer(0), Nothing],
        &[Integer(i64::MAX), Nothing],
        &[Integer(1)],
    ];
    bounds.len() <= full.len()
        && bounds
            .iter()
            .zip(full)
            .all(|(bound, full)| full.contains(bound))
}

/// An LSTM's result, as that of the decoder: only its outputs may be used further on.
fn decoded(result: &Meaning) -> Meaning {
    match result {
        Meaning::Outputs => Meaning::Decoded,
        Meaning::Several(parts) => Meaning::Several(parts.iter().map(decoded).collect()),
        _ => Meaning::Nothing,
    }
}

fn weight_names(layers: usize) -> Vec<Meaning> {
    (0..layers)
        .flat_map(|layer| {
            ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                .map(|name| Meaning::Attribute(format!("{name}_l{layer}")))
        })
        .collect()
}
