//! The whole benchmark, one engine after the other. What cannot be measured is told in the result
//! and does not stop the rest. Imports its siblings.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::broker;
use super::cap::{Cage, Limits};
use super::day::day;
use super::effort::Effort;
use super::engine_loop::{hidden, load_time, stream};
use super::host;
use super::interrupt::Interrupt;
use super::load::Rows;
use super::metric::metrics;
use super::outcome::{Broker, Cap, EngineOutcome, Missing, ModelFacts, Outcome, Reading, SCHEMA};
use super::phase::{Plan, watch};
use super::replay::replay;
use super::service::{Service, ServiceError, Setup};
use super::target::EngineName;
use super::verdict::{Doubt, verdict};
use super::waking::wake_up;
use crate::clock::{Clock, SystemClock};
use crate::engine::torch::{TorchConfig, locate};
use crate::health::Probe;
use crate::histogram::Histogram;
use crate::model::{ModelError, ModelFile, Network};

/// Alarms published over the broker.
const ALARMS: u64 = 500;
/// Round trips to the broker.
const ROUND_TRIPS: u64 = 200;
/// Between rows in phases `sustained` and `dense`: 100.3 and 997 rows a second. `/proc/stat`, by which
/// other programs' work is known, counts by the kernel's tick. At 100 and 1000 a second the load, awake
/// shortly before each row, is in step with it, and its fifth of a core would count as a whole one.
const SUSTAINED: Duration = Duration::from_micros(9_970);
const DENSE: Duration = Duration::from_micros(1_003);

/// A mean of fewer says nothing.
const LEAST_WAKE_UPS: u128 = 20;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{folder}: no folder for the service can be made here: {source}; set TMPDIR")]
    Folder {
        folder: String,
        source: std::io::Error,
    },
}

#[derive(Debug, Clone)]
pub struct Options {
    /// This very program.
    pub program: PathBuf,
    pub command: Vec<String>,
    pub engines: Vec<EngineName>,
    pub model: PathBuf,
    pub torch_worker: Option<PathBuf>,
    pub effort: Effort,
    /// `host` or `host:port`
    pub broker: Option<String>,
    pub accept: Vec<Doubt>,
    /// Where the machine's sensors are read below.
    pub root: PathBuf,
}

/// What is told meanwhile: what is measured, and how far it is (0 to 1).
pub type Show<'a> = dyn Fn(&str, f64) + 'a;

/// Measures everything that `options` ask for.
///
/// # Errors
/// There is no usable model, or no place to run the service.
pub fn run(
    options: &Options,
    interrupt: &Interrupt,
    show: &Show<'_>,
) -> Result<Outcome, BenchError> {
    let started = SystemClock.now();
    let begin = Instant::now();
    let model = ModelFile::load(&options.model)?;
    let folder = Folder::make()?;
    let mut machine = host::facts(Path::new("/"), &folder.0);
    let bench = Bench {
        options,
        interrupt,
        show,
        model: &model,
        folder: &folder.0,
        missing: RefCell::default(),
    };
    let broker = bench.broker();
    let telemetry = telemetry(broker.as_ref());
    let mut probe = Probe::new(&options.root, &folder.0);
    let mut engines = Vec::new();
    for &engine in &options.engines {
        if interrupt.came() {
            break;
        }
        if let Some(mut measured) = bench.engine(engine, &mut probe) {
            measured.metrics = metrics(
                &measured,
                &machine.architecture,
                (telemetry.0, &telemetry.1),
            );
            engines.push(measured);
        }
    }
    bench.missing_sensors(&engines);
    machine.load_at_end = host::load(Path::new("/"));
    if interrupt.came() {
        bench.miss("the rest", "interrupted");
    }
    let missing = bench.missing.into_inner();
    Ok(Outcome {
        schema: SCHEMA,
        anomalyd: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        seconds: begin.elapsed().as_secs_f64(),
        command: options.command.clone(),
        machine,
        verdict: verdict(&engines, interrupt.came(), &options.accept),
        engines,
        broker,
        partial: !missing.is_empty(),
        missing,
    })
}

struct Bench<'a> {
    options: &'a Options,
    interrupt: &'a Interrupt,
    show: &'a Show<'a>,
    model: &'a ModelFile,
    folder: &'a Path,
    missing: RefCell<Vec<Missing>>,
}

impl Bench<'_> {
    fn miss(&self, what: impl Into<String>, why: impl ToString) {
        self.missing.borrow_mut().push(Missing {
            what: what.into(),
            why: why.to_string(),
        });
    }

    fn broker(&self) -> Option<Broker> {
        let address = self.options.broker.as_deref()?;
        (self.show)("broker", 0.0);
        match broker::round_trips(address, ROUND_TRIPS) {
            Ok(mut broker) => {
                match broker::alarms(address, self.folder, ALARMS) {
                    Ok(alarms) => broker.alarms = Some(alarms),
                    Err(error) => self.miss("alarms to the broker", error),
                }
                Some(broker)
            }
            Err(error) => {
                self.miss("broker", error);
                None
            }
        }
    }

    fn setup(&self, engine: EngineName) -> Setup {
        Setup {
            program: self.options.program.clone(),
            model: self.options.model.clone(),
            engine,
            torch_worker: self.options.torch_worker.clone(),
            folder: self.folder.to_owned(),
        }
    }

    /// None where the engine is not here.
    fn engine(&self, engine: EngineName, probe: &mut Probe) -> Option<EngineOutcome> {
        let name = engine.name();
        let effort = self.options.effort.for_engine(engine);
        let torch = TorchConfig {
            worker: self.options.torch_worker.clone(),
            ..TorchConfig::default()
        };
        if engine == EngineName::Torch
            && let Err(error) = locate(torch.worker.as_deref())
        {
            self.miss("engine torch", error);
            return None;
        }
        let mut measured = EngineOutcome {
            engine,
            model: self.model_facts(),
            cap: Cap {
                how: "the service did not run under it".to_owned(),
                ..Cap::default()
            },
            start_seconds: self.starts(engine, effort.starts),
            model_load_seconds: Vec::new(),
            phases: Vec::new(),
            streamed: None,
            replayed: None,
            day: None,
            metrics: Vec::new(),
        };
        for load in 0..effort.loads {
            if self.interrupt.came() {
                break;
            }
            (self.show)(
                &format!("{name}: model load"),
                load as f64 / effort.loads as f64,
            );
            match load_time(&self.options.model, engine, &torch) {
                Ok(took) => measured.model_load_seconds.push(took.as_secs_f64()),
                Err(error) => {
                    self.miss(format!("{name}: model load"), error);
                    break;
                }
            }
        }
        let plan = |phase, period, lasts| Plan {
            name: phase,
            period,
            warm_up: effort.warm_up,
            lasts,
        };
        for plan in [
            plan("sustained", SUSTAINED, effort.sustained),
            plan("dense", DENSE, effort.dense),
            Plan {
                // Until the window is full there is nothing to score.
                warm_up: Duration::from_secs(self.model.manifest.window as u64 + 1),
                ..plan("quiet", Duration::from_secs(1), effort.quiet)
            },
        ] {
            if !plan.lasts.is_zero() && !self.interrupt.came() {
                self.phase(plan, &mut measured, probe);
            }
        }
        if !self.interrupt.came() {
            let label = format!("{name}: engine loop");
            let show = |share: f64| (self.show)(&label, share);
            let (windows, limit) = (effort.windows, effort.windows_limit);
            let path = &self.options.model;
            match stream(path, engine, &torch, windows, limit, self.interrupt, &show) {
                Ok(streamed) => measured.streamed = Some(streamed),
                Err(error) => self.miss(label.as_str(), error),
            }
        }
        if !self.interrupt.came() {
            let label = format!("{name}: replay");
            (self.show)(&label, 0.0);
            let rows = Rows::of(&self.model.manifest);
            let period = Duration::from_nanos(self.model.manifest.period_nanos().unsigned_abs());
            match replay(
                &self.setup(engine),
                rows,
                period,
                effort.rows,
                self.interrupt,
            ) {
                Ok(replayed) => measured.replayed = Some(replayed),
                Err(error) => self.miss(label.as_str(), error),
            }
        }
        if !self.interrupt.came() {
            let label = format!("{name}: a day's writes");
            let show = |share: f64| (self.show)(&label, share);
            let rows = Rows::of(&self.model.manifest);
            let window = self.model.manifest.window as u64;
            match day(&self.setup(engine), rows, window, self.interrupt, &show) {
                Ok(day) => measured.day = Some(day),
                Err(error) => self.miss(label.as_str(), error),
            }
        }
        Some(measured)
    }

    /// Seconds from starting the program to `READY=1`, without a cap: setting one takes time of its
    /// own.
    fn starts(&self, engine: EngineName, count: usize) -> Vec<f64> {
        let label = format!("{}: cold start", engine.name());
        let cage = Cage::make(Limits::NONE, "");
        let setup = self.setup(engine);
        let mut seconds = Vec::new();
        for start in 0..count {
            (self.show)(&label, start as f64 / count as f64);
            match Service::start(&setup, &cage, Duration::from_millis(10), self.interrupt) {
                Ok(service) => {
                    seconds.push(service.ready_after().as_secs_f64());
                    service.stop();
                }
                Err(error) => {
                    self.miss(label.as_str(), error);
                    break;
                }
            }
        }
        seconds
    }

    fn phase(&self, plan: Plan, measured: &mut EngineOutcome, probe: &mut Probe) {
        let label = format!("{}: {}", measured.engine.name(), plan.name);
        let show = |share: f64| (self.show)(&label, share);
        show(0.0);
        let id = std::process::id();
        let group = format!(
            "anomalyd-bench-{id}-{}-{}",
            measured.engine.name(),
            plan.name
        );
        let cage = Cage::make(Limits::of_unit(), &group);
        let watched = watch(
            plan,
            &self.setup(measured.engine),
            &cage,
            Rows::of(&self.model.manifest),
            probe,
            self.interrupt,
            &show,
        );
        // The main load's counts; the others are under the same.
        if measured.phases.is_empty()
            && let Some(cap) = watched.cap
        {
            if !cap.active {
                self.miss(format!("{label}: memory cap"), &cap.how);
            }
            measured.cap = cap;
        }
        if let Some(error) = watched.cut_short
            && !matches!(error, ServiceError::Interrupted)
        {
            self.miss(label.as_str(), error);
        }
        let Some(mut phase) = watched.phase else {
            return;
        };
        let times = self.options.effort.wake_up.as_nanos() / plan.period.as_nanos().max(1);
        if times >= LEAST_WAKE_UPS && !self.interrupt.came() {
            // Right after, so that it is of the same minute of a shared machine.
            let times = u32::try_from(times).unwrap_or(u32::MAX);
            let weights = self.weights();
            let took = wake_up(plan.period, times, weights.unwrap_or(0));
            phase.wake_up_seconds = took.map(|took| took.alone.as_secs_f64());
            let fetched = took.zip(weights);
            phase.fetch_seconds = fetched.map(|(took, _)| took.fetching.as_secs_f64());
        }
        measured.phases.push(phase);
    }

    /// How many numbers the model is made of; none where that is not known.
    fn weights(&self) -> Option<usize> {
        match &self.model.network {
            Network::GraphLstm(network) => Some(network.parameter_count()),
            Network::Foreign { .. } => None,
        }
    }

    fn model_facts(&self) -> ModelFacts {
        let manifest = &self.model.manifest;
        ModelFacts {
            name: format!("{} {}", manifest.name, manifest.version),
            digest: self.model.digest.clone(),
            bytes: fs::metadata(&self.options.model).map_or(0, |file| file.len()),
            sensors: manifest.sensors.len(),
            window: manifest.window,
            hidden: hidden(&self.model.network),
        }
    }

    /// Says once what no reading of the whole run has.
    fn missing_sensors(&self, engines: &[EngineOutcome]) {
        let phases = || engines.iter().flat_map(|engine| &engine.phases);
        let readings = || phases().flat_map(|phase| &phase.readings);
        if readings().next().is_none() {
            return;
        }
        let absent = |of: fn(&Reading) -> bool| !readings().any(of);
        let of_kernel = "no reading of the kernel";
        for (is_absent, what, why) in [
            (
                absent(|one| one.temperature_celsius.is_some()),
                "temperature",
                "no sensor of this machine can be read",
            ),
            (
                absent(|one| one.throttle.is_some()),
                "throttling",
                "no firmware of this machine tells",
            ),
            (absent(|one| one.rss_bytes.is_some()), "memory", of_kernel),
            (
                !phases().any(|phase| phase.written_bytes.is_some()),
                "disk writes",
                of_kernel,
            ),
        ] {
            if is_absent {
                self.miss(what, why);
            }
        }
    }
}

/// Milliseconds from an alarm to a reader at the broker, and how much of it is the broker's.
fn telemetry(broker: Option<&Broker>) -> (Option<f64>, String) {
    let p99 = |times: &Histogram| times.quantile(0.99).unwrap_or_default().as_secs_f64() * 1e3;
    let Some(broker) = broker else {
        return (None, "needs --broker".to_owned());
    };
    let note = format!(
        "the round trip of a message alone {:.2} ms (p99)",
        p99(&broker.round_trips)
    );
    (broker.alarms.as_ref().map(p99), note)
}

/// A folder for the service, on a disk where there is one: what is written to memory is not counted.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder, BenchError> {
        let name = format!("anomalyd-bench-{}", std::process::id());
        let chosen = std::env::var_os("TMPDIR").map(PathBuf::from);
        let above = chosen.unwrap_or_else(|| PathBuf::from("/var/tmp"));
        let in_temporary = || {
            let folder = std::env::temp_dir().join(&name);
            fs::create_dir(&folder).map(|()| folder)
        };
        let folder = above.join(&name);
        fs::create_dir(&folder)
            .map(|()| folder.clone())
            .or_else(|_| in_temporary())
            .map(Folder)
            .map_err(|source| BenchError::Folder {
                folder: folder.display().to_string(),
                source,
            })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left-overs in a temporary folder are harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}
