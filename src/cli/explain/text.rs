//! An alarm in words.

use crate::alarm::{AlarmKind, AlarmRecord, SensorEvidence, Verdict};
use crate::frame::format_span;

/// Characters a line at most, names that are longer apart.
const WIDTH: usize = 80;
const INDENT: usize = 11;

pub fn explanation(record: &AlarmRecord) -> String {
    let mut lines = vec![format!("alarm {}: {}", record.id, what(record))];
    let mut entry = |key: &str, text: &str| {
        lines.extend(wrapped(&format!("  {key:<9}"), text));
    };
    entry("when", &when(record));
    if record.kind == AlarmKind::Anomaly {
        entry("score", &score(record));
    }
    entry("model", &record.model);
    entry("verdict", verdict(record.verdict));
    if let Some(degraded) = &record.degraded {
        entry("degraded", &format!("when it was raised: {degraded}"));
    }
    for evidence in &record.sensors {
        lines.push(String::new());
        lines.extend(sensor(evidence));
    }
    lines.push(String::new());
    lines.push("what to do".to_owned());
    let steps = next_steps(record);
    for (command, why) in &steps {
        lines.push(format!("  {command}"));
        lines.extend(wrapped("      ", why));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn what(record: &AlarmRecord) -> String {
    match (record.kind, record.sensors.len()) {
        (AlarmKind::Anomaly, 0) => "the readings were not as the model expects them".to_owned(),
        (AlarmKind::Anomaly, 1) => "a reading was not as the model expects it".to_owned(),
        (AlarmKind::Anomaly, count) => {
            format!("{count} readings were not as the model expects them")
        }
        (AlarmKind::Silent, 1) => "a sensor stopped reporting".to_owned(),
        (AlarmKind::Silent, count) => format!("{count} sensors stopped reporting"),
    }
}

fn when(record: &AlarmRecord) -> String {
    let raised = record.raised_at.date_clock_text();
    match record.cleared_at {
        None => format!("raised {raised}, stands"),
        Some(cleared) => format!(
            "raised {raised}, cleared after {}",
            format_span(cleared.seconds_since(record.raised_at))
        ),
    }
}

fn score(record: &AlarmRecord) -> String {
    let (score, peak) = (record.score, record.peak_score);
    let mut text = format!("{score:.1} when raised, {peak:.1} at its peak (1.0 raises)");
    if record.threshold > 1.05 {
        text.push_str(&format!(
            "; recent alarms that nobody confirmed had raised the bar {:.1}-fold",
            record.threshold
        ));
    }
    text
}

fn verdict(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "nobody has said yet what it was",
        Some(Verdict::Real) => "confirmed as real: not counted as a false alarm",
        Some(Verdict::Normal) => "said to be normal: counted as a false alarm",
    }
}

fn sensor(evidence: &SensorEvidence) -> Vec<String> {
    let mut lines = wrapped("", &format!("{}  {}", evidence.sensor, evidence.text()));
    if let Some(why) = why(evidence) {
        let off = format!("{:.1} times what is usual, ", evidence.strength);
        lines.extend(wrapped("  ", &(off + &why)));
    }
    lines
}

/// Whose expectation it was.
fn why(evidence: &SensorEvidence) -> Option<String> {
    let text = match evidence.head {
        "neighbour" if evidence.from.is_empty() => "by what the other sensors read".to_owned(),
        "neighbour" => format!(
            "by what its neighbours in the sensor graph read: {} said most of it",
            listed(&evidence.from)
        ),
        "reconstruction" => {
            "by what the last frames of all sensors lead to (LSTM autoencoder)".to_owned()
        }
        "raw" => "by its own mean in training".to_owned(),
        _ => return None,
    };
    Some(text)
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Commands, and what each is for.
pub fn next_steps(record: &AlarmRecord) -> Vec<(String, &'static str)> {
    let id = &record.id;
    let mut steps = Vec::new();
    if record.verdict != Some(Verdict::Real) {
        steps.push((
            format!("anomalyd ack {id} --real"),
            "something was wrong: it is taken out of the count of false alarms, and the next one \
             need not pass a higher bar",
        ));
    }
    if record.verdict != Some(Verdict::Normal) {
        steps.push((
            format!("anomalyd ack {id} --normal"),
            "nothing was wrong: it stays counted; while it stands its readings are slowly learnt",
        ));
    }
    if record.cleared_at.is_none() {
        steps.push((
            format!("anomalyd mute {id} --for 2h"),
            "you know of it: no further notices of this alarm for a time",
        ));
    }
    if let Some(first) = record.sensors.first() {
        steps.push((
            format!("anomalyd mute {} --for 2h", quoted(&first.sensor)),
            "someone works on this sensor: it raises and explains nothing for a time",
        ));
    }
    steps
}

/// As a shell takes it for one word.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    match !name.starts_with('-') && !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

/// `text` behind `key`, in as many lines as it needs; further ones are indented as far.
fn wrapped(key: &str, text: &str) -> Vec<String> {
    let indent = match key.trim().is_empty() {
        true => key.len().max(2),
        false => INDENT,
    };
    let mut lines = Vec::new();
    let mut line = key.to_owned();
    let mut is_fresh = true;
    for word in text.split(' ') {
        let length = line.chars().count() + word.chars().count();
        if !is_fresh && length + 1 > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped_and_long_names_are_not_cut() {
        let text = "word ".repeat(40);
        let lines = wrapped("  when     ", text.trim());
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[1].starts_with("           word"));
        let name = "n".repeat(200);
        assert_eq!(wrapped("", &name), std::slice::from_ref(&name));
    }

    #[test]
    fn a_shell_gets_a_name_as_one_word() {
        assert_eq!(quoted("LIT101"), "LIT101");
        assert_eq!(quoted("tank 1's level"), "'tank 1'\\''s level'");
    }
}
