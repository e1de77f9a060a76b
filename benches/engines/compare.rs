//! Starts the contenders, has them agree, and measures them in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anomalyd::engine::kernel::Kernel;
use anomalyd::model::{GraphLstm, ModelFile, Network, onnx};
use anyhow::{Context, bail, ensure};

use crate::CompareArgs;
use crate::contender::Contender;
use crate::table::{Row, Table};

/// Frames in the stream.
const FRAMES: usize = 1000;
/// Random windows that all must agree on, besides the golden ones.
const RANDOM: usize = 64;
/// The largest difference from the native engine that counts as agreement on golden windows.
const GOLDEN_TOLERANCE: f32 = 1e-5;
/// The same on random windows: far from anything learnt, the float32 of each of these engines is up to
/// 3e-5 off the formulas in f64 (docs/performance.md), and what is really wrong is off by much more.
const RANDOM_TOLERANCE: f32 = 1e-4;
/// Windows before any that count.
const WARM_UP: usize = 256;

pub const NATIVE: &str = "native";
pub const WORKER: &str = "libtorch, worker process";
pub const IN_PROCESS: &str = "libtorch, in-process";
pub const TRACT: &str = "tract-onnx";
pub const ONNX_RUNTIME: &str = "ONNX Runtime, from Python";
pub const CALL: &str = "  of which the call itself";

pub fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let model = ModelFile::load(&args.model)?;
    let Network::GraphLstm(network) = &model.network else {
        bail!(
            "{}: the native engine does not run it",
            args.model.display()
        );
    };
    let folder = Folder::new()?;
    let field = Field::lay(&folder.0, &model, network)?;
    let mut contenders = field.start(args)?;
    let differences = agreement(&folder.0, &model, network, &mut contenders)?;

    let load = load_average();
    let mut windows = Vec::new();
    for contender in &mut contenders {
        contender.run(WARM_UP.next_multiple_of(args.batch), args.batch)?;
        let tried = WARM_UP.next_multiple_of(args.batch);
        let took = contender.run(tried, args.batch)?;
        let share = Duration::from_millis(args.moment).as_secs_f64() / took.as_secs_f64();
        let wanted = (tried as f64 * share) as usize;
        windows.push(wanted.max(1).next_multiple_of(args.batch));
    }
    let mut rounds = vec![Vec::new(); contenders.len()];
    for round in 0..args.rounds {
        // Each begins once in a while, so that none always follows the same other.
        for turn in 0..contenders.len() {
            let one = (turn + round) % contenders.len();
            let took = contenders[one].run(windows[one], args.batch)?;
            rounds[one].push(took.as_secs_f64() * 1e6 / windows[one] as f64);
        }
    }
    let mut rows = Vec::new();
    for ((contender, rounds), difference) in contenders.iter().zip(rounds).zip(differences) {
        rows.push(Row {
            name: contender.name,
            rounds,
            memory: contender.memory()?,
            difference,
        });
    }
    println!(
        "{} sensors, T = {}, H = {}, batch {}, one thread; median (least to most) of {} rounds of {} ms each",
        network.sensors,
        network.window,
        network.hidden(),
        args.batch,
        args.rounds,
        args.moment
    );
    println!(
        "machine: {}, {} kernel; load average {load} before, {} after",
        processor(),
        Kernel::best().name(),
        load_average()
    );
    let good = Table(rows).print(args.batch)?;
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The files that all contenders read.
struct Field {
    model: PathBuf,
    onnx: PathBuf,
    /// The same input and output, and nothing to compute: what a call costs.
    empty: PathBuf,
    frames: PathBuf,
    window: usize,
    sensors: usize,
}

impl Field {
    fn lay(folder: &Path, model: &ModelFile, network: &GraphLstm) -> anyhow::Result<Field> {
        let field = Field {
            model: model.path.clone(),
            onnx: folder.join("model.onnx"),
            empty: folder.join("empty.onnx"),
            frames: folder.join("frames"),
            window: network.window,
            sensors: network.sensors,
        };
        model.save_onnx(&field.onnx)?;
        let empty = GraphLstm {
            autoencoder: None,
            neighbour: None,
            ..network.clone()
        };
        fs::write(&field.empty, onnx::to_bytes(&empty, &[]))?;
        write(&field.frames, &random(1, FRAMES * network.sensors))?;
        Ok(field)
    }

    fn start(&self, args: &CompareArgs) -> anyhow::Result<Vec<Contender>> {
        let myself = std::env::current_exe()?;
        let ours = |engine: &str, model: &Path| {
            let mut command = Command::new(&myself);
            command.args(["contend", engine]);
            self.work(&mut command, model);
            command.env("ANOMALYD_TORCH", &args.torch);
            command
        };
        let mut torch = Command::new(&args.torch);
        torch.arg("bench");
        self.work(&mut torch, &self.model);
        let python = |model: &Path| {
            let mut command = Command::new(&args.python);
            command.arg(&args.onnxruntime);
            self.work(&mut command, model);
            command
        };
        [
            (NATIVE, ours("native", &self.model)),
            (WORKER, ours("worker", &self.model)),
            (IN_PROCESS, torch),
            (TRACT, ours("tract", &self.onnx)),
            (ONNX_RUNTIME, python(&self.onnx)),
            (CALL, python(&self.empty)),
        ]
        .into_iter()
        .map(|(name, mut command)| Contender::spawn(name, &mut command))
        .collect()
    }

    fn work(&self, command: &mut Command, model: &Path) {
        command.arg("--model").arg(model);
        command.arg("--frames").arg(&self.frames);
        command.args(["--window", &self.window.to_string()]);
        command.args(["--sensors", &self.sensors.to_string()]);
    }
}

/// The largest differences of each contender from the native engine, the first, on golden and on
/// random windows; [`CALL`] computes nothing and has none.
fn agreement(
    folder: &Path,
    model: &ModelFile,
    network: &GraphLstm,
    contenders: &mut [Contender],
) -> anyhow::Result<Vec<Option<[f32; 2]>>> {
    let random = random(2, RANDOM * network.window * network.sensors);
    let mut differences = vec![None; contenders.len()];
    for (which, (windows, tolerance)) in [
        (&model.golden.windows, GOLDEN_TOLERANCE),
        (&random, RANDOM_TOLERANCE),
    ]
    .into_iter()
    .enumerate()
    {
        let mut native: Option<Vec<u8>> = None;
        for (contender, differences) in contenders.iter_mut().zip(&mut differences) {
            if contender.name == CALL {
                continue;
            }
            let outputs = outputs(folder, windows, contender)?;
            let native = native.get_or_insert_with(|| outputs.clone());
            let difference = difference(&outputs, native)
                .with_context(|| format!("{}: other outputs than native", contender.name))?;
            ensure!(
                difference <= tolerance,
                "{} is {difference} off the native engine, more than {tolerance}",
                contender.name
            );
            differences.get_or_insert([0.0; 2])[which] = difference;
        }
    }
    Ok(differences)
}

fn outputs(folder: &Path, windows: &[f32], contender: &mut Contender) -> anyhow::Result<Vec<u8>> {
    let (from, to) = (folder.join("windows"), folder.join("outputs"));
    write(&from, windows)?;
    contender.ask(&format!("check {} {}", from.display(), to.display()))?;
    Ok(fs::read(&to)?)
}

/// The largest between two of the same place; none where their numbers differ.
fn difference(one: &[u8], other: &[u8]) -> Option<f32> {
    let value = |raw: &[u8; 4]| f32::from_le_bytes(*raw);
    let pairs = (one.as_chunks::<4>().0.iter()).zip(other.as_chunks::<4>().0);
    let differences = pairs.map(|(a, b)| (value(a) - value(b)).abs());
    // A NaN is the largest of all.
    (one.len() == other.len())
        .then(|| differences.max_by(f32::total_cmp))
        .flatten()
}

/// Values over ±3 (standardised) of a linear congruential generator, the same on every machine.
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 3.0
    };
    (0..count).map(next).collect()
}

fn write(path: &Path, values: &[f32]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": "));
    name.map_or("unknown processor", |(_, name)| name)
        .to_owned()
}

/// A temporary folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("anomalyd-engines-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}
