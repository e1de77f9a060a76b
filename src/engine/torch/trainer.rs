//! Trains autoencoders in worker processes of one thread each, as a rule two at a time: small
//! matrices gain nothing from a second thread, two jobs do.
//!
//! A job is a TorchScript archive with initial weights and a file of standardised rows; its result
//! is a file of weights. Imports `engine::EngineError` only.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::mpsc::{self, Sender};
use std::thread;

use serde::{Deserialize, Serialize};

use super::locate::locate;
use super::process::WorkerProcess;
use crate::engine::EngineError;

/// Jobs that run at the same time, as a rule.
const PARALLEL: usize = 2;

/// One autoencoder to train: Adam (Kingma and Ba, 2015) on the mean squared error of the
/// reconstruction over all T steps of shuffled windows, with the learning rate falling along half a
/// cosine (Loshchilov and Hutter, 2017) and the gradient's norm held to 1.
///
/// Parameters that the reconstruction does not depend on (the neighbour head's) stay as they are.
/// The outcome depends on the job and the machine's kind of processor only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainJob {
    /// A TorchScript archive of the contract in `docs/model-format.md`, with its initial weights.
    pub archive: PathBuf,
    /// A safetensors file: `x` `[N,F]` f32, standardised and finite. Optionally `valid` `[N,F]`
    /// f32, the weight of each value in the loss (0 for a value that was not measured).
    pub rows: PathBuf,
    /// Row ranges (start, end) that windows may lie in, end exclusive: a window lies in one.
    pub segments: Vec<(usize, usize)>,
    /// T
    pub window: usize,
    /// Updates of the weights.
    pub steps: usize,
    /// B, windows an update.
    pub batch: usize,
    /// Of the first steps; the last has a hundredth of it.
    pub learning_rate: f64,
    /// Orders the windows.
    pub seed: u64,
    /// A safetensors file to write: all parameters under their qualified names
    /// (`encoder.weight_ih_l0`).
    pub weights_out: PathBuf,
}

/// What a finished job reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainOutcome {
    /// Mean squared error of the trained weights over the job's windows (all, or an even sample of
    /// some 50 000 where there are more).
    pub loss: f64,
    /// Windows in the segments.
    pub windows: usize,
    /// Wall-clock time of the updates alone.
    pub seconds: f64,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Index in the list given to [`Trainer::train`].
    pub job: usize,
    /// Updates done, of `steps`.
    pub step: usize,
    pub steps: usize,
    /// Mean squared error of the batches since the last report.
    pub loss: f64,
}

/// One line of a training worker's stdout (JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum TrainerLine {
    Progress { step: usize, loss: f64 },
    Done(TrainOutcome),
    Failed { message: String },
}

/// Runs training jobs with the worker program.
#[derive(Debug, Clone)]
pub struct Trainer {
    worker: PathBuf,
    parallel: usize,
}

impl Trainer {
    /// Finds the worker as [`locate`] does.
    ///
    /// # Errors
    /// As for [`locate`].
    pub fn find(explicit: Option<&Path>) -> Result<Self, EngineError> {
        Ok(Trainer {
            worker: locate(explicit)?,
            parallel: PARALLEL,
        })
    }

    /// The worker program.
    pub fn worker(&self) -> &Path {
        &self.worker
    }

    /// Runs `jobs` at the same time instead of two: one takes half the memory.
    pub fn at_a_time(mut self, jobs: usize) -> Self {
        self.parallel = jobs.max(1);
        self
    }

    /// Trains all jobs and returns their outcomes in the order of `jobs`. `progress` is called on
    /// this thread, a few times a second for each running job.
    ///
    /// # Errors
    /// The worker cannot be started, or a job fails; the other jobs are ended then.
    pub fn train(
        &self,
        jobs: &[TrainJob],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<TrainOutcome>, EngineError> {
        let (events, received) = mpsc::channel();
        let mut waiting: VecDeque<usize> = (0..jobs.len()).collect();
        let mut running: Vec<Running> = Vec::new();
        let mut outcomes: Vec<Option<TrainOutcome>> = vec![None; jobs.len()];
        loop {
            while running.len() < self.parallel
                && let Some(job) = waiting.pop_front()
            {
                running.push(Running::start(
                    &self.worker,
                    job,
                    &jobs[job],
                    events.clone(),
                )?);
            }
            if running.is_empty() {
                break;
            }
            let Ok((job, line)) = received.recv() else {
                return Err(failed(jobs, 0, "its output channel closed"));
            };
            match line {
                Some(Ok(TrainerLine::Progress { step, loss })) => progress(Progress {
                    job,
                    step,
                    steps: jobs[job].steps,
                    loss,
                }),
                Some(Ok(TrainerLine::Done(outcome))) if outcome.loss.is_finite() => {
                    outcomes[job] = Some(outcome);
                }
                Some(Ok(TrainerLine::Done(_))) => {
                    return Err(failed(
                        jobs,
                        job,
                        "trained to a loss that is not a number; lower the learning rate",
                    ));
                }
                Some(Ok(TrainerLine::Failed { message })) => {
                    return Err(failed(jobs, job, &message));
                }
                Some(Err(line)) => {
                    return Err(failed(
                        jobs,
                        job,
                        &format!("printed what is not a progress line: {line}"),
                    ));
                }
                None => {
                    if let Some(index) = running.iter().position(|r| r.job == job) {
                        running.swap_remove(index).process.finish()?;
                    }
                    if outcomes[job].is_none() {
                        return Err(failed(jobs, job, "ended without a result"));
                    }
                }
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }
}

fn failed(jobs: &[TrainJob], job: usize, reason: &str) -> EngineError {
    EngineError::Worker(format!(
        "could not train job {} of {}: {reason}",
        job + 1,
        jobs.len()
    ))
}

/// A job's line, the text of a line that is none, or the end of its output.
type Event = (usize, Option<Result<TrainerLine, String>>);

struct Running {
    job: usize,
    process: WorkerProcess,
    spec: PathBuf,
}

impl Running {
    fn start(
        worker: &Path,
        job: usize,
        spec: &TrainJob,
        events: Sender<Event>,
    ) -> Result<Self, EngineError> {
        let path = spec.weights_out.with_extension("job.json");
        let text = serde_json::to_string_pretty(spec)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&path, text));
        text.map_err(|error| {
            EngineError::Worker(format!(
                "cannot be given its job: {}: {error}",
                path.display()
            ))
        })?;
        let arguments = ["train".as_ref(), "--spec".as_ref(), path.as_os_str()];
        let (process, stdout) = WorkerProcess::start(worker, &arguments)?;
        let running = Running {
            job,
            process,
            spec: path,
        };
        thread::Builder::new()
            .name("torch-train".to_owned())
            .spawn(move || forward_lines(job, stdout, &events))
            .map_err(|error| EngineError::Worker(format!("cannot be read: {error}")))?;
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only the error path gets here with the worker alive; it ends when stdin closes.
        let _ = fs::remove_file(&self.spec);
    }
}

fn forward_lines(job: usize, stdout: ChildStdout, events: &Sender<Event>) {
    for line in BufReader::new(stdout).lines() {
        let line = match line {
            Ok(line) => serde_json::from_str(&line).map_err(|_| line),
            Err(error) => Err(error.to_string()),
        };
        // The receiver is gone when another job has failed: nobody wants the rest.
        if events.send((job, Some(line))).is_err() {
            return;
        }
    }
    let _ = events.send((job, None));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::torch::process::tests::install;

    fn job(folder: &Path, name: &str) -> TrainJob {
        TrainJob {
            archive: folder.join("model.pt"),
            rows: folder.join("rows.safetensors"),
            segments: vec![(0, 100)],
            window: 10,
            steps: 7,
            batch: 4,
            learning_rate: 1e-3,
            seed: 1,
            weights_out: folder.join(name),
        }
    }

    fn trainer(folder: &Path, script: &str) -> Trainer {
        let worker = folder.join("worker");
        install(&format!("#!/bin/sh\n{script}\n"), &worker);
        Trainer {
            worker,
            parallel: PARALLEL,
        }
    }

    /// Runs three jobs with `script` in the worker's place.
    fn run(script: &str) -> (Result<Vec<TrainOutcome>, EngineError>, Vec<Progress>) {
        let folder = tempfile::tempdir().unwrap();
        let jobs = ["a.st", "b.st", "c.st"].map(|name| job(folder.path(), name));
        let mut seen = Vec::new();
        let result = trainer(folder.path(), script).train(&jobs, &mut |p| seen.push(p));
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|f| f.unwrap().file_name())
            .collect();
        assert_eq!(left, ["worker"], "job files are removed");
        (result, seen)
    }

    #[test]
    fn outcomes_come_in_the_order_of_the_jobs_with_progress_on_the_way() {
        // The first job takes longest; the loss tells which job it was.
        let (result, seen) = run(r#"
            echo '{"event":"progress","step":3,"loss":0.5}'
            case $3 in
                *a.job.json) loss=1; sleep 0.3;;
                *b.job.json) loss=2;;
                *) loss=3;;
            esac
            echo "{\"event\":\"done\",\"loss\":$loss,\"windows\":91,\"seconds\":0.1}""#);
        let losses: Vec<f64> = result.unwrap().iter().map(|outcome| outcome.loss).collect();
        assert_eq!(losses, [1.0, 2.0, 3.0]);
        assert_eq!(seen.len(), 3);
        assert!(
            seen.iter()
                .all(|p| p.step == 3 && p.steps == 7 && p.loss == 0.5)
        );
    }

    #[test]
    fn a_failed_job_is_named_with_its_reason() {
        let text = |script| run(script).0.unwrap_err().to_string();
        let failed =
            text(r#"echo '{"event":"failed","message":"rows.safetensors: no tensor x"}'; exit 1"#);
        assert!(
            failed.contains("of 3: rows.safetensors: no tensor x"),
            "{failed}"
        );
        let rubbish = text("echo hello; exit 0");
        assert!(rubbish.contains("not a progress line: hello"), "{rubbish}");
        let silent = text("exit 0");
        assert!(silent.contains("ended without a result"), "{silent}");
        let crashed = text("echo cannot open libtorch >&2; exit 127");
        assert!(
            crashed.contains("exit status: 127: cannot open libtorch"),
            "{crashed}"
        );
    }

    #[test]
    fn no_jobs_are_done_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let trainer = trainer(folder.path(), "exit 1");
        assert!(trainer.train(&[], &mut |_| ()).unwrap().is_empty());
    }
}
