//! What is printed when a model is done, at most 80 columns wide. May import everything.

use std::path::Path;

use crate::cli::heads_text;
use crate::engine::EngineError;
use crate::frame::format_span;
use crate::model::golden::Golden;
use crate::model::{ModelFile, Network};
use crate::pipeline::GOLDEN_TOLERANCE;
use crate::score::threshold::Thresholds;
use crate::train::Trained;

const SECONDS_A_WEEK: f64 = 7.0 * 86_400.0;
/// Budgets that are always shown, so that one can choose.
const USUAL_BUDGETS: [f64; 2] = [1.0, 7.0];
/// With fewer alarms to be expected in the time learnt from, the threshold lies beyond all that was
/// seen.
const FEW: f64 = 3.0;

/// Several lines.
pub fn text(out: &Path, model: &ModelFile, trained: &Trained) -> String {
    let manifest = &model.manifest;
    let budget = manifest.max_false_alarms_per_week;
    let span = format_span(manifest.training.span_seconds);
    let mut lines = vec![
        format!("learned from {span}: at most {}", promised(budget)),
        format!("  heads      {}", heads_text(&manifest.heads)),
        format!(
            "  graph      {} between {}",
            crate::cli::counted(manifest.edges.len(), "edge"),
            crate::cli::counted(manifest.sensors.len(), "sensor")
        ),
    ];
    if let Some(loss) = manifest.training.loss {
        lines.push(format!(
            "  loss       {loss:.4} (mean squared error of the autoencoder, standardised)"
        ));
    }
    let mut budgets = USUAL_BUDGETS.to_vec();
    if !budgets.contains(&budget) {
        budgets.push(budget);
        budgets.sort_by(f64::total_cmp);
    }
    for (line, n) in budgets.into_iter().enumerate() {
        let thresholds = Thresholds::for_budget(&manifest.charts, n);
        lines.push(format!(
            "  {:<10} {n} a week: chart A {:.3}, chart B {:.1}; would have raised {}",
            if line == 0 { "thresholds" } else { "" },
            thresholds.a,
            thresholds.b,
            trained.calibration.alarms(thresholds),
        ));
    }
    if budget * manifest.training.span_seconds < FEW * SECONDS_A_WEEK {
        lines.push(format!(
            "  caution    {span} is short for a promise of {budget} a week: thresholds are"
        ));
        lines.push("             extrapolated; train again when there is more".to_owned());
    }
    lines.push(format!("  verified   {}", verified(&model.golden, trained)));
    let out = out.display();
    lines.push(format!("wrote {out}"));
    lines.push(format!(
        "next: anomalyd replay --model {out} RECORDING.csv\n"
    ));
    lines.join("\n")
}

fn verified(golden: &Golden, trained: &Trained) -> String {
    let count = golden.count;
    if matches!(trained.model.network, Network::Foreign { .. }) {
        return format!("{count} golden vectors by libtorch, which alone can run this module");
    }
    match (&golden.torch, &trained.without_torch) {
        (Some(torch), _) => {
            let off = largest_difference(&golden.reconstruction, &torch.reconstruction)
                .max(largest_difference(&golden.neighbour, &torch.neighbour));
            let verdict = match off <= GOLDEN_TOLERANCE {
                true => "agree",
                false => "DISAGREE",
            };
            format!("native engine and libtorch {verdict} on {count} golden vectors, to {off:.1e}")
        }
        (None, None | Some(EngineError::WorkerMissing { .. })) => {
            format!("{count} golden vectors on the native engine; libtorch is not here")
        }
        (None, Some(reason)) => {
            format!("{count} golden vectors on the native engine; libtorch failed:\n{reason}")
        }
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn promised(budget: f64) -> String {
    let plural = if budget == 1.0 { "" } else { "s" };
    format!("{budget} false alarm{plural} a week")
}
