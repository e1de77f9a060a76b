//! `bench`: libtorch in this very process, as a contender of `benches/engines` (its `contend.rs` has
//! the commands). What `serve` costs beside it is the way to the worker and back.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;

use anomalyd::engine::torch::protocol::Shape;
use tch::{CModule, IValue, Tensor};

use crate::{plain, serve};

/// Answers commands on stdin until it closes; `frames` is the stream, `[N,F]` little-endian float32.
pub fn run(model: &Path, window: u32, sensors: u32, frames: &Path) -> Result<(), String> {
    let shape = Shape {
        batch: 1,
        window,
        sensors,
    };
    let stream = read(frames)?;
    let Some(size) = shape.values().filter(|size| *size <= stream.len()) else {
        return Err(format!("{}: holds no window", frames.display()));
    };
    let (module, _) = serve::open(model, shape, 1)?;
    let mut windows = Windows {
        stream: &stream,
        size,
        sensors: sensors as usize,
        next: 0,
    };
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("cannot read: {error}"))?;
        let unknown = || format!("was sent {line:?}");
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["run", count, batch] => {
                let count: usize = count.parse().map_err(|_| unknown())?;
                let batch: u32 = batch.parse().map_err(|_| unknown())?;
                let shape = Shape { batch, ..shape };
                for _ in 0..count / batch.max(1) as usize {
                    tch::no_grad(|| score(&module, shape, &mut windows))?;
                }
            }
            ["check", from, to] => check(&module, shape, Path::new(from), Path::new(to))?,
            _ => return Err(unknown()),
        }
        let mut output = io::stdout().lock();
        writeln!(output, "done").map_err(|error| format!("cannot answer: {error}"))?;
    }
    Ok(())
}

/// Runs the next windows and leaves their outputs where libtorch has them.
fn score(module: &CModule, shape: Shape, windows: &mut Windows<'_>) -> Result<(), String> {
    let [batch, window, sensors] = [shape.batch, shape.window, shape.sensors].map(i64::from);
    let input = if batch == 1 {
        Tensor::from_slice(windows.next())
    } else {
        let together: Vec<f32> = (0..batch).flat_map(|_| windows.next()).copied().collect();
        Tensor::from_slice(&together)
    };
    module
        .forward_is(&[IValue::Tensor(input.view([batch, window, sensors]))])
        .map(drop)
        .map_err(|error| plain(&error))
}

fn check(module: &CModule, shape: Shape, from: &Path, to: &Path) -> Result<(), String> {
    let windows = read(from)?;
    let size = shape.window as usize * shape.sensors as usize;
    let batch = u32::try_from(windows.len() / size).map_err(|error| error.to_string())?;
    let shape = Shape { batch, ..shape };
    let (mut outputs, neighbour) = tch::no_grad(|| serve::forward(module, shape, &windows))?;
    outputs.extend(neighbour.unwrap_or_default());
    let bytes: Vec<u8> = outputs.into_iter().flat_map(f32::to_le_bytes).collect();
    fs::write(to, bytes).map_err(|error| format!("{}: {error}", to.display()))
}

/// The overlapping windows of a stream, again and again.
struct Windows<'a> {
    stream: &'a [f32],
    /// T × F
    size: usize,
    /// F
    sensors: usize,
    next: usize,
}

impl<'a> Windows<'a> {
    fn next(&mut self) -> &'a [f32] {
        let count = (self.stream.len() - self.size) / self.sensors + 1;
        self.next = (self.next + 1) % count;
        &self.stream[self.next * self.sensors..][..self.size]
    }
}

fn read(path: &Path) -> Result<Vec<f32>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let values = bytes.as_chunks::<4>().0.iter();
    Ok(values.map(|raw| f32::from_le_bytes(*raw)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_and_begin_anew_after_the_last() {
        let stream: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let mut windows = Windows {
            stream: &stream,
            size: 6,
            sensors: 2,
            next: 0,
        };
        let firsts: Vec<f32> = (0..4).map(|_| windows.next()[0]).collect();
        assert_eq!(firsts, [2.0, 4.0, 0.0, 2.0]);
    }
}
