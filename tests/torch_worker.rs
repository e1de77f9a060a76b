//! The torch engine and trainer with the real worker.
//!
//! The worker is found through `ANOMALYD_TORCH` or as `scripts/build-torch.sh` leaves it; without
//! one these tests say so and pass, unless `ANOMALYD_TORCH` names what is not there.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anomalyd::engine::torch::{TorchConfig, TorchEngine, TrainJob, Trainer, locate};
use anomalyd::engine::{Engine, Expectation};
use anomalyd::model::{GraphLstm, Linear, read_weights, torchscript};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safetensors::{Dtype, tensor::TensorView};

const T: usize = 5;
const F: usize = 4;

/// The worker, or None after saying why there is none.
fn worker(test: &str) -> Option<PathBuf> {
    match locate(None) {
        Ok(worker) => Some(worker),
        Err(error) if std::env::var_os("ANOMALYD_TORCH").is_none() => {
            eprintln!("{test} is skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A network with both heads.
fn network() -> GraphLstm {
    let mut network = GraphLstm::init(F, 8, T, 1, 7);
    let weight = |i| {
        if i % (F + 1) == 0 {
            0.0
        } else {
            0.1 * i as f32
        }
    };
    network.neighbour = Some(Linear {
        input: F,
        output: F,
        weight: (0..F * F).map(weight).collect(),
        bias: vec![0.25; F],
    });
    network
}

/// `[rows,F]`: slow waves with a little deterministic noise.
fn rows(count: usize) -> Vec<f32> {
    let value = |i: usize| {
        let (row, sensor) = ((i / F) as f32, (i % F) as f32);
        (0.2 * row + sensor).sin() + 0.1 * (row * (13.7 + sensor)).sin()
    };
    (0..count * F).map(value).collect()
}

/// All windows of T rows: `[B,T,F]` and B.
fn windows(rows: &[f32]) -> (Vec<f32>, usize) {
    let batch = rows.len() / F - T + 1;
    let window = |i: usize| rows[i * F..(i + T) * F].to_vec();
    ((0..batch).flat_map(window).collect(), batch)
}

fn save_rows(path: &Path, tensors: &[(&str, &[f32])]) {
    let mut bytes: Vec<Vec<u8>> = Vec::new();
    for (_, values) in tensors {
        bytes.push(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        );
    }
    let views = tensors.iter().zip(&bytes).map(|((name, values), bytes)| {
        let shape = vec![values.len() / F, F];
        (*name, TensorView::new(Dtype::F32, shape, bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

struct Served {
    engine: TorchEngine,
    rows: Vec<f32>,
    next: usize,
    _folder: tempfile::TempDir,
}

impl Served {
    fn open(network: &GraphLstm, timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.pt");
        torchscript::save_network(&model, network).unwrap();
        let config = TorchConfig {
            timeout,
            backoff: Duration::from_millis(100),
            ..TorchConfig::default()
        };
        let engine = TorchEngine::open(&model, T, F, config).unwrap();
        Served {
            engine,
            rows: rows(5000),
            next: 0,
            _folder: folder,
        }
    }

    fn step(&mut self, out: &mut Expectation) -> Result<bool, String> {
        let frame = &self.rows[self.next * F..][..F];
        self.next += 1;
        self.engine
            .step(frame, out)
            .map_err(|error| error.to_string())
    }

    fn worker(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.engine.worker_id().unwrap()).unwrap())
    }

    /// Steps until a window is scored again, and checks that it is the window of the last T frames.
    fn recovers(&mut self) {
        let mut out = Expectation::zeros(F);
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.step(&mut out) {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(20));
        }
        let window = &self.rows[(self.next - T) * F..self.next * F];
        let whole = self.engine.run_windows(window, 1).unwrap();
        close(&out.reconstruction, &whole.reconstruction[(T - 1) * F..]);
        close(&out.neighbour, &whole.neighbour);
    }
}

fn close(left: &[f32], right: &[f32]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert!((left - right).abs() < 1e-6, "{left} and {right}");
    }
}

#[test]
fn windows_run_together_are_the_windows_of_a_stream() {
    if worker("windows_run_together_are_the_windows_of_a_stream").is_none() {
        return;
    }
    let mut served = Served::open(&network(), Duration::from_secs(30));
    // More than one request's worth of windows.
    let (windows, batch) = windows(&served.rows.repeat(3));
    assert!(windows.len() > 1 << 18);
    let together = served.engine.run_windows(&windows, batch).unwrap();
    let mut out = Expectation::zeros(F);
    for i in 0..300 {
        let full = served.step(&mut out).unwrap();
        assert_eq!(full, i + 1 >= T, "frame {i}");
        if let Some(window) = (i + 1).checked_sub(T) {
            let last = (window * T + T - 1) * F;
            close(&out.reconstruction, &together.reconstruction[last..][..F]);
            close(&out.neighbour, &together.neighbour[window * F..][..F]);
        }
    }
    // The neighbour head is plain arithmetic: it tells that the order of the values is right.
    let x = &windows[windows.len() - F..];
    let expected: Vec<f32> = (0..F)
        .map(|i| {
            let terms = (0..F)
                .filter(|&j| j != i)
                .map(|j| 0.1 * (i * F + j) as f32 * x[j]);
            0.25 + terms.sum::<f32>()
        })
        .collect();
    close(&together.neighbour[(batch - 1) * F..], &expected);
    assert!(together.reconstruction.iter().any(|value| *value != 0.0));
    served.engine.reset();
    assert!(!served.step(&mut out).unwrap());
}

#[test]
fn a_module_without_a_neighbour_head_gives_zeros_for_it() {
    if worker("a_module_without_a_neighbour_head_gives_zeros_for_it").is_none() {
        return;
    }
    let plain = GraphLstm {
        neighbour: None,
        ..network()
    };
    let mut served = Served::open(&plain, Duration::from_secs(30));
    let outputs = served.engine.run_windows(&rows(T), 1).unwrap();
    assert_eq!(outputs.neighbour, [0.0; F]);
    assert!(outputs.reconstruction.iter().any(|value| *value != 0.0));
}

#[test]
fn a_killed_worker_is_replaced() {
    if worker("a_killed_worker_is_replaced").is_none() {
        return;
    }
    let mut served = Served::open(&network(), Duration::from_secs(30));
    let mut out = Expectation::zeros(F);
    for _ in 0..20 {
        served.step(&mut out).unwrap();
    }
    let first = served.worker();
    kill(first, Signal::SIGKILL).unwrap();
    let error = (0..100).find_map(|_| served.step(&mut out).err()).unwrap();
    assert!(error.contains("SIGKILL"), "{error}");
    served.recovers();
    assert_eq!(served.engine.restarts(), 1);
    assert_ne!(served.worker(), first);
}

#[test]
fn a_hung_worker_is_killed_at_the_time_out_and_replaced() {
    if worker("a_hung_worker_is_killed_at_the_time_out_and_replaced").is_none() {
        return;
    }
    let mut served = Served::open(&network(), Duration::from_secs(2));
    let mut out = Expectation::zeros(F);
    for _ in 0..20 {
        served.step(&mut out).unwrap();
    }
    let hung = served.worker();
    kill(hung, Signal::SIGSTOP).unwrap();
    let start = Instant::now();
    let error = served.step(&mut out).unwrap_err();
    let took = start.elapsed().as_secs_f64();
    assert!(error.contains("did not answer in time"), "{error}");
    assert!((2.0..20.0).contains(&took), "{took} s");
    assert!(kill(hung, None).is_err(), "the hung worker is gone");
    served.recovers();
    assert_eq!(served.engine.restarts(), 1);
}

#[test]
fn a_dropped_engine_leaves_no_worker() {
    if worker("a_dropped_engine_leaves_no_worker").is_none() {
        return;
    }
    let served = Served::open(&network(), Duration::from_secs(30));
    let worker = served.worker();
    assert!(kill(worker, None).is_ok());
    let score = fs::read_to_string(format!("/proc/{worker}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000");
    drop(served);
    assert!(kill(worker, None).is_err());
}

#[test]
fn what_is_no_model_is_refused_with_the_reason() {
    if worker("what_is_no_model_is_refused_with_the_reason").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.pt");
    let open = |sensors| TorchEngine::open(&model, T, sensors, TorchConfig::default());
    fs::write(&model, "not an archive").unwrap();
    let error = open(F).unwrap_err().to_string();
    assert!(error.contains("cannot run the model"), "{error}");
    assert!(error.contains("model.pt"), "{error}");

    torchscript::save_network(&model, &network()).unwrap();
    let error = open(F + 1).unwrap_err().to_string();
    assert!(error.contains("cannot run the model"), "{error}");
    assert!(error.len() < 600, "{error}");
}

struct Training {
    folder: tempfile::TempDir,
    start: GraphLstm,
    trainer: Trainer,
}

impl Training {
    fn new(worker: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = network();
        torchscript::save_network(&folder.path().join("start.pt"), &start).unwrap();
        Training {
            folder,
            start,
            trainer: Trainer::find(Some(worker)).unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn job(&self, name: &str, segments: &[(usize, usize)]) -> TrainJob {
        TrainJob {
            archive: self.path("start.pt"),
            rows: self.path("rows"),
            segments: segments.to_vec(),
            window: T,
            steps: 300,
            batch: 32,
            learning_rate: 1e-2,
            seed: 3,
            weights_out: self.path(name),
        }
    }

    fn trained(&self, name: &str) -> GraphLstm {
        let mut network = self.start.clone();
        read_weights(&self.path(name), &mut network).unwrap();
        network
    }
}

/// Mean squared error of the network's reconstruction of all windows of `rows`, by serving it.
fn served_loss(network: &GraphLstm, rows: &[f32]) -> f64 {
    let mut served = Served::open(network, Duration::from_secs(30));
    let (windows, batch) = windows(rows);
    let outputs = served.engine.run_windows(&windows, batch).unwrap();
    let squares = windows
        .iter()
        .zip(&outputs.reconstruction)
        .map(|(x, y)| f64::from(x - y).powi(2));
    squares.sum::<f64>() / windows.len() as f64
}

#[test]
fn training_lowers_the_loss_leaves_the_neighbour_head_and_repeats_itself() {
    let name = "training_lowers_the_loss_leaves_the_neighbour_head_and_repeats_itself";
    let Some(worker) = worker(name) else { return };
    let training = Training::new(&worker);
    let data = rows(400);
    save_rows(&training.path("rows"), &[("x", &data)]);
    let jobs = ["a.st", "b.st", "c.st"].map(|name| training.job(name, &[(0, 400)]));
    let mut last = BTreeMap::new();
    let outcomes = training.trainer.train(&jobs, &mut |progress| {
        assert!(progress.step <= progress.steps && progress.loss.is_finite());
        last.insert(progress.job, progress.step);
    });
    let outcomes = outcomes.unwrap();
    assert_eq!(last, BTreeMap::from([(0, 300), (1, 300), (2, 300)]));

    let before = served_loss(&training.start, &data);
    let network = training.trained("a.st");
    let after = served_loss(&network, &data);
    assert!(after < 0.25 * before, "{before} to {after}");
    let outcome = outcomes[0];
    assert_eq!(outcome.windows, 396);
    assert!(
        (outcome.loss - after).abs() < 1e-5,
        "{} and {after}",
        outcome.loss
    );
    assert_eq!(network.neighbour, training.start.neighbour);
    assert_eq!(training.trained("b.st"), network);
    assert_eq!(outcomes[2].loss, outcome.loss);
}

#[test]
fn rows_outside_the_segments_and_values_that_are_not_valid_do_not_count() {
    let name = "rows_outside_the_segments_and_values_that_are_not_valid_do_not_count";
    let Some(worker) = worker(name) else { return };
    let training = Training::new(&worker);
    let mut data = rows(400);
    // Nothing in rows 200..300 is normal, and what sensor 2 says before them cannot be learned.
    let mut valid = vec![1.0; data.len()];
    for row in 0..200 {
        data[row * F + 2] = if row % 3 == 0 { -10.0 } else { 10.0 };
        valid[row * F + 2] = 0.0;
    }
    data[200 * F..300 * F].fill(50.0);
    let segments = [(0, 200), (300, 400)];
    save_rows(&training.path("rows"), &[("x", &data), ("valid", &valid)]);
    let weighted = training
        .trainer
        .train(&[training.job("w.st", &segments)], &mut |_| ());
    let weighted = weighted.unwrap()[0];
    assert_eq!(weighted.windows, 196 + 96);
    assert!(weighted.loss < 0.5, "{}", weighted.loss);
    save_rows(&training.path("rows"), &[("x", &data)]);
    let all = training
        .trainer
        .train(&[training.job("a.st", &segments)], &mut |_| ());
    assert!(all.unwrap()[0].loss > 2.0 * weighted.loss);
}

#[test]
fn a_job_that_cannot_be_done_says_why() {
    let Some(worker) = worker("a_job_that_cannot_be_done_says_why") else {
        return;
    };
    let training = Training::new(&worker);
    let error = |job: TrainJob| {
        let outcome = training.trainer.train(&[job], &mut |_| ());
        outcome.unwrap_err().to_string()
    };
    let absent = error(training.job("w", &[(0, 20)]));
    assert!(absent.contains("rows: No such file"), "{absent}");

    let mut data = rows(20);
    save_rows(&training.path("rows"), &[("x", &data)]);
    let short = error(training.job("w", &[(0, 4), (10, 13)]));
    assert!(
        short.contains("no segment holds a window of 5 rows"),
        "{short}"
    );
    let beyond = error(training.job("w", &[(0, 21)]));
    assert!(
        beyond.contains("segment 0..21 is not within the 20 rows"),
        "{beyond}"
    );

    data[7] = f32::NAN;
    save_rows(&training.path("rows"), &[("x", &data)]);
    let nan = error(training.job("w", &[(0, 20)]));
    assert!(
        nan.contains("tensor x holds values that are not finite"),
        "{nan}"
    );
}
