//! `anomalyd model verify`: golden vectors on both engines, with the largest difference.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::print::{print, print_json};
use crate::engine::Engine;
use crate::engine::native::NativeEngine;
use crate::engine::torch::TorchConfig;
use crate::engine::{EngineError, torch};
use crate::model::{ModelFile, Network};
use crate::pipeline::{Agreement, EngineChoice, GOLDEN_TOLERANCE, open_torch, verify};

const AFTER_HELP: &str = "\
Exit status: 0 when every engine that is here agrees, 1 when one does not, or
was asked for and is not here, 65 when the file is refused.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct VerifyArgs {
    /// The model file
    model: PathBuf,
    /// Which engine to check; auto is every one that this machine has
    #[arg(long, value_enum, default_value_t)]
    engine: EngineChoice,
    /// The torch worker [default: beside this program, or on PATH]
    #[arg(long, value_name = "PROGRAM")]
    torch_worker: Option<PathBuf>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    vectors: usize,
    tolerance: f32,
    engines: Vec<EngineReport>,
}

#[derive(Debug, Serialize)]
struct EngineReport {
    engine: &'static str,
    verdict: Verdict,
    reconstruction: Option<f32>,
    neighbour: Option<f32>,
    score: Option<f32>,
    worst_vector: Option<usize>,
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Fail,
    /// The engine is not here, or cannot run this module.
    Absent,
}

/// # Errors
/// The file cannot be read or is refused.
pub fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let model = ModelFile::load(&args.model)?;
    let torch = TorchConfig {
        worker: args.torch_worker.clone(),
        ..TorchConfig::default()
    };
    let mut engines = Vec::new();
    if args.engine != EngineChoice::Torch {
        engines.push(EngineReport::new("native", on_native(&model)));
    }
    if args.engine != EngineChoice::Native {
        engines.push(EngineReport::new("torch", on_torch(&model, torch)));
    }
    // Under `auto` an absent engine is only told; one that was asked for must be here.
    let wrong = |one: &EngineReport| match one.verdict {
        Verdict::Ok => false,
        Verdict::Fail => true,
        Verdict::Absent => args.engine != EngineChoice::Auto,
    };
    let good = !engines.iter().any(wrong) && engines.iter().any(|e| e.verdict == Verdict::Ok);
    let report = Report {
        model: args.model.display().to_string(),
        vectors: model.golden.count,
        tolerance: GOLDEN_TOLERANCE,
        engines,
    };
    match args.json {
        true => print_json(&report)?,
        false => print(report.for_people())?,
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn on_native(model: &ModelFile) -> Result<Agreement, EngineError> {
    match &model.network {
        Network::GraphLstm(network) => verify(&mut NativeEngine::new(network)?, model),
        Network::Foreign { class } => Err(EngineError::Unsupported(format!(
            "its module {class} is not the GraphLstmAutoencoder that the native engine knows"
        ))),
    }
}

fn on_torch(model: &ModelFile, config: torch::TorchConfig) -> Result<Agreement, EngineError> {
    let mut engine = open_torch(model, &config)?;
    debug_assert_eq!(engine.name(), "torch");
    verify(&mut engine, model)
}

impl EngineReport {
    fn new(engine: &'static str, result: Result<Agreement, EngineError>) -> Self {
        match result {
            Ok(agreement) => EngineReport {
                engine,
                verdict: if agreement.holds() {
                    Verdict::Ok
                } else {
                    Verdict::Fail
                },
                reconstruction: Some(agreement.reconstruction),
                neighbour: Some(agreement.neighbour),
                score: Some(agreement.score),
                worst_vector: Some(agreement.worst_vector),
                reason: None,
            },
            Err(error) => EngineReport {
                engine,
                verdict: match error {
                    EngineError::WorkerMissing { .. } | EngineError::Unsupported(_) => {
                        Verdict::Absent
                    }
                    EngineError::Worker(_) => Verdict::Fail,
                },
                reconstruction: None,
                neighbour: None,
                score: None,
                worst_vector: None,
                reason: Some(error.to_string()),
            },
        }
    }
}

impl Report {
    fn for_people(&self) -> String {
        let mut lines = vec![
            format!(
                "{}: {} golden vectors, limit {:.0e}",
                self.model, self.vectors, self.tolerance
            ),
            "engine  verdict  reconstruction  neighbour     score  worst vector".to_owned(),
        ];
        let mut reasons = Vec::new();
        for one in &self.engines {
            let engine = one.engine;
            let verdict = match one.verdict {
                Verdict::Ok => "ok",
                Verdict::Fail => "FAIL",
                Verdict::Absent => "absent",
            };
            let differences = (one.reconstruction, one.neighbour, one.score);
            lines.push(match (differences, one.worst_vector) {
                ((Some(reconstruction), Some(neighbour), Some(score)), Some(worst)) => format!(
                    "{engine:<6}  {verdict:<7}  {reconstruction:>14.1e}  {neighbour:>9.1e}  \
                     {score:>8.1e}  {worst:>12}",
                ),
                _ => format!("{engine:<6}  {verdict}"),
            });
            // Below the table, where it may be as long as it is.
            let reason = one.reason.as_ref();
            reasons.extend(reason.map(|reason| format!("{engine}: {reason}")));
        }
        lines.extend(reasons);
        lines.join("\n") + "\n"
    }
}
