//! Stage 4: what the model expects of the newest frame.
//!
//! Two engines read the same file: `native` (plain Rust for the known architecture) and `torch`
//! (a worker process that runs any TorchScript module of the contract in `docs/model-format.md`).
//! Imports `frame`, `window` and `model` only.

pub mod graph;
pub mod kernel;
pub mod native;
pub mod torch;

use std::path::PathBuf;

/// The model's expectation of the newest frame of a window, in standardised units.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// `[F]`, the last reconstructed frame of the autoencoder; zeros without an LSTM.
    pub reconstruction: Vec<f32>,
    /// `[F]`, each sensor estimated from the others only; zeros when the model has no such head.
    pub neighbour: Vec<f32>,
}

impl Expectation {
    pub fn zeros(sensors: usize) -> Self {
        Expectation {
            reconstruction: vec![0.0; sensors],
            neighbour: vec![0.0; sensors],
        }
    }
}

/// One frame of several in a row that an engine is given together, and what it says of it.
#[derive(Debug)]
pub struct Turn {
    /// The standardised frame `[F]`, as for [`Engine::step`].
    pub x: Vec<f32>,
    /// Earlier frames are to be forgotten before this one.
    pub restart: bool,
    /// Whether it will be scored: [`Engine::step`], or else [`Engine::skip`].
    pub wanted: bool,
    /// Written where the answer is `Ok(true)`.
    pub expectation: Expectation,
    /// What [`Engine::step`] would have returned; `Ok(false)` where it was not wanted.
    pub answer: Result<bool, EngineError>,
}

impl Turn {
    pub fn new(sensors: usize) -> Self {
        Turn {
            x: vec![0.0; sensors],
            restart: false,
            wanted: true,
            expectation: Expectation::zeros(sensors),
            answer: Ok(false),
        }
    }

    /// Lets `engine` take this turn alone.
    pub fn take_with(&mut self, engine: &mut (impl Engine + ?Sized)) {
        if self.restart {
            engine.reset();
        }
        self.answer = if self.wanted {
            engine.step(&self.x, &mut self.expectation)
        } else {
            engine.skip(&self.x);
            Ok(false)
        };
    }
}

/// Runs a model over a stream of standardised frames.
pub trait Engine: Send {
    /// `"native"` or `"torch"`.
    fn name(&self) -> &'static str;

    /// Forgets all earlier frames: the next window starts with the next frame.
    fn reset(&mut self);

    /// Takes the newest standardised frame `x` `[F]` (finite; stale sensors are filled in). Once T
    /// frames have been seen since the last reset, writes what the model expects of `x` and returns
    /// true; before that returns false and leaves `out` alone.
    ///
    /// # Errors
    /// The frame has no expectation (a worker died, hung or answered rubbish). The engine stays
    /// usable: the following frames are tried again, and the window is kept.
    fn step(&mut self, x: &[f32], out: &mut Expectation) -> Result<bool, EngineError>;

    /// Takes the newest frame into the window as [`Engine::step`] does, without saying what is
    /// expected of it: for a frame that nobody will score.
    fn skip(&mut self, x: &[f32]);

    /// Takes several frames in a row, with the same result as one after the other. An engine may be
    /// faster so.
    fn run(&mut self, turns: &mut [Turn]) {
        for turn in turns {
            turn.take_with(self);
        }
    }

    /// Runs independent windows `windows` `[B,T,F]`, without touching the stream's state, and
    /// returns the full outputs. Not on the hot path: golden vectors, verification, export.
    ///
    /// # Errors
    /// As for [`Engine::step`].
    fn run_windows(&mut self, windows: &[f32], batch: usize) -> Result<WindowOutputs, EngineError>;
}

/// The outputs of whole windows.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowOutputs {
    /// `[B,T,F]`
    pub reconstruction: Vec<f32>,
    /// `[B,F]`; zeros when the module returns a reconstruction only.
    pub neighbour: Vec<f32>,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "the torch worker {path} cannot be started: {source}; build it with \
         scripts/build-torch.sh, or do without libtorch: `train --heads neighbour,raw`, \
         `engine = \"native\"`"
    )]
    WorkerMissing {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the torch worker {0}")]
    Worker(String),
    #[error("this model cannot run on the native engine: {0}; use `--engine torch`")]
    Unsupported(String),
}
