//! `train`: fits the reconstruction of a TorchScript module to windows of standardised rows.

use std::collections::{HashMap, HashSet};
use std::f64::consts::PI;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anomalyd::engine::torch::trainer::{TrainJob, TrainOutcome, TrainerLine};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::nn::{self, OptimizerConfig};
use tch::{CModule, Device, IValue, Kind, Tensor, TrainableCModule};

use crate::{memory, parent, plain};

const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Steps over which the learning rate rises from 0: Adam's first estimates are poor.
const WARM_UP: usize = 50;

const LAST_RATE: f64 = 0.01;

const GRADIENT_NORM: f64 = 1.0;

/// Windows that the final loss is taken over at most.
const EVALUATED: usize = 50_000;

/// Trains the job of the file `spec` and writes its weights.
pub fn run(spec: &Path, threads: i32) -> Result<(), String> {
    memory::keep_freed_memory();
    parent::end_with_parent()?;
    tch::set_num_threads(threads);
    // A few large operators leave the profiling executor nothing to fuse: 5 % faster without.
    tch::jit::set_graph_executor_optimize(false);
    let result = read_job(spec).and_then(|job| train(&job));
    let line = match &result {
        Ok(outcome) => TrainerLine::Done(*outcome),
        Err(message) => TrainerLine::Failed {
            message: message.clone(),
        },
    };
    print_line(&line)?;
    result.map(drop)
}

fn read_job(spec: &Path) -> Result<TrainJob, String> {
    let text = fs::read_to_string(spec).map_err(|error| at(spec, error))?;
    serde_json::from_str(&text).map_err(|error| at(spec, error))
}

fn train(job: &TrainJob) -> Result<TrainOutcome, String> {
    let rows = Rows::load(&job.rows)?;
    let mut starts = window_starts(job, rows.count)?;
    let store = nn::VarStore::new(Device::Cpu);
    let mut module = TrainableCModule::load(&job.archive, store.root())
        .map_err(|error| at(&job.archive, plain(&error)))?;
    module.set_train();
    let mut optimizer = nn::Adam::default()
        .build(&store, job.learning_rate)
        .map_err(|error| at(&job.archive, plain(&error)))?;

    let mut random = Pcg64::seed_from_u64(job.seed);
    let began = Instant::now();
    let mut reported = began;
    let mut since_report = (0.0, 0);
    let mut next = starts.len();
    let mut chosen = Vec::with_capacity(job.batch);
    for step in 0..job.steps {
        chosen.clear();
        while chosen.len() < job.batch {
            if next == starts.len() {
                shuffle(&mut starts, &mut random);
                next = 0;
            }
            chosen.push(starts[next]);
            next += 1;
        }
        let loss = rows.loss(&module, &chosen, job.window)?;
        optimizer.set_lr(job.learning_rate * rate(step, job.steps));
        optimizer.backward_step_clip_norm(&loss, GRADIENT_NORM);
        since_report.0 += loss.double_value(&[]);
        since_report.1 += 1;
        if reported.elapsed() >= REPORT_EVERY || step + 1 == job.steps {
            let loss = since_report.0 / f64::from(since_report.1);
            print_line(&TrainerLine::Progress {
                step: step + 1,
                loss,
            })?;
            if !loss.is_finite() {
                return Err(format!(
                    "the loss is no longer a number at step {}; lower the learning rate",
                    step + 1
                ));
            }
            since_report = (0.0, 0);
            reported = Instant::now();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    module.set_eval();
    let windows = starts.len();
    let loss = tch::no_grad(|| evaluate(&rows, &module, job, &mut starts))?;
    save_weights(job, &store)?;
    Ok(TrainOutcome {
        loss,
        windows,
        seconds,
    })
}

/// Of the learning rate at `step`: a short linear rise, then half a cosine down to [`LAST_RATE`].
fn rate(step: usize, steps: usize) -> f64 {
    let done = step as f64 / steps as f64;
    let rise = ((step + 1) as f64 / WARM_UP as f64).min(1.0);
    rise * (LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + (PI * done).cos()))
}

fn shuffle(starts: &mut [i64], random: &mut Pcg64) {
    for last in (1..starts.len()).rev() {
        // The remainder's bias is below 2^-40 for any number of windows that fits the memory.
        starts.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// First rows of all windows that lie in one segment.
fn window_starts(job: &TrainJob, rows: usize) -> Result<Vec<i64>, String> {
    let mut starts = Vec::new();
    if job.window == 0 || job.batch == 0 || job.steps == 0 {
        return Err("window, batch and steps must be at least 1".to_owned());
    }
    for &(start, end) in &job.segments {
        if start > end || end > rows {
            return Err(format!(
                "segment {start}..{end} is not within the {rows} rows of {}",
                job.rows.display()
            ));
        }
        starts
            .extend((start..(end + 1).saturating_sub(job.window).max(start)).map(|row| row as i64));
    }
    if starts.is_empty() {
        return Err(format!(
            "no segment holds a window of {} rows: give more rows",
            job.window
        ));
    }
    Ok(starts)
}

/// The mean loss over `starts`, or over an even sample of them.
fn evaluate(
    rows: &Rows,
    module: &TrainableCModule,
    job: &TrainJob,
    starts: &mut [i64],
) -> Result<f64, String> {
    starts.sort_unstable();
    let sample: Vec<i64> = starts
        .iter()
        .copied()
        .step_by(starts.len().div_ceil(EVALUATED))
        .collect();
    let mut sum = 0.0;
    for chunk in sample.chunks(256) {
        sum += rows.loss(module, chunk, job.window)?.double_value(&[]) * chunk.len() as f64;
    }
    Ok(sum / sample.len() as f64)
}

/// The rows that windows are cut from.
struct Rows {
    /// N
    count: usize,
    /// `[N,F]`
    values: Tensor,
    /// `[N,F]`
    weights: Option<Tensor>,
}

impl Rows {
    fn load(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| at(path, error))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| at(path, error))?;
        let view = file.tensor("x").map_err(|error| at(path, error))?;
        let values = matrix(&view).map_err(|reason| at(path, format!("tensor x {reason}")))?;
        let weights = match file.tensor("valid") {
            Ok(view) => {
                Some(matrix(&view).map_err(|reason| at(path, format!("tensor valid {reason}")))?)
            }
            Err(_) => None,
        };
        if let Some(weights) = &weights
            && weights.size() != values.size()
        {
            return Err(at(path, "tensors x and valid differ in shape"));
        }
        Ok(Rows {
            count: view.shape()[0],
            values,
            weights,
        })
    }

    /// Mean squared error of the reconstruction of the windows that begin at `starts`.
    fn loss(
        &self,
        module: &TrainableCModule,
        starts: &[i64],
        window: usize,
    ) -> Result<Tensor, String> {
        let (batch, window) = (starts.len() as i64, window as i64);
        let index: Vec<i64> = starts
            .iter()
            .flat_map(|&start| start..start + window)
            .collect();
        let index = Tensor::from_slice(&index);
        let cut = |rows: &Tensor| rows.index_select(0, &index).view([batch, window, -1]);
        let windows = cut(&self.values);
        let reconstruction = reconstruct(module, &windows)?;
        if reconstruction.size() != windows.size() {
            return Err(format!(
                "the module returns a reconstruction of shape {:?} for windows of shape {:?}",
                reconstruction.size(),
                windows.size()
            ));
        }
        Ok(match &self.weights {
            None => reconstruction.mse_loss(&windows, tch::Reduction::Mean),
            Some(weights) => {
                let weights = cut(weights);
                let total = weights.sum(Kind::Float).clamp_min(1.0);
                ((reconstruction - windows).square() * weights).sum(Kind::Float) / total
            }
        })
    }
}

fn reconstruct(module: &TrainableCModule, windows: &Tensor) -> Result<Tensor, String> {
    let output = module
        .forward_is(&[IValue::Tensor(windows.shallow_clone())])
        .map_err(|error| plain(&error))?;
    match output {
        IValue::Tensor(reconstruction) => Ok(reconstruction),
        IValue::Tuple(parts) => match parts.into_iter().next() {
            Some(IValue::Tensor(reconstruction)) => Ok(reconstruction),
            _ => Err("the first part of what the module returns is not a tensor".to_owned()),
        },
        _ => Err("the module returns neither a tensor nor a tuple of tensors".to_owned()),
    }
}

fn matrix(view: &TensorView<'_>) -> Result<Tensor, String> {
    let &[rows, columns] = view.shape() else {
        return Err(format!("is not a matrix: its shape is {:?}", view.shape()));
    };
    if view.dtype() != Dtype::F32 {
        return Err(format!("is {:?}, not F32", view.dtype()));
    }
    let tensor = Tensor::f_from_data_size(view.data(), &[rows as i64, columns as i64], Kind::Float)
        .map_err(|error| plain(&error))?;
    if tensor.isfinite().all().int64_value(&[]) == 0 {
        return Err("holds values that are not finite".to_owned());
    }
    Ok(tensor)
}

/// Writes all parameters under the names the module has for them: the store renames '.' to '_'.
fn save_weights(job: &TrainJob, store: &nn::VarStore) -> Result<(), String> {
    let variables = store.variables();
    let names = CModule::load(&job.archive)
        .and_then(|module| module.named_parameters())
        .map_err(|error| at(&job.archive, plain(&error)))?;
    let renamed: HashSet<String> = names
        .iter()
        .map(|(name, _)| name.replace('.', "_"))
        .collect();
    if renamed.len() < names.len() {
        return Err(at(
            &job.archive,
            "has parameters whose names differ only in '.' and '_': rename one",
        ));
    }
    let mut weights: HashMap<String, (Vec<usize>, Vec<u8>)> = HashMap::new();
    for (name, _) in names {
        let trained = variables.get(&name.replace('.', "_")).ok_or_else(|| {
            at(
                &job.archive,
                format!("parameter {name} was lost in training"),
            )
        })?;
        let tensor = trained.detach().contiguous();
        let shape = tensor
            .size()
            .iter()
            .map(|&length| length as usize)
            .collect();
        let values = Vec::<f32>::try_from(tensor.view(-1))
            .map_err(|error| at(&job.archive, plain(&error)))?;
        weights.insert(
            name,
            (
                shape,
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ),
        );
    }
    let mut views = Vec::new();
    for (name, (shape, bytes)) in &weights {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
            .map_err(|error| at(&job.weights_out, error))?;
        views.push((name, view));
    }
    safetensors::serialize_to_file(views, None, &job.weights_out)
        .map_err(|error| at(&job.weights_out, error))
}

fn print_line(line: &TrainerLine) -> Result<(), String> {
    let text = serde_json::to_string(line).map_err(|error| error.to_string())?;
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot report progress: {error}"))
}

fn at(path: &Path, reason: impl std::fmt::Display) -> String {
    format!("{}: {reason}", path.display())
}
