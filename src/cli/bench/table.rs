//! The verdict as a table of 80 columns.

use crate::bench::{Better, EngineOutcome, Grade, Metric, Outcome, short};

/// Ids of figures with an error of their own: a slope says little without it.
const WITH_ERROR: [&str; 2] = ["growth", "slope"];

/// The whole result for a terminal.
pub fn table(outcome: &Outcome) -> String {
    let mut text = machine(outcome);
    for engine in &outcome.engines {
        text.push_str(&of_engine(engine));
    }
    for missing in &outcome.missing {
        text.push_str(&format!(
            "not measured: {}: {}\n",
            missing.what, missing.why
        ));
    }
    text.push_str(&verdict(outcome));
    text
}

fn machine(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let load = |load: Option<f64>| load.map_or("?".to_owned(), |load| format!("{load:.2}"));
    let board = machine.board.iter().map(|board| format!("{board}, "));
    format!(
        "machine   {}{} x {} ({}), kernel {}\n          governor {}, load {} at the start, {} at the end\n",
        board.collect::<String>(),
        machine.cores,
        known(&machine.processor),
        machine.architecture,
        known(&machine.kernel),
        machine.governor.as_deref().unwrap_or("none"),
        load(machine.load_at_start),
        load(machine.load_at_end),
    )
}

fn of_engine(engine: &EngineOutcome) -> String {
    let model = &engine.model;
    let mut text = format!(
        "\nengine {}, model {} ({} sensors, window {}{})\n{}\n",
        engine.engine.name(),
        model.name,
        model.sensors,
        model.window,
        model
            .hidden
            .map_or(String::new(), |hidden| format!(", LSTM {hidden}")),
        match engine.cap.active {
            true => format!("under the unit's memory cap: {}", engine.cap.how),
            false => format!("memory cap inactive: {}", engine.cap.how),
        }
    );
    text.push_str(&format!(
        "{:<22} {:>18}   {:<24} {}\n",
        "metric", "value", "seed (critical)", "ours"
    ));
    for metric in &engine.metrics {
        text.push_str(row(metric).trim_end());
        text.push('\n');
        if let Some(note) = &metric.note
            && WITH_ERROR.contains(&metric.id.as_str())
        {
            text.push_str(&format!("  {note}\n"));
        }
    }
    text
}

fn row(metric: &Metric) -> String {
    let value = match metric.value {
        None => "-".to_owned(),
        Some(value) => format!("{} {}", short(value), metric.unit)
            .trim_end()
            .to_owned(),
    };
    let bound = match metric.better {
        Better::Lower => "<=",
        Better::Higher => ">=",
    };
    let seed = metric.seed.map_or(String::new(), |seed| {
        let critical = metric
            .critical
            .map_or(String::new(), |c| format!(" ({})", short(c)));
        format!(
            "{bound} {}{critical} {}",
            short(seed),
            word(metric.against_seed)
        )
    });
    let ours = metric.ours.map_or(String::new(), |ours| {
        format!("{bound} {} {}", short(ours), word(metric.against_ours))
    });
    format!("{:<22} {value:>18}   {seed:<24} {ours}", metric.name)
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Pass => "PASS",
        Grade::Warn => "WARN",
        Grade::Fail => "FAIL",
        Grade::None => "-",
    }
}

fn verdict(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let mut text = "\n".to_owned();
    for accepted in &verdict.accepted {
        text.push_str(&format!("accepted: {accepted}\n"));
    }
    let line = |who: &str, pass: Option<bool>| {
        let word = match pass {
            Some(true) => "PASS",
            Some(false) => "FAIL",
            None => "no target was measured",
        };
        format!("{who:<16} {word}\n")
    };
    match verdict.refused.as_slice() {
        [] => {
            text.push_str(&line("seed's targets", verdict.seed_pass));
            text.push_str(&line("our targets", verdict.ours_pass));
        }
        reasons => {
            text.push_str("no verdict; PASS and FAIL above say what it would have been\n");
            for reason in reasons {
                text.push_str(&format!("  {reason}\n"));
            }
        }
    }
    if outcome.partial {
        text.push_str("the result is partial: see what was not measured\n");
    }
    text
}
