//! The report: one HTML file that asks nothing of the network. Imports its siblings' plain types.

mod plot;

use std::fmt::Write;

use self::plot::{Axis, Line, Plot};
use super::figure::short;
use super::outcome::{EngineOutcome, Grade, Metric, Outcome, Phase, Reading};
use super::target::Better;
use crate::histogram::Histogram;

const STYLE: &str = include_str!("report/page.css");
const MIB: f64 = (1 << 20) as f64;

/// The whole file.
pub fn html(outcome: &Outcome) -> String {
    let mut page = String::new();
    // A String never refuses to be written to.
    let _ = page_of(&mut page, outcome);
    page
}

fn page_of(page: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let machine = &outcome.machine;
    let name = machine.board.as_deref().or(machine.processor.as_deref());
    let name = escaped(name.unwrap_or("unknown machine"));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>anomalyd benchmark: {name}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n\
         <h1>anomalyd benchmark</h1>\n"
    )?;
    page.push_str(&verdict(outcome));
    page.push_str(&machine_table(outcome));
    for engine in &outcome.engines {
        of_engine(page, engine)?;
    }
    if let Some(broker) = &outcome.broker {
        let mut lines = vec![tail("round trip", "a", &broker.round_trips)];
        if let Some(alarms) = &broker.alarms {
            lines.push(tail("alarm", "b", alarms));
        }
        let plot = Plot {
            title: "Round trip to the broker".to_owned(),
            caption: format!(
                "{} messages to {}",
                broker.round_trips.count(),
                broker.address
            ),
            x: Axis::Tail,
            y: Axis::Log("ms"),
            lines,
            marks: vec![],
        };
        write!(
            page,
            "<h2>Broker</h2>\n<div class=\"plots\">{}</div>\n",
            plot.svg()
        )?;
    }
    page.push_str("</main></body></html>\n");
    Ok(())
}

fn verdict(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let mut text = "<section class=\"verdict\">".to_owned();
    let line = |who: &str, pass: Option<bool>| {
        let (class, word) = match pass {
            Some(true) => ("pass", "PASS"),
            Some(false) => ("fail", "FAIL"),
            None => ("none", "not measured"),
        };
        format!("<p><b class=\"{class}\">{word}</b> {who}</p>")
    };
    if verdict.refused.is_empty() {
        text.push_str(&line(
            "the seed's targets for a Raspberry Pi 4",
            verdict.seed_pass,
        ));
        text.push_str(&line("this project's own targets", verdict.ours_pass));
    } else {
        text.push_str("<p><b class=\"warn\">NO VERDICT</b> PASS and FAIL below say what it would have been</p>");
        text.push_str(&list(verdict.refused.iter().cloned()));
    }
    if !verdict.accepted.is_empty() {
        text.push_str("<p>Accepted on the command line:</p>");
        text.push_str(&list(verdict.accepted.iter().cloned()));
    }
    if outcome.partial {
        text.push_str("<p>The result is partial. Not measured:</p>");
        let missing = outcome.missing.iter();
        text.push_str(&list(
            missing.map(|one| format!("{}: {}", one.what, one.why)),
        ));
    }
    text + "</section>\n"
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: String = items
        .map(|item| format!("<li>{}</li>", escaped(&item)))
        .collect();
    format!("<ul>{items}</ul>")
}

fn machine_table(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let load = |load: Option<f64>| load.map_or("unknown".to_owned(), |load| format!("{load:.2}"));
    let gib = |bytes: Option<u64>| {
        bytes.map_or("unknown".to_owned(), |bytes| {
            format!("{:.1} GiB", bytes as f64 / 1024.0 / MIB)
        })
    };
    let rows = [
        ("board", known(&machine.board)),
        (
            "processor",
            format!(
                "{} × {}, {}",
                machine.cores,
                known(&machine.processor),
                machine.architecture
            ),
        ),
        (
            "governor",
            machine
                .governor
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        ),
        ("kernel", known(&machine.kernel)),
        ("memory", gib(machine.memory_bytes)),
        (
            "disk",
            format!(
                "{}, {} free",
                gib(machine.disk_total_bytes),
                gib(machine.disk_free_bytes)
            ),
        ),
        (
            "load average",
            format!(
                "{} at the start, {} at the end",
                load(machine.load_at_start),
                load(machine.load_at_end)
            ),
        ),
        (
            "measured",
            format!(
                "{} for {:.0} s, anomalyd {}",
                outcome.started.date_clock_text(),
                outcome.seconds,
                outcome.anomalyd
            ),
        ),
        ("command", outcome.command.join(" ")),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escaped(value)))
        .collect();
    format!("<table class=\"facts\">{rows}</table>\n")
}

fn of_engine(page: &mut String, engine: &EngineOutcome) -> std::fmt::Result {
    let model = &engine.model;
    let cap = match engine.cap.active {
        true => format!("under the unit's memory cap ({})", engine.cap.how),
        false => format!("without an active memory cap ({})", engine.cap.how),
    };
    write!(
        page,
        "<h2>Engine {}</h2>\n<p>Model {}: {} sensors, window {}{}; {}.</p>\n",
        engine.engine.name(),
        escaped(&model.name),
        model.sensors,
        model.window,
        model
            .hidden
            .map_or(String::new(), |hidden| format!(", LSTM {hidden}")),
        escaped(&cap)
    )?;
    page.push_str("<div class=\"plots\">\n");
    if let Some(phase) = engine.phase("sustained") {
        for plot in plots(engine, phase) {
            page.push_str(&plot.svg());
        }
    }
    page.push_str("</div>\n<div class=\"wide\"><table class=\"metrics\"><thead><tr><th>metric</th><th>value</th>\
                   <th>seed (critical)</th><th></th><th>ours</th><th></th><th>note</th></tr></thead><tbody>\n");
    for metric in &engine.metrics {
        page.push_str(&row(metric));
    }
    page.push_str("</tbody></table></div>\n");
    Ok(())
}

fn row(metric: &Metric) -> String {
    let value = metric.value.map_or("–".to_owned(), |value| {
        format!("{} {}", short(value), metric.unit)
    });
    let bound = match metric.better {
        Better::Lower => "≤",
        Better::Higher => "≥",
    };
    let target =
        |target: Option<f64>| target.map_or(String::new(), |t| format!("{bound} {}", short(t)));
    let critical = metric
        .critical
        .map_or(String::new(), |c| format!(" ({})", short(c)));
    format!(
        "<tr><th>{}</th><td class=\"number\">{}</td><td>{}{critical}</td>{}<td>{}</td>{}<td class=\"note\">{}</td></tr>\n",
        escaped(&metric.name),
        escaped(value.trim_end()),
        target(metric.seed),
        cell(metric.against_seed),
        target(metric.ours),
        cell(metric.against_ours),
        escaped(metric.note.as_deref().unwrap_or_default())
    )
}

fn cell(grade: Grade) -> &'static str {
    match grade {
        Grade::Pass => "<td class=\"pass\">PASS</td>",
        Grade::Warn => "<td class=\"warn\">WARN</td>",
        Grade::Fail => "<td class=\"fail\">FAIL</td>",
        Grade::None => "<td></td>",
    }
}

fn plots(engine: &EngineOutcome, phase: &Phase) -> Vec<Plot> {
    let over_time = |of: &dyn Fn(&Reading) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |reading: &Reading| Some((reading.at, of(reading)?));
        phase.readings.iter().filter_map(point).collect()
    };
    let mib = |bytes: Option<u64>| Some(bytes? as f64 / MIB);
    let rate = format!("{:.0} rows a second", phase.rows_per_second);
    let most = over_time(&|r| mib(r.rss_bytes))
        .into_iter()
        .map(|(_, mib)| mib)
        .fold(0.0, f64::max);
    // Far above the lines it would press them flat; the caption has it in any case.
    let cap = mib(engine.cap.max_bytes);
    let near = cap.filter(|cap| *cap < 3.0 * most);
    vec![
        Plot {
            title: "Latency".to_owned(),
            caption: format!(
                "{} frames at {rate}: the share of frames that were no slower",
                phase.latencies.age.count()
            ),
            x: Axis::Tail,
            y: Axis::Log("ms"),
            lines: vec![
                tail("due to scored", "a", &phase.latencies.age),
                tail("inside inference", "b", &phase.latencies.taken_to_score),
                tail("lateness of the load", "c", &phase.load_lateness),
            ],
            marks: vec![],
        },
        Plot {
            title: "Memory".to_owned(),
            caption: match cap {
                Some(cap) => {
                    format!("all processes of the service, at {rate}; the cap is {cap:.0} MiB")
                }
                None => format!("all processes of the service, at {rate}; no cap"),
            },
            x: Axis::Linear("seconds"),
            y: Axis::FromZero("MiB"),
            lines: vec![
                Line::new("RSS", "a", over_time(&|r| mib(r.rss_bytes))),
                Line::new("files", "b", over_time(&|r| mib(r.rss_file_bytes))),
                Line::new("anonymous", "c", over_time(&|r| mib(r.rss_anon_bytes))),
            ],
            marks: near
                .map(|cap| ("cap".to_owned(), cap))
                .into_iter()
                .collect(),
        },
        Plot {
            title: "CPU".to_owned(),
            caption: format!("readings of one second, 100 % is one core, at {rate}"),
            x: Axis::Linear("seconds"),
            y: Axis::FromZero("%"),
            lines: vec![Line::new("CPU", "a", over_time(&|r| r.cpu_percent))],
            marks: vec![],
        },
        Plot {
            title: "Temperature".to_owned(),
            caption: throttling(phase),
            x: Axis::Linear("seconds"),
            y: Axis::Linear("°C"),
            lines: vec![Line::new(
                "processor",
                "a",
                over_time(&|r| r.temperature_celsius),
            )],
            marks: vec![],
        },
    ]
}

fn throttling(phase: &Phase) -> String {
    match phase.slowed() {
        None => "nothing on this machine tells of throttling",
        Some(false) => "not throttled",
        Some(true) => "throttled",
    }
    .to_owned()
}

/// Share of all against duration.
fn tail(name: &str, class: &'static str, histogram: &Histogram) -> Line {
    let total = histogram.count() as f64;
    let mut seen = 0;
    let mut points = Vec::new();
    for (duration, count) in histogram.filled() {
        let before = seen as f64 / total;
        seen += count;
        let milliseconds = duration.as_secs_f64() * 1e3;
        points.push((before, milliseconds));
        // The last bucket ends where nothing is slower, which no scale shows.
        let after = (seen as f64 / total).min(1.0 - 0.5 / total);
        points.push((after.max(before), milliseconds));
    }
    Line::new(name, class, points)
}

/// Text for HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::made_up;

    #[test]
    fn the_report_has_every_figure_and_asks_nothing_of_the_network() {
        let outcome = made_up::outcome();
        let page = html(&outcome);
        for metric in &outcome.engines[0].metrics {
            assert!(
                page.contains(&format!("<th>{}</th>", metric.name)),
                "{}",
                metric.name
            );
        }
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("</svg>").count(), 4);
        for outside in [
            "http:", "https:", "src=", "url(", "@import", "<script", "<link",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("processor &lt;1&gt;"));
        assert!(!page.contains("NaN") && !page.contains("inf,") && !page.contains("inf\""));
    }

    #[test]
    fn a_result_without_readings_is_a_report_too() {
        let mut outcome = made_up::outcome();
        outcome.engines[0].phases[0].readings.clear();
        outcome.engines[0].phases[0].latencies = Default::default();
        let page = html(&outcome);
        assert!(page.contains("no readings"));
        outcome.engines.clear();
        outcome.verdict.refused.push("a < b".to_owned());
        assert!(html(&outcome).contains("<li>a &lt; b</li>"));
    }
}
