//! CPU time of one window of the seed's model (51 sensors, T = 10, H = 64), streamed frame by frame.
//!
//! `cargo bench --bench window`. Each entry of the group `window` answers one more frame of the
//! same endless stream; another engine is one more call of [`bench_engine`]; `ahead` answers 32 frames
//! together and gives the time of one. `naive` is what the formulas say, in plain loops without any
//! reuse: the ratio is what the engine's design gains.
//! The times are CPU times of the benching thread, so other load on the machine does not count in
//! full (it still takes cache and clock). `libtorch` adds the CPU time of its worker process, and is
//! skipped with the reason where there is none (scripts/build-torch.sh makes it).

use std::hint::black_box;
use std::time::Duration;

use anomalyd::engine::kernel::Kernel;
use anomalyd::engine::native::NativeEngine;
use anomalyd::engine::torch::{TorchConfig, TorchEngine};
use anomalyd::engine::{Engine, Expectation, Turn};
use anomalyd::model::torchscript::save_network;
use anomalyd::model::{Autoencoder, GraphLstm, Linear, LstmLayer};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use nix::time::ClockId;

const SENSORS: usize = 51;
const WINDOW: usize = 10;
const HIDDEN: usize = 64;
/// Neighbours of a sensor
const NEIGHBOURS: usize = 8;

fn windows(criterion: &mut Criterion<CpuTime>) {
    let model = seed_model();
    let mut group = criterion.benchmark_group("window");
    group.throughput(Throughput::Elements(1));
    for kernel in Kernel::available() {
        match NativeEngine::with_kernel(&model, kernel) {
            Ok(engine) => {
                let name = format!("native/{}", kernel.name());
                bench_ahead(&mut group, &format!("{name}/ahead"), engine.clone());
                bench_engine(&mut group, &name, engine);
            }
            Err(error) => panic!("the model of this bench is refused: {error}"),
        }
    }
    let closed_form = GraphLstm {
        autoencoder: None,
        ..model.clone()
    };
    match NativeEngine::new(&closed_form) {
        Ok(engine) => bench_engine(&mut group, "neighbour-only", engine),
        Err(error) => panic!("the model of this bench is refused: {error}"),
    }
    let frames = stream();
    let mut newest = 0;
    group.bench_function("naive", |bencher| {
        bencher.iter(|| {
            newest = (newest + 1) % (FRAMES - WINDOW);
            naive(
                &model,
                black_box(&frames[newest * SENSORS..][..WINDOW * SENSORS]),
            )
        });
    });
    bench_libtorch(&mut group, &model);
    group.finish();
}

/// Adds the same model in libtorch's worker process, where there is one: the CPU time of both
/// processes together.
fn bench_libtorch(group: &mut BenchmarkGroup<'_, CpuTime>, model: &GraphLstm) {
    let folder = std::env::temp_dir().join(format!("anomalyd-bench-{}", std::process::id()));
    let archive = folder.join("model.pt");
    let opened = std::fs::create_dir_all(&folder)
        .map_err(|error| error.to_string())
        .and_then(|()| save_network(&archive, model).map_err(|error| error.to_string()))
        .and_then(|()| {
            TorchEngine::open(&archive, WINDOW, SENSORS, TorchConfig::default())
                .map_err(|error| error.to_string())
        });
    match opened {
        Ok(mut engine) => {
            let frames = stream();
            let mut frames = frames.chunks_exact(SENSORS).cycle();
            let mut out = Expectation::zeros(SENSORS);
            let mut step = |engine: &mut TorchEngine| match frames
                .next()
                .map(|x| engine.step(black_box(x), &mut out))
            {
                Some(Ok(complete)) => complete,
                other => panic!("the worker did not answer: {other:?}"),
            };
            while !step(&mut engine) {}
            group.bench_function("libtorch", |bencher| {
                bencher.iter_custom(|windows| {
                    let (here, there) = (CpuTime.start(), worker_time(&engine));
                    for _ in 0..windows {
                        step(&mut engine);
                    }
                    CpuTime.end(here) + (worker_time(&engine) - there)
                });
            });
        }
        Err(reason) => println!("window/libtorch: skipped: {reason}"),
    }
    // Left-overs in the temporary folder are harmless.
    let _ = std::fs::remove_dir_all(&folder);
}

/// CPU time of all threads of the engine's worker so far.
fn worker_time(engine: &TorchEngine) -> Duration {
    let Some(id) = engine.worker_id() else {
        panic!("the worker is gone");
    };
    let tasks = match std::fs::read_dir(format!("/proc/{id}/task")) {
        Ok(tasks) => tasks,
        Err(error) => panic!("the worker's threads cannot be read: {error}"),
    };
    let nanos = tasks.flatten().map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        first.parse::<u64>().unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// Number of different frames in the stream
const FRAMES: usize = 1000;

/// Adds an entry that feeds one frame an iteration to `engine`.
fn bench_engine(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, mut engine: impl Engine) {
    let frames = stream();
    let mut frames = frames.chunks_exact(SENSORS).cycle();
    let mut out = Expectation::zeros(SENSORS);
    let mut step = move || match frames.next().map(|x| engine.step(black_box(x), &mut out)) {
        Some(Ok(complete)) => complete,
        other => panic!("the engine did not answer: {other:?}"),
    };
    while !step() {}
    group.bench_function(name, |bencher| bencher.iter(&mut step));
}

/// Frames that `replay` gives an engine together
const AHEAD: usize = 32;

/// Adds an entry that feeds [`AHEAD`] frames together, as `replay` does; the time is that of one.
fn bench_ahead(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, mut engine: impl Engine) {
    let frames = stream();
    let turn = |x: &[f32]| Turn {
        x: x.to_vec(),
        ..Turn::new(SENSORS)
    };
    let mut turns: Vec<Turn> = frames.chunks_exact(SENSORS).take(AHEAD).map(turn).collect();
    engine.run(&mut turns);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|windows| {
            let calls = windows.div_ceil(AHEAD as u64);
            let start = CpuTime.start();
            for _ in 0..calls {
                engine.run(black_box(&mut turns));
            }
            let made = calls * AHEAD as u64;
            CpuTime.end(start).mul_f64(windows as f64 / made as f64)
        });
    });
}

/// The reconstruction of a whole window, computed from nothing.
fn naive(model: &GraphLstm, window: &[f32]) -> Vec<f32> {
    let Some(autoencoder) = &model.autoencoder else {
        return vec![0.0; window.len()];
    };
    let frames = window.chunks_exact(SENSORS).map(<[f32]>::to_vec).collect();
    let codes = naive_lstm(&autoencoder.encoder[0], frames);
    let decoded = naive_lstm(
        &autoencoder.decoder[0],
        vec![codes[WINDOW - 1].clone(); WINDOW],
    );
    let output = &autoencoder.output;
    let frame = |h: &Vec<f32>| {
        let rows = output.weight.chunks_exact(HIDDEN).zip(&output.bias);
        rows.map(|(row, bias)| bias + dot(row, h))
            .collect::<Vec<f32>>()
    };
    decoded.iter().flat_map(frame).collect()
}

fn naive_lstm(layer: &LstmLayer, mut sequence: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let (mut h, mut c) = (vec![0.0; layer.hidden], vec![0.0; layer.hidden]);
    for x in &mut sequence {
        let gate = |number: usize, unit: usize| {
            let row = number * layer.hidden + unit;
            layer.bias_ih[row]
                + layer.bias_hh[row]
                + dot(&layer.weight_ih[row * layer.input..][..layer.input], x)
                + dot(&layer.weight_hh[row * layer.hidden..][..layer.hidden], &h)
        };
        let mut next = vec![0.0; layer.hidden];
        for unit in 0..layer.hidden {
            let [i, f, g, o] = [0, 1, 2, 3].map(|number| gate(number, unit));
            c[unit] = sigmoid(f) * c[unit] + sigmoid(i) * g.tanh();
            next[unit] = sigmoid(o) * c[unit].tanh();
        }
        h = next;
        x.clone_from(&h);
    }
    sequence
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Random weights in PyTorch's initial range.
fn seed_model() -> GraphLstm {
    let mut numbers = Numbers(1);
    let bound = 1.0 / (HIDDEN as f32).sqrt();
    let mut layer = |input: usize| LstmLayer {
        input,
        hidden: HIDDEN,
        weight_ih: numbers.take(4 * HIDDEN * input, bound),
        weight_hh: numbers.take(4 * HIDDEN * HIDDEN, bound),
        bias_ih: numbers.take(4 * HIDDEN, bound),
        bias_hh: numbers.take(4 * HIDDEN, bound),
    };
    let (encoder, decoder) = (vec![layer(SENSORS)], vec![layer(HIDDEN)]);
    let mut neighbours = vec![0.0; SENSORS * SENSORS];
    for row in 0..SENSORS {
        for n in 1..=NEIGHBOURS {
            neighbours[row * SENSORS + (row + n * n) % SENSORS] = 0.1;
        }
    }
    let linear = |input, weight, bias| Linear {
        input,
        output: SENSORS,
        weight,
        bias,
    };
    let weight = numbers.take(SENSORS * HIDDEN, bound);
    let bias = numbers.take(SENSORS, bound);
    GraphLstm {
        sensors: SENSORS,
        window: WINDOW,
        autoencoder: Some(Autoencoder {
            hidden: HIDDEN,
            encoder,
            decoder,
            output: linear(HIDDEN, weight, bias),
        }),
        neighbour: Some(linear(SENSORS, neighbours, vec![0.0; SENSORS])),
    }
}

/// `[FRAMES,F]`
fn stream() -> Vec<f32> {
    Numbers(2).take(FRAMES * SENSORS, 3.0)
}

/// A linear congruential generator over ±1, the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let next = |_| {
            self.0 = (self.0)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
        };
        (0..count).map(next).collect()
    }
}

/// CPU time of the thread.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        match ClockId::CLOCK_THREAD_CPUTIME_ID.now() {
            Ok(now) => now.into(),
            Err(error) => panic!("the thread's CPU clock cannot be read: {error}"),
        }
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = windows
}
criterion_main!(benches);
