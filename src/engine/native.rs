//! The native engine: the project's own architecture in plain Rust, frame by frame.
//!
//! A frame belongs to T overlapping windows, and all of them need an encoder step with that same
//! frame: its input projection is computed once, and the T open windows are advanced together with
//! one pass over the recurrent weights. The window that completes is decoded; only the newest
//! frame of its reconstruction is wanted, so one output product is enough. `docs/performance.md`
//! has the counts and the measurements. Imports `engine`, `engine::kernel` and `model`.

mod check;
mod decode;
mod layer;
mod neighbour;
#[cfg(test)]
mod reference;
mod stream;
#[cfg(test)]
mod tests;

use self::decode::Decoder;
use self::layer::Layers;
use self::neighbour::Neighbour;
use self::stream::Stream;
use super::kernel::{Block, Kernel};
use super::{Engine, EngineError, Expectation, WindowOutputs};
use crate::model::{Autoencoder, GraphLstm};

/// Runs a [`GraphLstm`] over a stream of frames; [`Engine::step`] does not allocate.
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
    neighbour: Option<Neighbour>,
    /// The newest frame, `[⌈F/8⌉]`
    frame: Vec<Block>,
}

/// The packed autoencoder and its working memory.
#[derive(Debug, Clone)]
struct Network {
    encoder: Layers,
    stream: Stream,
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
            neighbour: model.neighbour.as_ref().map(Neighbour::pack),
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
        self.seen = (self.seen + 1).min(self.window);
        let complete = self.seen == self.window;
        if let Some(network) = &mut self.network {
            Block::fill(&mut self.frame, x);
            let Network {
                encoder,
                stream,
                decoder,
            } = network;
            if let Some(code) = stream.push(self.kernel, encoder, &self.frame) {
                decoder.begin(self.kernel, code);
                for t in 0..self.window {
                    decoder.step(self.kernel, t);
                }
                decoder.reconstruct(self.kernel, &mut out.reconstruction);
            }
        } else if complete {
            out.reconstruction.fill(0.0);
        }
        if complete {
            match &self.neighbour {
                Some(neighbour) => neighbour.estimate(x, &mut out.neighbour),
                None => out.neighbour.fill(0.0),
            }
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
        self.seen = (self.seen + 1).min(self.window);
        if let Some(network) = &mut self.network {
            Block::fill(&mut self.frame, x);
            network
                .stream
                .push(self.kernel, &network.encoder, &self.frame);
        }
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
        if let Some(network) = &mut self.network {
            let windows = windows.chunks_exact(size);
            for (window, result) in windows.zip(out.reconstruction.chunks_exact_mut(size)) {
                let code = stream::encode(self.kernel, &network.encoder, window, self.sensors);
                network.decoder.begin(self.kernel, &code);
                for (t, frame) in result.chunks_exact_mut(self.sensors).enumerate() {
                    network.decoder.step(self.kernel, t);
                    network.decoder.reconstruct(self.kernel, frame);
                }
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

impl Network {
    fn pack(model: &Autoencoder, window: usize) -> Network {
        let encoder = Layers::pack(&model.encoder);
        Network {
            stream: Stream::new(&encoder, window),
            decoder: Decoder::new(Layers::pack(&model.decoder), &model.output),
            encoder,
        }
    }
}
