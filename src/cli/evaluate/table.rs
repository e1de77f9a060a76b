//! An evaluation as a table for people, at most 80 columns wide. Imports `score` (its figures) and
//! `frame` (how spans of time are said).

use std::fmt::Write as _;

use crate::frame::format_span;
use crate::score::evaluate::{KindRecall, Report};

const WIDTH: usize = 80;
const WEEK_SECONDS: f64 = 7.0 * 86_400.0;

/// Several lines, each ended by a line feed.
pub fn render(report: &Report) -> String {
    let mut lines = vec![
        ("recording", recording(report)),
        ("events found", found(report)),
    ];
    lines.extend(
        report
            .median_delay_s
            .map(|delay| ("found after", format!("{} (median)", format_span(delay)))),
    );
    lines.push(("false alarms", false_alarms(report)));
    lines.extend(named(report).map(|text| ("sensor named", text)));
    lines.extend(time_in_alarm(report).map(|text| ("time in alarm", text)));
    lines.push(("score quality", quality(report)));
    lines.push(("threshold", format!("{:.3}", report.threshold)));
    lines.extend(
        report
            .windows_per_second
            .map(|speed| ("speed", format!("{} windows/s", grouped(speed)))),
    );
    lines.extend(
        by_kind(&report.event_recall_by_type)
            .into_iter()
            .enumerate()
            .map(|(index, text)| (if index == 0 { "found by type" } else { "" }, text)),
    );
    let mut table = String::new();
    for (name, text) in lines {
        let _ = writeln!(table, "{name:<15}{text}");
    }
    table
}

fn recording(report: &Report) -> String {
    format!(
        "{} rows, {} apart: {}",
        grouped(report.rows as f64),
        format_span(report.seconds_per_row),
        format_span(report.rows as f64 * report.seconds_per_row)
    )
}

fn found(report: &Report) -> String {
    match report.event_recall {
        Some(recall) => format!(
            "{} of {} ({})",
            report.events_found,
            report.events,
            percent(recall)
        ),
        None => "none to find: the recording is labelled normal throughout".to_owned(),
    }
}

fn false_alarms(report: &Report) -> String {
    let Some(per_week) = report.false_alarms_per_week else {
        return format!("{}, no normal time to count over", report.false_alarms);
    };
    let allowed = report.max_false_alarms_per_week * report.normal_seconds / WEEK_SECONDS;
    let verdict = if report.false_alarms as f64 <= allowed.max(1.0) {
        "kept"
    } else {
        "MORE THAN PROMISED"
    };
    format!(
        "{} in {} without events, {per_week:.1} a week\n{:<15}promised: at most {} a week ({allowed:.1} here): {verdict}",
        report.false_alarms,
        format_span(report.normal_seconds),
        "",
        report.max_false_alarms_per_week,
    )
}

fn named(report: &Report) -> Option<String> {
    let (one, three, five) = (
        report.hit_rate_at_1?,
        report.hit_rate_at_3?,
        report.hit_rate_at_5?,
    );
    Some(format!(
        "first {}, in the first three {}, in the first five {}",
        percent(one),
        percent(three),
        percent(five)
    ))
}

fn time_in_alarm(report: &Report) -> Option<String> {
    let all = percent(report.time_in_alarm?);
    Some(match report.time_in_alarm_normal {
        Some(normal) => format!("{all}; outside events {}", percent(normal)),
        None => all,
    })
}

fn quality(report: &Report) -> String {
    match (report.vus_pr, report.auc_pr, report.anomalous_share) {
        (Some(vus), Some(auc), Some(chance)) => {
            format!("VUS-PR {vus:.3}, AUC-PR {auc:.3} (perfect 1, by chance about {chance:.3})")
        }
        _ => "not defined without anomalous rows".to_owned(),
    }
}

/// As many kinds a line as fit.
fn by_kind(kinds: &[KindRecall]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for kind in kinds {
        let entry = format!("{} {}/{}", kind.kind, kind.found, kind.events);
        match lines.last_mut() {
            Some(line) if 15 + line.chars().count() + 3 + entry.chars().count() <= WIDTH => {
                line.push_str("   ");
                line.push_str(&entry);
            }
            _ => lines.push(entry),
        }
    }
    lines
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// `23694` as `23 694`.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
