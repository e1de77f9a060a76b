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
    lines.extend(promise(report).map(|text| ("", text)));
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
    match report.false_alarms_per_week {
        Some(per_week) => format!(
            "{} in {} outside events: {per_week:.1} a week",
            report.false_alarms,
            format_span(report.normal_seconds)
        ),
        None => "not counted: the recording has no time outside events".to_owned(),
    }
}

fn promise(report: &Report) -> Option<String> {
    report.false_alarms_per_week?;
    let allowed = report.max_false_alarms_per_week * report.normal_seconds / WEEK_SECONDS;
    let verdict = if report.false_alarms as f64 <= allowed {
        "kept"
    } else if report.false_alarms == 1 {
        "too short to say"
    } else {
        "BROKEN"
    };
    Some(format!(
        "promised at most {} a week, {allowed:.1} in that time: {verdict}",
        report.max_false_alarms_per_week
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::evaluate::{AlarmSpan, Evaluation, Event, Events, Truth};

    fn report(events: Vec<Event>, alarms: &[(usize, usize)]) -> Report {
        let rows = 20_160;
        let events = Events {
            events,
            ..Events::default()
        };
        let truth = Truth {
            labels: events.labels(rows),
            events,
        };
        let scores: Vec<f64> = truth.labels.iter().map(|&label| f64::from(label)).collect();
        let alarms: Vec<AlarmSpan> = alarms
            .iter()
            .map(|&(raised_row, end_row)| AlarmSpan {
                raised_row,
                end_row,
                sensors: vec!["FIT401".into(), "LIT401".into()],
            })
            .collect();
        let mut evaluation = Evaluation::new(&scores, &truth, &alarms, 180.0);
        evaluation.threshold = 3.4;
        evaluation.max_false_alarms_per_week = 7.0;
        evaluation.windows_per_second = Some(81_234.5);
        Report::new(&evaluation)
    }

    fn events(count: usize, kind: &str) -> Vec<Event> {
        (0..count)
            .map(|index| Event {
                start: 160 + 960 * index,
                end: 960 + 960 * index,
                kind: Some(format!("{kind}{}", index + 1)),
                targets: vec!["LIT401".into()],
            })
            .collect()
    }

    #[test]
    fn a_person_reads_counts_with_units() {
        let table = render(&report(
            events(21, ""),
            &[(180, 300), (1150, 1160), (50, 51)],
        ));
        let expected = "\
recording      20 160 rows, 3 min 0 s apart: 42 d 0 h
events found   2 of 21 (9.5 %)
found after    1 h 15 min (median)
false alarms   1 in 7 d 0 h outside events: 1.0 a week
               promised at most 7 a week, 7.0 in that time: kept
sensor named   first 0 %, in the first three 100 %, in the first five 100 %
time in alarm  0.6 %; outside events 0.0 %
score quality  VUS-PR 1.000, AUC-PR 1.000 (perfect 1, by chance about 0.833)
threshold      3.400
speed          81 234 windows/s
found by type  1 1/1   2 1/1   3 0/1   4 0/1   5 0/1   6 0/1   7 0/1   8 0/1
               9 0/1   10 0/1   11 0/1   12 0/1   13 0/1   14 0/1   15 0/1
               16 0/1   17 0/1   18 0/1   19 0/1   20 0/1   21 0/1
";
        assert_eq!(table, expected);
    }

    #[test]
    fn a_recording_without_events_says_so() {
        let table = render(&report(Vec::new(), &[(10, 20)]));
        assert!(table.contains("none to find: the recording is labelled normal throughout"));
        assert!(
            table.contains("not defined without anomalous rows"),
            "{table}"
        );
        assert!(!table.contains("sensor named"), "{table}");
    }

    #[test]
    fn the_promise_is_judged_over_normal_time() {
        let verdict = |false_alarms: usize, normal_seconds: f64| {
            let mut report = report(Vec::new(), &[]);
            report.false_alarms = false_alarms;
            report.normal_seconds = normal_seconds;
            promise(&report).unwrap()
        };
        assert!(verdict(7, WEEK_SECONDS).ends_with(": kept"));
        assert!(verdict(8, WEEK_SECONDS).ends_with(": BROKEN"));
        assert!(verdict(1, 0.01 * WEEK_SECONDS).ends_with(": too short to say"));
        assert!(verdict(2, 0.01 * WEEK_SECONDS).ends_with(": BROKEN"));
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for kind in ["", "a long kind of fault no. "] {
            for count in [0, 1, 20] {
                let mut report = report(events(count, kind), &[(180, 20_000)]);
                report.max_false_alarms_per_week = 1000.0;
                report.false_alarms = 100_000;
                report.windows_per_second = Some(1e9);
                for line in render(&report).lines() {
                    assert!(line.chars().count() <= WIDTH, "{line}");
                }
            }
        }
    }
}
