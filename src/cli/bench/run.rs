//! `anomalyd bench run`: measure, write the result, print the verdict.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::table::table;
use super::write;
use crate::bench::{self, Doubt, Effort, EngineName, Interrupt, Options, Outcome};
use crate::cli::failure::Usage;
use crate::cli::print::{print, tell};

/// The model that the package installs, and where it is in the sources.
const DEMO_MODELS: [&str; 2] = ["/usr/share/anomalyd/demo.pt", "models/demo.pt"];

const AFTER_HELP: &str = "\
It starts the service with a made-up configuration in a folder of its own; the
installed service is left alone, but stop it first, or its load is in the
figures. Ctrl-C ends it early; what was measured is kept, marked as partial.
docs/benchmarks.md says what each figure means.

Exit status: 0 when all of the seed's targets are met, 1 when one is not, or
there is no verdict. Examples:
  sudo anomalyd bench run --quick
  sudo anomalyd bench run --engine native --soak 24h --out soak.json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {
    /// About a minute an engine instead of about three
    #[arg(long)]
    quick: bool,
    /// What runs the model
    #[arg(long, value_enum, default_value_t = Engines::Native)]
    engine: Engines,
    /// How long the service is watched under the main load, such as 24h [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = soak)]
    soak: Option<Duration>,
    /// Result to write, JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Report to write, HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The model to run [default: the demo model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The torch worker [default: beside this program, or on PATH]
    #[arg(long, value_name = "PROGRAM")]
    torch_worker: Option<PathBuf>,
    /// A broker to measure round trips to, without TLS
    #[arg(long, value_name = "HOST[:PORT]")]
    broker: Option<String>,
    /// Give a verdict in spite of this; the result says so
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DOUBT")]
    accept: Vec<Doubt>,
    /// Watch the main load for so many seconds and measure hardly anything else (for tests)
    #[arg(long, hide = true, conflicts_with_all = ["quick", "soak"], value_name = "S")]
    seconds: Option<u64>,
    /// Root folder that temperature and throttling are read below (for tests)
    #[arg(long, hide = true, default_value = "/", value_name = "FOLDER")]
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engines {
    Native,
    Torch,
    Both,
}

/// # Errors
/// There is no model, or a result cannot be written.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::catch().context("signals cannot be caught")?;
    let options = options(&args)?;
    let progress = Progress::new();
    let outcome = bench::run(&options, &interrupt, &|what, share| {
        progress.show(what, share)
    });
    progress.end();
    let outcome = outcome?;
    // The files first: a reader of the table may go away.
    if let Some(path) = &args.out {
        write(path, &json(&outcome)?)?;
    }
    if let Some(path) = &args.report {
        write(path, &bench::report::html(&outcome))?;
    }
    print(table(&outcome))?;
    Ok(match outcome.verdict.seed_pass {
        Some(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn json(outcome: &Outcome) -> anyhow::Result<String> {
    let text = serde_json::to_string(outcome).context("the result cannot be put in JSON")?;
    Ok(text + "\n")
}

fn options(args: &RunArgs) -> anyhow::Result<Options> {
    let mut effort = match (args.quick, args.seconds) {
        (_, Some(seconds)) => Effort::tiny(Duration::from_secs(seconds)),
        (true, None) => Effort::QUICK,
        (false, None) => Effort::FULL,
    };
    effort.sustained = args.soak.unwrap_or(effort.sustained);
    let model = match &args.model {
        Some(model) => model.clone(),
        None => demo_model()?,
    };
    Ok(Options {
        program: std::env::current_exe().context("this program's own file is not known")?,
        command: std::env::args().collect(),
        engines: match args.engine {
            Engines::Native => vec![EngineName::Native],
            Engines::Torch => vec![EngineName::Torch],
            Engines::Both => vec![EngineName::Native, EngineName::Torch],
        },
        // The service takes a relative path from its configuration's folder.
        model: std::path::absolute(&model).unwrap_or(model),
        // The service's configuration stands in another folder.
        torch_worker: (args.torch_worker.as_deref().map(std::path::absolute)).transpose()?,
        effort,
        broker: args.broker.clone(),
        accept: args.accept.clone(),
        root: args.root.clone(),
    })
}

fn demo_model() -> Result<PathBuf, Usage> {
    let found = DEMO_MODELS
        .iter()
        .map(Path::new)
        .find(|path| path.is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        let [installed, _] = DEMO_MODELS;
        Usage(format!(
            "{installed} is not here: name a model with --model"
        ))
    })
}

fn soak(text: &str) -> Result<Duration, String> {
    let soak = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if soak < Duration::from_secs(3) || soak > Duration::from_secs(30 * 86_400) {
        return Err("must be 3s to 30days".to_owned());
    }
    Ok(soak)
}

/// A bar on a terminal, a line for each step elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl Progress {
    fn new() -> Self {
        let bar = crate::cli::lively_stderr().then(|| {
            let bar = ProgressBar::new(1000);
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(2));
            if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:28} {percent:>3} %") {
                bar.set_style(style);
            }
            bar
        });
        Progress {
            bar,
            last: RefCell::default(),
        }
    }

    fn show(&self, what: &str, share: f64) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
            bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
        } else if *self.last.borrow() != what {
            tell(what);
        }
        what.clone_into(&mut self.last.borrow_mut());
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
