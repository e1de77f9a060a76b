//! The model file: one TorchScript archive that PyTorch can load, with the project's manifest and
//! golden vectors inside. Imports `frame` and `durable`.

mod file;
pub mod golden;
pub mod manifest;
mod network;
pub mod onnx;
pub mod torchscript;
mod weights;

pub use manifest::Manifest;
pub use network::{MAX_DIMENSION, MAX_LAYERS, TensorError};
pub use weights::{read_weights, write_weights};

use std::path::PathBuf;

/// What the archive computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// Our own architecture (docs/model-format.md), which the native engine knows.
    GraphLstm(GraphLstm),
    /// Somebody's own TorchScript module: only the torch engine can run it.
    Foreign {
        /// The class name of the top module, for messages.
        class: String,
    },
}

/// Weights of `GraphLstmAutoencoder`, as PyTorch names and lays them out.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphLstm {
    /// F
    pub sensors: usize,
    /// T
    pub window: usize,
    /// The autoencoder; absent in a model of the closed-form heads only, whose reconstruction is 0.
    pub autoencoder: Option<Autoencoder>,
    /// The neighbour head: a linear layer with a zero diagonal; absent in the plain autoencoder.
    pub neighbour: Option<Linear>,
}

/// Encoder LSTM F→H (its last h repeated T times), decoder LSTM H→H, linear H→F.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoencoder {
    /// H
    pub hidden: usize,
    /// One entry a stacked layer (one or two).
    pub encoder: Vec<LstmLayer>,
    pub decoder: Vec<LstmLayer>,
    pub output: Linear,
}

/// One layer of `nn.LSTM`; gates in the order i, f, g, o.
#[derive(Debug, Clone, PartialEq)]
pub struct LstmLayer {
    /// Width of the input.
    pub input: usize,
    /// H
    pub hidden: usize,
    /// `[4H,input]`, row-major
    pub weight_ih: Vec<f32>,
    /// `[4H,H]`, row-major
    pub weight_hh: Vec<f32>,
    /// `[4H]`
    pub bias_ih: Vec<f32>,
    /// `[4H]`
    pub bias_hh: Vec<f32>,
}

/// `nn.Linear`: y = W x + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    pub input: usize,
    pub output: usize,
    /// `[output,input]`, row-major
    pub weight: Vec<f32>,
    /// `[output]`
    pub bias: Vec<f32>,
}

/// A loaded model file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    pub path: PathBuf,
    pub network: Network,
    pub manifest: Manifest,
    pub golden: golden::Golden,
    /// SHA-256 of the archive's contents, hex; names this very model.
    pub digest: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: not a TorchScript archive: {reason}")]
    NotAnArchive { path: PathBuf, reason: String },
    #[error("{path}: {reason}")]
    Refused { path: PathBuf, reason: String },
}
