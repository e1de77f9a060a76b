//! Which engine runs a model: native where it reproduces the golden vectors, torch otherwise.

use std::path::PathBuf;

use super::verify::{Agreement, GOLDEN_TOLERANCE, verify};
use crate::engine::native::NativeEngine;
use crate::engine::torch::{TorchConfig, TorchEngine};
use crate::engine::{Engine, EngineError};
use crate::model::{ModelFile, Network};

/// `Auto` is native when that reproduces the golden vectors, else torch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EngineChoice {
    // No doc comment: it would become a help text of several lines in every command.
    #[default]
    Auto,
    Native,
    Torch,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "{path}: golden vector {vector} differs by {difference:.1e} (limit {GOLDEN_TOLERANCE:.0e}) \
         on engine {engine}: the file is damaged or the CPU miscomputes; run `anomalyd model \
         verify {path}`"
    )]
    Disagrees {
        path: PathBuf,
        engine: &'static str,
        vector: usize,
        difference: f32,
    },
}

/// Opens an engine for `model` and checks it against the golden vectors before it is given out.
///
/// # Errors
/// No engine of this choice can run the model, or none reproduces its golden vectors.
pub fn open_engine(
    model: &ModelFile,
    choice: EngineChoice,
    torch: &TorchConfig,
) -> Result<(Box<dyn Engine>, Agreement), OpenError> {
    match choice {
        EngineChoice::Native => open_native(model),
        EngineChoice::Torch => checked_torch(model, torch),
        EngineChoice::Auto => match (&model.network, open_native(model)) {
            (Network::Foreign { .. }, _) => checked_torch(model, torch),
            (_, Ok(opened)) => Ok(opened),
            // When torch cannot help either, the native engine's own reason is the useful one.
            (_, Err(reason)) => checked_torch(model, torch).map_err(|_| reason),
        },
    }
}

fn open_native(model: &ModelFile) -> Result<(Box<dyn Engine>, Agreement), OpenError> {
    match &model.network {
        Network::GraphLstm(network) => checked(Box::new(NativeEngine::new(network)?), model),
        Network::Foreign { class } => Err(EngineError::Unsupported(format!(
            "its module {class} is not the GraphLstmAutoencoder that the native engine knows"
        ))
        .into()),
    }
}

fn checked_torch(
    model: &ModelFile,
    torch: &TorchConfig,
) -> Result<(Box<dyn Engine>, Agreement), OpenError> {
    checked(Box::new(open_torch(model, torch)?), model)
}

/// Starts a torch worker with the model's file, unchecked.
///
/// # Errors
/// The worker is missing, or refuses the file.
pub fn open_torch(model: &ModelFile, torch: &TorchConfig) -> Result<TorchEngine, EngineError> {
    let manifest = &model.manifest;
    TorchEngine::open(
        &model.path,
        manifest.window,
        manifest.sensors.len(),
        torch.clone(),
    )
}

fn checked(
    mut engine: Box<dyn Engine>,
    model: &ModelFile,
) -> Result<(Box<dyn Engine>, Agreement), OpenError> {
    let agreement = verify(engine.as_mut(), model)?;
    if !agreement.holds() {
        return Err(OpenError::Disagrees {
            path: model.path.clone(),
            engine: engine.name(),
            vector: agreement.worst_vector,
            difference: agreement.largest(),
        });
    }
    engine.reset();
    Ok((engine, agreement))
}
