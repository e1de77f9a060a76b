//! The native engine: the project's own architecture in plain Rust, frame by frame.
//!
//! A frame belongs to T overlapping windows, and all of them need an encoder step with that same
//! frame: its input projection is computed once, and the T open windows are advanced together with
//! one pass over the recurrent weights. The window that completes is decoded; only the newest
//! frame of its reconstruction is wanted, so one output product is enough. `docs/performance.md`
//! has the counts and the measurements. Imports `engine`, `engine::kernel` and `model`.

mod ahead;
mod check;
mod decode;
mod layer;
mod neighbour;
#[cfg(test)]
mod reference;
mod stream;
#[cfg(test)]
mod tests;
mod weights;
mod whole;

use std::sync::Arc;

use self::ahead::Ahead;
use self::decode::Decoder;
use self::neighbour::Neighbour;
use self::stream::Stream;
use self::weights::Weights;
use super::kernel::{Block, Kernel};
use super::{Engine, EngineError, Expectation, Turn, WindowOutputs};
use crate::model::{Autoencoder, GraphLstm};

/// Runs a [`GraphLstm`] over a stream of frames; [`Engine::step`] does not allocate, and neither
/// does [`Engine::run`] after its first call. A clone is another stream, which shares the weights.
///
/// The result depends on the weights, the frames and the kernel only: the same stream gives the
/// same bits again.
#[derive(Debug, Clone)]
pub struct NativeEngine {
    kernel: Kernel,
    sensors: usize,
    window: usize,
    /// Frames since the last reset, at most T.
    seen: usize,
    network: Option<Network>,
    neighbour: Option<Arc<Neighbour>>,
    /// Made when several frames are given together for the first time.
    ahead: Option<Box<Ahead>>,
    /// The newest frame, `[⌈F/8⌉]`
    frame: Vec<Block>,
}

/// The packed autoencoder and its working memory.
#[derive(Debug, Clone)]
struct Network {
    weights: Arc<Weights>,
    stream: Stream,
    /// The newest frame's input projection, `[⌈H/8⌉,4]`
    projection: Vec<Block>,
    decoder: Decoder,
}

impl NativeEngine {
    /// Packs the weights for the fastest kernel of this machine.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`]: an array of the model does not have the shape that its place
    /// needs, holds a value that is not finite, or a size is not within 1 to 1024.
    pub fn new(model: &GraphLstm) -> Result<NativeEngine, EngineError> {
        NativeEngine::with_kernel(model, Kernel::best())
    }

    /// As [`NativeEngine::new`], with a chosen kernel.
    ///
    /// # Errors
    /// As for [`NativeEngine::new`].
    pub fn with_kernel(model: &GraphLstm, kernel: Kernel) -> Result<NativeEngine, EngineError> {
        check::model(model)?;
        Ok(NativeEngine {
            kernel,
            sensors: model.sensors,
            window: model.window,
            seen: 0,
            network: (model.autoencoder.as_ref()).map(|a| Network::pack(a, model.window)),
            neighbour: (model.neighbour.as_ref()).map(|linear| Arc::new(Neighbour::pack(linear))),
            ahead: None,
            frame: vec![Block::ZERO; Block::count(model.sensors)],
        })
    }

    pub fn kernel(&self) -> Kernel {
        self.kernel
    }
}

impl Engine for NativeEngine {
    fn name(&self) -> &'static str {
        "native"
    }

    fn reset(&mut self) {
        self.seen = 0;
        if let Some(network) = &mut self.network {
            network.stream.reset();
        }
    }

    /// # Panics
    /// `x` or a part of `out` does not have F values.
    fn step(&mut self, x: &[f32], out: &mut Expectation) -> Result<bool, EngineError> {
        assert_eq!(x.len(), self.sensors, "values in the frame");
        assert_eq!(out.reconstruction.len(), self.sensors, "room for values");
        assert_eq!(out.neighbour.len(), self.sensors, "room for values");
        let complete = self.take();
        if let Some(network) = &mut self.network {
            Block::fill(&mut self.frame, x);
            let Network {
                weights,
                stream,
                projection,
                decoder,
            } = network;
            weights
                .encoder
                .project(self.kernel, &self.frame, projection);
            if let Some(code) = stream.push(self.kernel, &weights.encoder, projection) {
                decoder.run(self.kernel, weights, code, self.window);
                decoder.reconstruct(self.kernel, weights);
                decoder.frame(0, &mut out.reconstruction);
            }
        }
        if complete {
            self.finish(x, out);
        }
        Ok(complete)
    }

    /// The encoder's step is made, as the windows that are scored hold this frame too; the decoder
    /// and the neighbour head are left out.
    ///
    /// # Panics
    /// `x` does not have F values.
    fn skip(&mut self, x: &[f32]) {
        assert_eq!(x.len(), self.sensors, "values in the frame");
        self.take();
        if let Some(network) = &mut self.network {
            Block::fill(&mut self.frame, x);
            let encoder = &network.weights.encoder;
            encoder.project(self.kernel, &self.frame, &mut network.projection);
            (network.stream).push(self.kernel, encoder, &network.projection);
        }
    }

    /// # Panics
    /// An x or a part of an expectation does not have F values.
    fn run(&mut self, turns: &mut [Turn]) {
        let [turn] = turns else {
            for turns in turns.chunks_mut(ahead::FRAMES) {
                self.run_together(turns);
            }
            return;
        };
        turn.take_with(self);
    }

    /// # Panics
    /// `windows` does not have `batch` × T × F values.
    fn run_windows(&mut self, windows: &[f32], batch: usize) -> Result<WindowOutputs, EngineError> {
        let size = self.window * self.sensors;
        assert_eq!(windows.len(), batch * size, "values in the windows");
        let mut out = WindowOutputs {
            reconstruction: vec![0.0; windows.len()],
            neighbour: vec![0.0; batch * self.sensors],
        };
        if let Some(network) = &self.network {
            let shape = [self.window, self.sensors];
            let parts = windows.chunks(ahead::FRAMES * size);
            for (part, out) in parts.zip(out.reconstruction.chunks_mut(ahead::FRAMES * size)) {
                whole::reconstruct(self.kernel, &network.weights, shape, part, out);
            }
        }
        if let Some(neighbour) = &self.neighbour {
            let estimates = out.neighbour.chunks_exact_mut(self.sensors);
            for (window, estimate) in windows.chunks_exact(size).zip(estimates) {
                neighbour.estimate(&window[size - self.sensors..], estimate);
            }
        }
        Ok(out)
    }
}

impl NativeEngine {
    /// Counts one more frame, and says whether it completes a window.
    fn take(&mut self) -> bool {
        self.seen = (self.seen + 1).min(self.window);
        self.seen == self.window
    }

    /// What a complete window's expectation has beside the autoencoder.
    fn finish(&self, x: &[f32], out: &mut Expectation) {
        if self.network.is_none() {
            out.reconstruction.fill(0.0);
        }
        match &self.neighbour {
            Some(neighbour) => neighbour.estimate(x, &mut out.neighbour),
            None => out.neighbour.fill(0.0),
        }
    }

    /// Takes at most [`ahead::FRAMES`] turns.
    fn run_together(&mut self, turns: &mut [Turn]) {
        for turn in &*turns {
            assert_eq!(turn.x.len(), self.sensors, "values in the frame");
        }
        if let Some(network) = &mut self.network {
            let new = || Box::new(Ahead::new(&network.weights, self.sensors));
            let ahead = self.ahead.get_or_insert_with(new);
            ahead.run(self.kernel, network, self.window, turns);
        }
        for turn in turns {
            if turn.restart {
                self.seen = 0;
            }
            let complete = self.take() && turn.wanted;
            if complete {
                self.finish(&turn.x, &mut turn.expectation);
            }
            turn.answer = Ok(complete);
        }
    }
}

impl Network {
    fn pack(model: &Autoencoder, window: usize) -> Network {
        let weights = Weights::pack(model);
        Network {
            stream: Stream::new(&weights.encoder, window),
            projection: vec![Block::ZERO; weights.encoder.projection_length()],
            decoder: Decoder::new(&weights, 1),
            weights: Arc::new(weights),
        }
    }
}
