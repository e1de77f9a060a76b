//! `anomalyd status`: how the running service is.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::counted;
use super::print::{print, print_json};
use super::service::ServiceArgs;
use crate::clock::{Clock, SystemClock};
use crate::control::{OutputStatus, Request, SilentStatus, Status};
use crate::frame::{Timestamp, format_span};

/// So many silent sensors are named.
const NAMED: usize = 3;

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON object, with everything that is known
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// # Errors
/// The service does not run, or may not be asked.
pub fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let answer = args.service.ask(&Request::Status)?;
    let Some(status) = answer.status else {
        bail!("the service gave no status: {}", answer.text);
    };
    if args.json {
        print_json(&status)?;
    } else {
        print(text(&status, SystemClock.now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// As people read it, in 80 columns where names allow.
fn text(status: &Status, now: Timestamp) -> String {
    let mut lines = vec![title(status)];
    let mut line = |name: &str, text: String| lines.push(format!("{name:<10} {text}"));
    line(&status.state, state(status));
    if let Some(text) = &status.state_text {
        line("", text.clone());
    }
    if status.model.is_some() {
        line("alarms", alarms(status));
    }
    for open in &status.alarms.open {
        let since = format_span(now.seconds_since(open.raised_at));
        line(
            "",
            format!(
                "{} ({}) since {since}, peak score {:.1}",
                open.id, open.kind, open.peak_score
            ),
        );
    }
    if status.model.is_some() {
        line("sensors", sensors(status, now));
    }
    for mute in &status.muted {
        let left = format_span(mute.until.seconds_since(now));
        line("muted", format!("{} for another {left}", mute.what));
    }
    for source in &status.sources {
        line(
            "source",
            format!(
                "{}: {}, {} samples",
                source.name, source.state, source.received
            ),
        );
    }
    for output in &status.outputs {
        line("output", output_line(output));
    }
    if let Some(text) = &status.health_text {
        line("health", text.clone());
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn output_line(output: &OutputStatus) -> String {
    let mut text = format!("{}: {}", output.name, output.state);
    if output.waiting > 0 {
        text.push_str(&format!(", {} waiting", counted(output.waiting, "message")));
    }
    let (alarms, health, scores) = (
        output.dropped_alarms,
        output.dropped_health,
        output.dropped_scores,
    );
    if alarms + health + scores > 0 {
        text.push_str(&format!(
            ", DROPPED for want of room: {alarms} alarm messages, {health} health, {scores} scores"
        ));
    }
    text
}

fn title(status: &Status) -> String {
    let mut title = format!("anomalyd {}", status.version);
    if let Some(host) = &status.host {
        title.push_str(&format!(" on {host}"));
    }
    if let Some(board) = &status.board {
        title.push_str(&format!(" ({board})"));
    }
    title.push_str(&format!(", up {}", format_span(status.up_seconds)));
    title
}

fn state(status: &Status) -> String {
    let mut parts = Vec::new();
    if let Some(model) = &status.model {
        parts.push(format!("model {model} ({})", counted(status.heads, "head")));
    }
    if let Some(engine) = &status.engine {
        parts.push(format!("engine {engine}"));
    }
    parts.push(format!("{:.2} samples/s", status.samples_per_second));
    if let Some(score) = status.last_score {
        parts.push(format!("last score {score:.2}"));
    }
    if let Some(p99) = status.latency_p99_ms {
        parts.push(format!("p99 {p99:.2} ms"));
    }
    parts.join(", ")
}

fn alarms(status: &Status) -> String {
    let alarms = &status.alarms;
    let flood = match status.flood.gain {
        gain if gain > 1.0 => format!("flood control holds the bar {gain:.1} times higher"),
        _ => "flood control open".to_owned(),
    };
    format!(
        "{} now, {} this week ({} confirmed), {flood}",
        alarms.open.len(),
        alarms.week,
        alarms.week_confirmed
    )
}

fn sensors(status: &Status, now: Timestamp) -> String {
    let sensors = &status.sensors;
    let mut text = format!("{} of {} fresh", sensors.fresh, sensors.total);
    let silent = |silent: &SilentStatus| match silent.last_seen {
        Some(seen) => format!(
            "; {} silent for {}",
            silent.sensor,
            format_span(now.seconds_since(seen))
        ),
        None => format!("; {} never reported", silent.sensor),
    };
    text.extend(sensors.silent.iter().take(NAMED).map(silent));
    if let Some(more @ 1..) = sensors.silent.len().checked_sub(NAMED) {
        text.push_str(&format!("; {more} more silent"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{
        AlarmsStatus, FloodStatus, MuteStatus, OpenAlarmStatus, SensorsStatus, SourceView,
    };

    #[test]
    fn a_status_reads_well() {
        let now = Timestamp::from_seconds(1_000_000);
        let status = Status {
            version: "0.3.1".to_owned(),
            host: Some("plant-pi".to_owned()),
            board: Some("Raspberry Pi 4 Model B".to_owned()),
            up_seconds: 100.0,
            state: "watching".to_owned(),
            model: Some("plant 1.4.0".to_owned()),
            heads: 3,
            engine: Some("native".to_owned()),
            samples_per_second: 1.0,
            last_score: Some(0.31),
            alarms: AlarmsStatus {
                open: vec![OpenAlarmStatus {
                    id: "a7k2".to_owned(),
                    kind: "anomaly".to_owned(),
                    raised_at: Timestamp::from_seconds(1_000_000 - 400),
                    peak_score: 9.07,
                }],
                week: 2,
                week_confirmed: 1,
            },
            flood: FloodStatus {
                level: 1.0,
                gain: 1.0,
            },
            sensors: SensorsStatus {
                total: 51,
                fresh: 50,
                silent: vec![SilentStatus {
                    sensor: "AIT203".to_owned(),
                    last_seen: Some(Timestamp::from_seconds(1_000_000 - 840)),
                }],
            },
            muted: vec![MuteStatus {
                what: "LIT101".to_owned(),
                until: Timestamp::from_seconds(1_000_000 + 3_600),
            }],
            sources: vec![SourceView {
                name: "mqtt".to_owned(),
                state: "connected".to_owned(),
                received: 12,
            }],
            health_text: Some("61 C, not throttled".to_owned()),
            ..Status::default()
        };
        let expected = "\
anomalyd 0.3.1 on plant-pi (Raspberry Pi 4 Model B), up 1 min 40 s
watching   model plant 1.4.0 (3 heads), engine native, 1.00 samples/s, last score 0.31
alarms     1 now, 2 this week (1 confirmed), flood control open
           a7k2 (anomaly) since 6 min 40 s, peak score 9.1
sensors    50 of 51 fresh; AIT203 silent for 14 min 0 s
muted      LIT101 for another 1 h 00 min
source     mqtt: connected, 12 samples
health     61 C, not throttled
";
        assert_eq!(text(&status, now), expected);
    }
}
