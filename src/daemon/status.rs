//! How the service is, put together from its parts for `anomalyd status` and `systemctl status`.

use std::time::Duration;

use super::care::Care;
use super::session::Session;
use super::view::View;
use crate::control::{AlarmsStatus, Status};
use crate::state::Span;

/// Everything that is known; `view` is absent where inference does not answer.
pub fn status(
    session: &Session,
    care: &Care,
    view: Option<View>,
    week: Option<Span>,
    up: Duration,
) -> Status {
    let machine = care.machine();
    let degraded = care.degraded();
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: session.name().to_owned(),
        host: machine.host.clone(),
        board: machine.model.clone(),
        up_seconds: up.as_secs_f64(),
        state: state(view.as_ref(), degraded.as_ref()).to_owned(),
        state_text: state_text(view.as_ref(), degraded),
        sources: session.source_views(),
        outputs: session.output_views(),
        health: care.json(),
        health_text: Some(care.text()),
        ..Status::default()
    };
    if let Some(view) = view {
        status.model = view.model;
        status.heads = view.heads;
        status.engine = view.engine.map(str::to_owned);
        status.samples_per_second = view.pace.samples_per_second;
        status.latency_p99_ms = view.pace.latency_p99.map(|p99| p99.as_secs_f64() * 1e3);
        status.last_score = view.last_score;
        status.frames = view.counts.frames;
        status.scored = view.counts.scored;
        status.unscored = view.counts.unscored;
        status.samples_lost = view.lost;
        status.flood = view.flood;
        status.sensors = view.sensors;
        status.muted = view.muted;
        status.alarms = AlarmsStatus {
            open: view.open,
            week: week.map_or(0, |week| week.raised),
            week_confirmed: week.map_or(0, |week| week.confirmed),
        };
    }
    status
}

/// In one word, alarms apart.
pub fn state(view: Option<&View>, degraded: Option<&String>) -> &'static str {
    match (view, degraded) {
        (None, _) => "stuck",
        (Some(view), _) if view.learning.is_some() => "learning",
        (Some(_), Some(_)) => "degraded",
        (Some(_), None) => "watching",
    }
}

/// What there is to say about that.
pub fn state_text(view: Option<&View>, degraded: Option<String>) -> Option<String> {
    match view {
        None => Some("inference does not answer".to_owned()),
        Some(view) => match &view.learning {
            Some(progress) => Some(progress.to_string()),
            None => degraded,
        },
    }
}

/// The line of `systemctl status`.
pub fn line(status: &Status) -> String {
    let mut parts = vec![match status.alarms.open.len() {
        0 => status.state.clone(),
        1 => format!("{}, 1 ALARM", status.state),
        count => format!("{}, {count} ALARMS", status.state),
    }];
    if status.state == "learning" {
        parts.extend(status.state_text.clone());
    }
    parts.push(format!("{:.2} samples/s", status.samples_per_second));
    if let Some(score) = status.last_score {
        parts.push(format!("last score {score:.2}"));
    }
    if let (Some(model), Some(engine)) = (&status.model, &status.engine) {
        parts.push(format!("model {model}, engine {engine}"));
    }
    let silent = status.sensors.silent.len();
    if silent > 0 {
        parts.push(format!(
            "{silent} of {} sensors silent",
            status.sensors.total
        ));
    }
    parts.extend(status.health_text.clone());
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{OpenAlarmStatus, SensorsStatus};
    use crate::frame::Timestamp;

    #[test]
    fn the_line_says_what_matters() {
        let mut status = Status {
            state: "watching".to_owned(),
            samples_per_second: 1.0,
            last_score: Some(0.311),
            model: Some("plant 1.4.0".to_owned()),
            engine: Some("native".to_owned()),
            sensors: SensorsStatus {
                total: 51,
                fresh: 51,
                silent: vec![],
            },
            health_text: Some("61 C, not throttled".to_owned()),
            ..Status::default()
        };
        assert_eq!(
            line(&status),
            "watching; 1.00 samples/s; last score 0.31; model plant 1.4.0, engine native; 61 C, not throttled"
        );
        status.alarms.open.push(OpenAlarmStatus {
            id: "a7k2".to_owned(),
            kind: "anomaly".to_owned(),
            raised_at: Timestamp::EPOCH,
            peak_score: 3.0,
        });
        assert!(line(&status).starts_with("watching, 1 ALARM; "));
    }
}
