//! What people say of alarms and ask to be kept quiet, passed on to the stream.

use std::time::Duration;

use super::session::Session;
use crate::alarm::{MuteTarget, Verdict};
use crate::control::{Answer, VerdictWord};
use crate::frame::{Timestamp, format_span};
use crate::message::Message;
use crate::pipeline::Stream;

pub async fn ack(session: &Session, alarm: String, verdict: VerdictWord) -> Answer {
    let verdict = match verdict {
        VerdictWord::Real => Verdict::Real,
        VerdictWord::Normal => Verdict::Normal,
    };
    let id = alarm.clone();
    let confirmed = session.with_stream(move |stream| stream.confirm(&id, verdict));
    match confirmed.await {
        None => stuck(),
        Some(Err(unknown)) => Answer::refused(unknown.to_string()),
        Some(Ok(confirmed)) => {
            session.note_verdict(&alarm, verdict);
            let what = match verdict {
                Verdict::Real => "real: it does not count as a false alarm",
                Verdict::Normal => "normal: it stays counted, and what it showed is learnt",
            };
            let text = match confirmed.before == Some(verdict) {
                true => format!(
                    "alarm {alarm} was acknowledged as {} before",
                    verdict.name()
                ),
                false => format!("alarm {alarm} acknowledged as {what}"),
            };
            done(Message::Acknowledged, &alarm, text)
        }
    }
}

pub async fn mute(session: &Session, what: String, seconds: u64) -> Answer {
    let name = what.clone();
    let muted = session.with_stream(move |stream| {
        // Mutes end by the samples' own clock.
        let now = stream
            .time()
            .ok_or("no frame was judged yet; try again in a moment")?;
        let until = now.plus(Duration::from_secs(seconds));
        let muted = stream.mute(target(stream, &name), until);
        muted.map_err(|error| format!("{name}: {error}"))
    });
    match muted.await {
        None => stuck(),
        Some(Err(why)) => Answer::refused(why),
        Some(Ok(())) => {
            let text = format!("{what} is muted for {}", format_span(seconds as f64));
            done(Message::Muted, &what, text)
        }
    }
}

pub async fn unmute(session: &Session, what: String) -> Answer {
    let name = what.clone();
    let ended = session.with_stream(move |stream| {
        let target = target(stream, &name);
        stream.unmute(&target)
    });
    match ended.await {
        None => stuck(),
        Some(false) => Answer::refused(format!("{what} is not muted")),
        Some(true) => done(Message::Muted, &what, format!("{what} is no longer muted")),
    }
}

/// A sensor of that name, else an alarm.
fn target(stream: &Stream, what: &str) -> MuteTarget {
    match stream.pipeline().sensor(what) {
        Some(sensor) => MuteTarget::Sensor(sensor),
        None => MuteTarget::Alarm(what.to_owned()),
    }
}

fn done(message: Message, what: &str, text: String) -> Answer {
    log::info!(
        target: "control",
        MESSAGE_ID = message.id(),
        ANOMALYD_ALARM_ID = what;
        "{text}"
    );
    Answer::done(text)
}

fn stuck() -> Answer {
    Answer::refused("inference does not answer; see journalctl -u anomalyd")
}

/// What is muted now, with the time of the samples' clock.
pub fn muted(stream: &Stream) -> Vec<(String, Timestamp)> {
    let sensors = &stream.pipeline().manifest().sensors;
    let name = |target: &MuteTarget| match target {
        MuteTarget::Sensor(sensor) => sensors[*sensor].name.clone(),
        MuteTarget::Alarm(id) => id.clone(),
    };
    let mutes = stream.mutes();
    mutes.map(|mute| (name(&mute.target), mute.until)).collect()
}
