//! The engine by itself in this very process: how long a model takes to load, how many windows go
//! through, and whether memory grows with them. Imports `model`, `engine` and `pipeline`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::fit::Slope;
use super::interrupt::Interrupt;
use super::meter::family_cpu;
use super::outcome::Streamed;
use super::target::EngineName;
use crate::engine::torch::TorchConfig;
use crate::engine::{Engine, EngineError, Expectation};
use crate::health::process::usage;
use crate::model::{ModelError, ModelFile, Network};
use crate::pipeline::{EngineChoice, OpenError, open_engine};

/// Frames of noise that are gone through again and again.
const FRAMES: usize = 997;
/// Of these before anything is counted.
const WARM_UP: u64 = 2_000;
/// The seed's check of memory.
const FIRST: u64 = 1_000;
/// Readings of memory over the whole loop.
const READINGS: u64 = 200;

#[derive(Debug, thiserror::Error)]
pub enum EngineLoopError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("interrupted")]
    Interrupted,
}

impl EngineName {
    pub fn choice(self) -> EngineChoice {
        match self {
            EngineName::Native => EngineChoice::Native,
            EngineName::Torch => EngineChoice::Torch,
        }
    }
}

fn open(
    path: &Path,
    engine: EngineName,
    torch: &TorchConfig,
) -> Result<(ModelFile, Box<dyn Engine>), EngineLoopError> {
    let model = ModelFile::load(path)?;
    let (engine, _) = open_engine(&model, engine.choice(), torch)?;
    Ok((model, engine))
}

/// From the file to an engine that has reproduced the golden vectors.
///
/// # Errors
/// The model is refused.
pub fn load_time(
    path: &Path,
    engine: EngineName,
    torch: &TorchConfig,
) -> Result<Duration, EngineLoopError> {
    let begin = Instant::now();
    let opened = open(path, engine, torch)?;
    let took = begin.elapsed();
    drop(opened);
    Ok(took)
}

/// Units of the model's LSTM.
pub fn hidden(network: &Network) -> Option<usize> {
    match network {
        Network::GraphLstm(network) => Some(network.autoencoder.as_ref()?.hidden),
        Network::Foreign { .. } => None,
    }
}

/// Streams frames through the engine for at least `windows` windows, but no longer than `limit`.
///
/// # Errors
/// The model is refused, or the engine fails. An interruption is an end, not an error, once there
/// is something to tell.
pub fn stream(
    path: &Path,
    name: EngineName,
    torch: &TorchConfig,
    windows: u64,
    limit: Duration,
    interrupt: &Interrupt,
    show: &dyn Fn(f64),
) -> Result<Streamed, EngineLoopError> {
    let (model, mut engine) = open(path, name, torch)?;
    let sensors = model.manifest.sensors.len();
    let frames = noise(FRAMES * sensors);
    let mut expectation = Expectation::zeros(sensors);
    let mut frame = frames.chunks_exact(sensors).cycle();
    let mut run = |count: u64| -> Result<(), EngineError> {
        for x in frame
            .by_ref()
            .take(usize::try_from(count).unwrap_or(usize::MAX))
        {
            engine.step(x, &mut expectation)?;
        }
        Ok(())
    };
    let rss = || usage(Path::new("/")).map(|usage| usage.rss_bytes);
    run(WARM_UP)?;
    let rss_bytes_at_0 = rss();
    run(FIRST)?;
    let rss_bytes_at_1000 = rss();

    let step = (windows / READINGS).max(1);
    // Room for all readings, so that what is watched is the engine's memory and not ours.
    let mut readings = Vec::with_capacity(READINGS as usize + 2);
    let id = std::process::id();
    let (begin, cpu_before) = (Instant::now(), family_cpu(id));
    let mut done = 0;
    readings.extend(rss().map(|rss| (done, rss)));
    while done < windows && begin.elapsed() < limit {
        if interrupt.came() {
            if done == 0 {
                return Err(EngineLoopError::Interrupted);
            }
            break;
        }
        run(step)?;
        done += step;
        readings.extend(rss().map(|rss| (done, rss)));
        show(
            (done as f64 / windows as f64).max(begin.elapsed().as_secs_f64() / limit.as_secs_f64()),
        );
    }
    let seconds = begin.elapsed().as_secs_f64();
    let cpu_seconds = (family_cpu(id).saturating_sub(cpu_before)).as_secs_f64();
    let millions = |(windows, rss): &(u64, u64)| (*windows as f64 / 1e6, *rss as f64);
    let points: Vec<(f64, f64)> = readings.iter().map(millions).collect();
    let projections = projections(name, &model, done);
    Ok(Streamed {
        windows: done,
        seconds,
        cpu_seconds,
        rss_bytes_at_0,
        rss_bytes_at_1000,
        rss_slope: Slope::through(&points),
        rss: readings,
        projections_needed: projections.map(|(needed, _)| needed),
        projections_computed: projections.map(|(_, computed)| computed),
    })
}

/// How many input projections `windows` windows need, and how many are computed: each window needs
/// one for each of its frames. The native engine computes one a frame, when it comes, and keeps it
/// for all windows that the frame is in; libtorch computes every window by itself.
fn projections(engine: EngineName, model: &ModelFile, windows: u64) -> Option<(u64, u64)> {
    hidden(&model.network)?;
    let needed = windows * model.manifest.window as u64;
    match engine {
        EngineName::Native => Some((needed, windows)),
        EngineName::Torch => Some((needed, needed)),
    }
}

/// Standardised values: uniform, of deviation 1. A window costs the same whatever is in it.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut next = || {
        // Knuth's MMIX constants; the high bits are good enough here.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5) * 12_f32.sqrt()
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_standardised() {
        let values = noise(10_000);
        let mean = values.iter().sum::<f32>() / 1e4;
        let square = values.iter().map(|x| x * x).sum::<f32>() / 1e4;
        assert!(
            mean.abs() < 0.05 && (square - 1.0).abs() < 0.05,
            "{mean} {square}"
        );
    }
}
