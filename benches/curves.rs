//! The native engine's cost against what the machine can do at most, and its curves over sensors,
//! window and streams, as tables for `docs/performance.md`.
//!
//! `cargo bench --bench curves`. Every figure is the best of many short runs on the thread's CPU
//! clock: the least that other load on the machine disturbs, and what a floor is compared with.
//! "live" is a frame at a time, "ahead" is 32 frames at a time as `replay` gives them. The last table
//! is what `replay` does on one thread with `models/demo.pt`, which is of the seed's size, in rows
//! or windows a second.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use anomalyd::engine::kernel::{Kernel, Panel};
use anomalyd::engine::native::NativeEngine;
use anomalyd::engine::{Engine, Expectation, Turn};
use anomalyd::frame::Timestamp;
use anomalyd::frame::align::AlignConfig;
use anomalyd::ingest::csv::{BadValues, ColumnMap, CsvOptions, CsvReader};
use anomalyd::model::{GraphLstm, ModelFile, Network};
use anomalyd::pipeline::{Pipeline, PipelineConfig, Stream};
use anomalyd::simulate::Plant;
use anomalyd::simulate::record::{LineFormat, header, push_frame};
use jiff::tz::TimeZone;
use nix::time::ClockId;

/// The seed's model: F, T, H.
const SEED: Shape = Shape {
    sensors: 51,
    window: 10,
    hidden: 64,
};
const RUNS: usize = 40;
/// Windows of one run, at least.
const WINDOWS: usize = 96;
const AHEAD: usize = 32;
/// Of the recording: half a day of the demo's plant.
const ROWS: usize = 4320;
/// Vector operations of an LSTM cell beside its products: five powers of two of 11 operations, and
/// 15 to put them together (`src/engine/kernel/lanes.rs`).
const CELL_OPERATIONS: usize = 70;

#[derive(Clone, Copy)]
struct Shape {
    sensors: usize,
    window: usize,
    hidden: usize,
}

impl Shape {
    /// Multiply-adds of one window after all reuse: the new frame's input projection, a step of each
    /// open window, the decoder's one projection and its steps, the newest frame of the output.
    fn multiply_adds(self) -> usize {
        let (f, t, h) = (self.sensors, self.window, self.hidden);
        4 * h * f + (t - 1) * 4 * h * h + 4 * h * h + (t - 1) * 4 * h * h + h * f
    }

    /// LSTM cells' operations of one window: a step of T units of H, encoder and decoder.
    fn cell_operations(self) -> usize {
        2 * self.window * self.hidden * CELL_OPERATIONS
    }

    /// Bytes of weights that a live window reads, counting each time that they are read.
    fn bytes(self) -> usize {
        let (f, t, h) = (self.sensors, self.window, self.hidden);
        4 * (4 * h * f + 4 * h * h + 4 * h * h + (t - 1) * 4 * h * h + h * f)
    }

    fn engine(self, kernel: Kernel) -> NativeEngine {
        let model = GraphLstm::init(self.sensors, self.hidden, self.window, 1, 1);
        match NativeEngine::with_kernel(&model, kernel) {
            Ok(engine) => engine,
            Err(error) => panic!("the model of this bench is refused: {error}"),
        }
    }

    fn frames(self) -> Vec<Vec<f32>> {
        let value = |n: usize| ((n * 7919 % 1000) as f32 / 500.0 - 1.0) * 3.0;
        let frame = |row: usize| {
            (0..self.sensors)
                .map(|i| value(row * self.sensors + i))
                .collect()
        };
        (0..WINDOWS).map(frame).collect()
    }
}

fn main() {
    roofline();
    curve(
        "sensors",
        [8, 16, 32, 51, 64, 128, 256, 512, 1024],
        |sensors| Shape { sensors, ..SEED },
    );
    curve("window", [5, 10, 20, 50, 100], |window| Shape {
        window,
        ..SEED
    });
    curve("hidden", [16, 32, 48, 64, 96, 128, 256], |hidden| Shape {
        hidden,
        ..SEED
    });
    streams();
    recording();
}

/// The machine's peaks, and the seed's model against them.
fn roofline() {
    let shape = SEED;
    println!(
        "a window: {} multiply-adds, {} cell operations, {} KB of weights read live",
        shape.multiply_adds(),
        shape.cell_operations(),
        shape.bytes() / 1000
    );
    println!(
        "\n| kernel | 10⁹ multiply-adds/s | L1 GB/s | L2 GB/s | floor µs | live µs | ahead µs |"
    );
    println!("|---|---|---|---|---|---|---|");
    for kernel in Kernel::available() {
        let count = 1 << 20;
        let (live, ahead) = (live(shape, kernel), ahead(shape, kernel));
        let Some((made, _)) = kernel.multiply_adds(count) else {
            println!("| {} | | | | | {live:.2} | {ahead:.2} |", kernel.name());
            continue;
        };
        let peak = made as f64 / best(|| _ = black_box(kernel.multiply_adds(count))) / 1e9;
        // 16 KB and 256 KB.
        let [l1, l2] = [64, 1024].map(|rows| {
            let panel = Panel::rows(&vec![1.0; rows * 64], rows, 64);
            let passes = (1 << 22) / (rows * 64 * 4);
            let seconds = best(|| _ = black_box(kernel.read(&panel, passes)));
            (passes * rows * 64 * 4) as f64 / seconds / 1e9
        });
        let operations = shape.multiply_adds() + shape.cell_operations();
        let floor = operations as f64 / peak / 1e3;
        println!(
            "| {} | {peak:.1} | {l1:.0} | {l2:.0} | {floor:.2} | {live:.2} | {ahead:.2} |",
            kernel.name()
        );
    }
}

fn curve<const N: usize>(what: &str, points: [usize; N], shape: impl Fn(usize) -> Shape) {
    let kernel = Kernel::best();
    println!("\n| {what} | live µs | ahead µs | multiply-adds | 10⁹/s live | 10⁹/s ahead |");
    println!("|---|---|---|---|---|---|");
    for point in points {
        let shape = shape(point);
        let (live, ahead) = (live(shape, kernel), ahead(shape, kernel));
        let count = shape.multiply_adds();
        let rate = |micros: f64| count as f64 / micros / 1e3;
        println!(
            "| {point} | {live:.2} | {ahead:.2} | {count} | {:.1} | {:.1} |",
            rate(live),
            rate(ahead)
        );
    }
}

/// Streams of one model in one process, a frame of each in turn.
fn streams() {
    println!("\n| streams | live µs a window |\n|---|---|");
    let frames = SEED.frames();
    let first = SEED.engine(Kernel::best());
    for count in [1, 2, 4, 8, 16, 32, 64] {
        let mut engines = vec![first.clone(); count];
        let mut out = Expectation::zeros(SEED.sensors);
        let seconds = best(|| {
            for frame in &frames {
                for engine in &mut engines {
                    answered(engine.step(frame, &mut out));
                }
            }
        });
        let micros = seconds * 1e6 / (frames.len() * count) as f64;
        println!("| {count} | {micros:.2} |");
    }
}

/// A recording through `replay`'s stages.
fn recording() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.pt");
    let model = match ModelFile::load(&path) {
        Ok(model) => model,
        Err(error) => panic!("{error}"),
    };
    let names = model.manifest.sensor_names();
    let mut plant = Plant::new(1, Duration::from_secs(10));
    let mut text = header().into_bytes();
    for row in 0..ROWS {
        let time = Timestamp::from_seconds(1_790_000_000 + 10 * row as i64);
        push_frame(&mut text, LineFormat::Csv, time, plant.step());
    }
    let read = |take: &mut dyn FnMut(Timestamp, &[f64])| {
        let options = CsvOptions {
            zone: TimeZone::UTC,
            bad: BadValues::Missing,
        };
        let opened = CsvReader::from_source(&text[..], &path, options);
        let Ok(mut reader) = opened else {
            panic!("the bench's own recording is refused");
        };
        let map = ColumnMap::new(&names, reader.sensors());
        let (mut row, mut values) = (Vec::new(), vec![f64::NAN; names.len()]);
        while let Ok(Some(time)) = reader.next_row(&mut row) {
            map.apply(&row, &mut values);
            take(time, &values);
        }
    };
    let judge = |kernel: Kernel, frames: usize| {
        let engine = match &model.network {
            Network::GraphLstm(network) => NativeEngine::with_kernel(network, kernel),
            Network::Foreign { class } => panic!("the demo's model is a {class}"),
        };
        let Ok(engine) = engine else {
            panic!("the native engine refuses the demo's model");
        };
        let pipeline = Pipeline::new(&model, Box::new(engine), &PipelineConfig::default());
        let align = AlignConfig::new(model.manifest.period_nanos());
        let mut stream = Stream::new(pipeline, align, true);
        stream.set_ahead(frames);
        read(&mut |time, values| stream.push_row(time, values, &mut |_| {}));
        stream.finish(&mut |_| {});
        assert!(stream.pipeline().counts().scored > ROWS as u64 - 10);
    };
    let rate = |seconds: f64| ROWS as f64 / seconds;
    let parse = rate(best(|| read(&mut |_, values| _ = black_box(values))));
    println!("\nCSV parsing alone: {parse:.0} rows/s");
    println!("\n| kernel | engine alone, ahead | all stages, frame by frame | all stages, ahead |");
    println!("|---|---|---|---|");
    for kernel in Kernel::available() {
        println!(
            "| {} | {:.0} | {:.0} | {:.0} |",
            kernel.name(),
            1e6 / ahead(SEED, kernel),
            rate(best(|| judge(kernel, 1))),
            rate(best(|| judge(kernel, AHEAD)))
        );
    }
}

/// µs a window, a frame at a time.
fn live(shape: Shape, kernel: Kernel) -> f64 {
    let (mut engine, frames) = (shape.engine(kernel), shape.frames());
    let mut out = Expectation::zeros(shape.sensors);
    let seconds = best(|| {
        for frame in &frames {
            answered(engine.step(black_box(frame), &mut out));
        }
    });
    seconds * 1e6 / frames.len() as f64
}

/// µs a window, [`AHEAD`] frames at a time.
fn ahead(shape: Shape, kernel: Kernel) -> f64 {
    let mut engine = shape.engine(kernel);
    let turn = |x: Vec<f32>| Turn {
        x,
        ..Turn::new(shape.sensors)
    };
    let mut turns: Vec<Turn> = shape.frames().into_iter().map(turn).collect();
    let seconds = best(|| {
        for turns in turns.chunks_mut(AHEAD) {
            engine.run(black_box(turns));
        }
    });
    seconds * 1e6 / turns.len() as f64
}

fn answered<E: std::fmt::Display>(answer: Result<bool, E>) {
    if let Err(error) = answer {
        panic!("the engine did not answer: {error}");
    }
}

/// The least CPU time of `work`, in seconds, after a first run that does not count.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let before = thread_time();
        work();
        least = least.min((thread_time() - before).as_secs_f64());
    }
    least
}

/// CPU time of the thread.
fn thread_time() -> Duration {
    match ClockId::CLOCK_THREAD_CPUTIME_ID.now() {
        Ok(now) => now.into(),
        Err(error) => panic!("the thread's CPU clock cannot be read: {error}"),
    }
}
