//! The contenders that are Rust libraries: native, libtorch through its worker process, tract.
//!
//! A contender reads commands, one a line, and answers each with the line `done`:
//!
//! - `run N B`: the next N windows of the stream, B at a time; the engines of the project are fed frame
//!   by frame where B is 1, as the daemon does it, and else run whole windows;
//! - `check WINDOWS OUT`: the outputs of the windows `[K,T,F]` in a file: K reconstructions `[T,F]`, then
//!   K neighbour estimates `[F]`.

use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anomalyd::engine::native::NativeEngine;
use anomalyd::engine::torch::{TorchConfig, TorchEngine};
use anomalyd::engine::{Engine, Expectation};
use anomalyd::model::{ModelFile, Network};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use tract_onnx::prelude::*;

use crate::WorkArgs;

#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    Native,
    /// The torch engine of the daemon: its worker is a second process
    Worker,
    Tract,
}

pub fn run(kind: Kind, work: &WorkArgs) -> anyhow::Result<()> {
    let stream = Frames {
        values: read(&work.frames)?,
        window: work.window,
        sensors: work.sensors,
        next: 0,
    };
    match kind {
        Kind::Native => {
            let model = ModelFile::load(&work.model)?;
            let Network::GraphLstm(network) = &model.network else {
                bail!("the native engine does not run {}", work.model.display());
            };
            let engine = NativeEngine::new(network)?;
            drop(model);
            serve(Streamed::new(engine, stream)?)
        }
        Kind::Worker => {
            let (model, config) = (&work.model, TorchConfig::default());
            let engine = TorchEngine::open(model, work.window, work.sensors, config)?;
            serve(Streamed::new(engine, stream)?)
        }
        Kind::Tract => serve(Tract {
            model: work.model.clone(),
            plan: Tract::plan(&work.model, 1, &stream)?,
            batch: 1,
            stream,
        }),
    }
}

/// What answers the commands.
trait Contend {
    /// The next windows of the stream: `windows` of them, `batch` at a time.
    fn run(&mut self, windows: usize, batch: usize) -> anyhow::Result<()>;
    /// Reconstructions and neighbour estimates of `[K,T,F]`.
    fn check(&mut self, windows: &[f32]) -> anyhow::Result<(Vec<f32>, Vec<f32>)>;
}

fn serve(mut contender: impl Contend) -> anyhow::Result<()> {
    for line in stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["run", windows, batch] => contender.run(windows.parse()?, batch.parse()?)?,
            ["check", windows, out] => {
                let (mut outputs, neighbour) = contender.check(&read(Path::new(windows))?)?;
                outputs.extend(neighbour);
                let bytes: Vec<u8> = outputs.into_iter().flat_map(f32::to_le_bytes).collect();
                fs::write(out, bytes)?;
            }
            _ => bail!("was sent {line:?}"),
        }
        writeln!(stdout(), "done")?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<f32>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let (values, rest) = bytes.as_chunks::<4>();
    ensure!(rest.is_empty(), "{}: not float32", path.display());
    Ok(values.iter().map(|raw| f32::from_le_bytes(*raw)).collect())
}

/// An endless stream of `[F]`, the same frames again and again.
struct Frames {
    values: Vec<f32>,
    window: usize,
    sensors: usize,
    next: usize,
}

impl Frames {
    fn next_frame(&mut self) -> &[f32] {
        let count = self.values.len() / self.sensors;
        self.next = (self.next + 1) % count;
        &self.values[self.next * self.sensors..][..self.sensors]
    }

    /// `[B,T,F]`: as many windows, each one frame later than the one before.
    fn next_windows(&mut self, batch: usize, into: &mut Vec<f32>) {
        let count = self.values.len() / self.sensors + 1 - self.window;
        into.clear();
        for _ in 0..batch {
            self.next = (self.next + 1) % count;
            let start = self.next * self.sensors;
            into.extend_from_slice(&self.values[start..][..self.window * self.sensors]);
        }
    }
}

/// An engine of the project.
struct Streamed<E> {
    engine: E,
    stream: Frames,
    out: Expectation,
}

impl<E: Engine> Streamed<E> {
    /// The first window is filled here, so that every further frame completes one.
    fn new(mut engine: E, mut stream: Frames) -> anyhow::Result<Self> {
        let mut out = Expectation::zeros(stream.sensors);
        while !engine.step(stream.next_frame(), &mut out)? {}
        Ok(Streamed {
            engine,
            stream,
            out,
        })
    }
}

impl<E: Engine> Contend for Streamed<E> {
    fn run(&mut self, windows: usize, batch: usize) -> anyhow::Result<()> {
        let mut together = Vec::new();
        for _ in 0..windows / batch {
            if batch == 1 {
                let complete = self.engine.step(self.stream.next_frame(), &mut self.out)?;
                ensure!(complete, "a frame did not complete a window");
            } else {
                self.stream.next_windows(batch, &mut together);
                self.engine.run_windows(&together, batch)?;
            }
        }
        Ok(())
    }

    fn check(&mut self, windows: &[f32]) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
        let size = self.stream.window * self.stream.sensors;
        let outputs = self.engine.run_windows(windows, windows.len() / size)?;
        Ok((outputs.reconstruction, outputs.neighbour))
    }
}

struct Tract {
    /// The ONNX file
    model: PathBuf,
    plan: Arc<TypedRunnableModel>,
    /// What the plan was made for: its shapes are fixed.
    batch: usize,
    stream: Frames,
}

impl Tract {
    fn plan(
        model: &Path,
        batch: usize,
        stream: &Frames,
    ) -> anyhow::Result<Arc<TypedRunnableModel>> {
        let shape = f32::fact([batch, stream.window, stream.sensors]);
        let model = tract_onnx::onnx().model_for_path(model)?;
        model
            .with_input_fact(0, shape.into())?
            .into_optimized()?
            .into_runnable()
    }

    fn answer(&self, windows: &[f32]) -> anyhow::Result<TVec<TValue>> {
        let shape = [self.batch, self.stream.window, self.stream.sensors];
        let input = Tensor::from_shape(&shape, windows)?;
        self.plan.run(tvec![input.into()])
    }
}

impl Contend for Tract {
    fn run(&mut self, windows: usize, batch: usize) -> anyhow::Result<()> {
        if batch != self.batch {
            self.plan = Tract::plan(&self.model, batch, &self.stream)?;
            self.batch = batch;
        }
        let mut together = Vec::new();
        for _ in 0..windows / batch {
            self.stream.next_windows(batch, &mut together);
            self.answer(&together)?;
        }
        Ok(())
    }

    fn check(&mut self, windows: &[f32]) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
        let (mut reconstruction, mut neighbour) = (Vec::new(), Vec::new());
        for window in windows.chunks_exact(self.stream.window * self.stream.sensors) {
            let outputs = self.answer(window)?;
            for (output, all) in outputs.iter().zip([&mut reconstruction, &mut neighbour]) {
                all.extend_from_slice(
                    output
                        .to_plain_array_view::<f32>()?
                        .as_slice()
                        .context("")?,
                );
            }
        }
        Ok((reconstruction, neighbour))
    }
}
