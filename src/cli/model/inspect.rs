//! `anomalyd model inspect`: what is inside a model file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::print::{print, print_json};
use crate::frame::format_span;
use crate::model::manifest::{Edge, HeadKind};
use crate::model::{ModelFile, Network};
use crate::score::threshold::Thresholds;

/// Characters a line at most.
const WIDTH: usize = 80;
/// Edges shown, strongest first.
const EDGES: usize = 5;

const AFTER_HELP: &str = "\
Example: the sensors' names, one a line:
  anomalyd model inspect --json plant.pt | jq -r .manifest.sensors[].name";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct InspectArgs {
    /// The model file
    model: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Loads the model with every check and prints what it is.
///
/// # Errors
/// The file is refused: with the reason and what to do.
pub fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let file = ModelFile::load(&args.model)?;
    if args.json {
        print_json(&as_json(&file))
    } else {
        print(for_people(&file))
    }
}

fn as_json(file: &ModelFile) -> serde_json::Value {
    let manifest = &file.manifest;
    let network = match &file.network {
        Network::GraphLstm(network) => json!({
            "architecture": "graph-lstm",
            "layers": network.autoencoder.as_ref().map_or(0, |auto| auto.encoder.len()),
            "parameters": network.parameter_count(),
        }),
        Network::Foreign { class } => json!({ "architecture": "foreign", "class": class }),
    };
    json!({
        "path": file.path,
        "digest": file.digest,
        "network": network,
        "thresholds": Thresholds::for_budget(&manifest.charts, manifest.max_false_alarms_per_week),
        "golden": { "count": file.golden.count, "torch": file.golden.torch.is_some() },
        "manifest": manifest,
    })
}

fn for_people(file: &ModelFile) -> String {
    let manifest = &file.manifest;
    let mut lines = vec![
        format!("{} {}", manifest.name, manifest.version),
        entry(
            "created",
            &format!("{} by {}", manifest.created_at, manifest.created_by),
        ),
        entry(
            "sensors",
            &format!(
                "{}, one frame each {} s",
                manifest.sensors.len(),
                short(manifest.period_seconds)
            ),
        ),
        entry("network", &network_text(file)),
        entry("heads", &heads_text(&manifest.heads)),
    ];
    let thresholds = Thresholds::for_budget(&manifest.charts, manifest.max_false_alarms_per_week);
    lines.push(entry(
        "threshold",
        &format!(
            "for {}: chart A {}, chart B {}",
            alarms_text(manifest.max_false_alarms_per_week),
            short(thresholds.a),
            short(thresholds.b)
        ),
    ));
    let training = &manifest.training;
    let loss = training
        .loss
        .map_or(String::new(), |loss| format!(", loss {}", short(loss)));
    lines.push(entry(
        "learned",
        &format!(
            "from {} rows, {}, {} % missing{loss}",
            training.rows,
            format_span(training.span_seconds),
            short(100.0 * training.missing)
        ),
    ));
    if !training.command.is_empty() {
        lines.push(entry("command", &training.command));
    }
    let engines = if file.golden.torch.is_some() {
        "with libtorch's answers too"
    } else {
        "without libtorch's answers"
    };
    lines.push(entry(
        "golden",
        &format!("{} windows, {engines}", file.golden.count),
    ));
    lines.push(entry("digest", &file.digest));
    lines.extend(edge_lines(file));
    lines.extend(sensor_lines(file));
    lines
        .into_iter()
        .map(|line| cut(line.trim_end(), WIDTH) + "\n")
        .collect()
}

fn entry(key: &str, text: &str) -> String {
    format!("  {key:<10}{text}")
}

fn network_text(file: &ModelFile) -> String {
    let window = file.manifest.window;
    match &file.network {
        Network::Foreign { class } => {
            format!("foreign module {class}, window of {window} frames; needs the torch engine")
        }
        Network::GraphLstm(network) => {
            let kind = match &network.autoencoder {
                Some(auto) => format!(
                    "LSTM autoencoder {} to {}{}",
                    network.sensors,
                    auto.hidden,
                    if auto.encoder.len() > 1 {
                        format!(", {} layers", auto.encoder.len())
                    } else {
                        String::new()
                    }
                ),
                None => "closed form, no LSTM".to_owned(),
            };
            format!(
                "{kind}, window of {window} frames; {} weights",
                network.parameter_count()
            )
        }
    }
}

fn heads_text(heads: &[HeadKind]) -> String {
    let names: Vec<&str> = heads.iter().map(|head| head.name()).collect();
    names.join(", ")
}

fn alarms_text(per_week: f64) -> String {
    if per_week == 1.0 {
        "1 false alarm a week".to_owned()
    } else {
        format!("{} false alarms a week", short(per_week))
    }
}

fn edge_lines(file: &ModelFile) -> Vec<String> {
    let manifest = &file.manifest;
    if manifest.edges.is_empty() {
        return vec![entry("graph", "no edges")];
    }
    let mut edges: Vec<&Edge> = manifest.edges.iter().collect();
    edges.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
    // The names are known: a loaded manifest's edges lie within its sensors.
    let name = |index: usize| manifest.sensors.get(index).map_or("", |s| s.name.as_str());
    let width = edges
        .iter()
        .take(EDGES)
        .map(|edge| name(edge.target).chars().count())
        .max()
        .unwrap_or(0)
        .min(28);
    let mut lines = vec![entry(
        "graph",
        &match edges.len() {
            1 => "1 edge:".to_owned(),
            count => format!("{count} edges, the strongest:"),
        },
    )];
    lines.extend(edges.iter().take(EDGES).map(|edge| {
        format!(
            "            {:<width$}  expected from {:<width$}  weight {}",
            cut(name(edge.target), width),
            cut(name(edge.source), width),
            short(edge.weight)
        )
    }));
    lines
}

fn sensor_lines(file: &ModelFile) -> Vec<String> {
    let sensors = &file.manifest.sensors;
    let widest = |lengths: &mut dyn Iterator<Item = usize>, least: usize, most: usize| {
        lengths.max().unwrap_or(0).clamp(least, most)
    };
    let name = widest(&mut sensors.iter().map(|s| s.name.chars().count()), 6, 40);
    let unit = widest(&mut sensors.iter().map(|s| s.unit.chars().count()), 4, 12);
    let head = format!(
        "{:<name$}  {:<unit$} {:>10} {:>10}",
        "sensor", "unit", "mean", "deviation"
    );
    let mut lines = vec![String::new(), head];
    lines.extend(sensors.iter().map(|sensor| {
        format!(
            "{:<name$}  {:<unit$} {:>10} {:>10}",
            cut(&sensor.name, name),
            cut(&sensor.unit, unit),
            short(sensor.mean),
            short(sensor.deviation)
        )
    }));
    lines
}

/// Four significant digits, without trailing zeros.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let before = if size < 1.0 {
        0
    } else {
        // 1 to 6 by the range above.
        size.log10() as usize + 1
    };
    let text = format!("{value:.*}", 4usize.saturating_sub(before));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The first `width` characters, ending in `…` where something was cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::golden::Golden;
    use crate::model::manifest::{Manifest, example};
    use crate::model::{GraphLstm, Linear};

    fn file(manifest: Manifest, network: Network) -> ModelFile {
        ModelFile {
            path: "plant.pt".into(),
            network,
            manifest,
            golden: Golden {
                count: 16,
                ..Golden::default()
            },
            digest: "5".repeat(64),
        }
    }

    #[test]
    fn people_see_what_it_is() {
        let mut network = GraphLstm::init(2, 4, 10, 1, 1);
        network.neighbour = Some(Linear::zeros(2, 2));
        let text = for_people(&file(example(), Network::GraphLstm(network)));
        let expected = "\
plant 1
  created   2026-11-25T14:03:07Z by anomalyd 0.1.0
  sensors   2, one frame each 1 s
  network   LSTM autoencoder 2 to 4, window of 10 frames; 304 weights
  heads     reconstruction, neighbour, raw
  threshold for 1 false alarm a week: chart A 2.604, chart B 9.037
  learned   from 86400 rows, 1 d 0 h, 0.02 % missing, loss 0.031
  command   anomalyd train normal.csv
  golden    16 windows, without libtorch's answers
  digest    5555555555555555555555555555555555555555555555555555555555555555
  graph     2 edges, the strongest:
            FIT401  expected from P401    weight 0.62
            P401    expected from FIT401  weight 0.58

sensor  unit       mean  deviation
FIT401  m3/h       1.71       0.13
P401                  1       0.13
";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_is_wider_than_a_terminal() {
        let mut manifest = example();
        manifest.sensors[0].name = "a very long sensor name ".repeat(5);
        manifest.sensors[0].unit = "furlongs per fortnight".to_owned();
        manifest.sensors[1].mean = -1.234_567_89e-12;
        manifest.training.command = "anomalyd train ".repeat(20);
        manifest.name = "plant ".repeat(30);
        let class = "C".repeat(100);
        let text = for_people(&file(manifest, Network::Foreign { class }));
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(text.contains("-1.235e-12"), "{text}");
        assert!(text.contains("foreign module CCC"), "{text}");
    }

    #[test]
    fn json_has_the_manifest_and_the_thresholds() {
        let class = "Net".to_owned();
        let value = as_json(&file(example(), Network::Foreign { class }));
        assert_eq!(value["network"]["class"], "Net");
        assert_eq!(value["manifest"]["sensors"][0]["name"], "FIT401");
        assert_eq!(value["golden"]["count"], 16);
        assert!(value["thresholds"]["a"].as_f64().unwrap() > 2.6);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.031, "0.031"),
            (1.71234, "1.712"),
            (-812.0, "-812"),
            (86_400.0, "86400"),
            (123_456.7, "123457"),
            (1.0e9, "1.000e9"),
            (0.00012, "1.200e-4"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
