//! Stage 6: from scores to alarms that people can act on.
//!
//! One fault is one alarm with a stable id: raised, perhaps updated, cleared (ISA-18.2's terms).
//! Imports `frame`, `window`, `model` and `score`. Pure: time comes with the samples.

pub mod attribution;
mod charge;
pub mod flood;
mod id;
pub mod machine;
pub mod mute;
mod record;
pub mod silent;

pub use machine::{AlarmConfig, AlarmMachine, Confirmed, UnknownAlarm, Verdict};
pub use mute::{Mute, MuteTarget};
pub use record::AlarmRecord;
pub use silent::SilentWatch;

use crate::frame::{Timestamp, format_span};

/// What an alarm says about one responsible sensor.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SensorEvidence {
    pub sensor: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// In the sensor's own unit; absent for a silent sensor.
    pub seen: Option<f64>,
    pub expected: Option<f64>,
    /// The sensors that set the expectation, strongest first (at most three).
    pub from: Vec<String>,
    /// The head that spoke loudest: `reconstruction`, `neighbour` or `raw`; `silent` otherwise.
    pub head: &'static str,
    /// How unusual: the sensor's u, in multiples of its normal spread.
    pub strength: f64,
}

/// [`SensorEvidence`] as it is read back from where it was kept.
#[derive(serde::Deserialize)]
struct StoredEvidence {
    sensor: String,
    #[serde(default)]
    unit: String,
    seen: Option<f64>,
    expected: Option<f64>,
    from: Vec<String>,
    head: String,
    strength: f64,
}

impl<'de> serde::Deserialize<'de> for SensorEvidence {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredEvidence::deserialize(deserializer)?;
        let known = ["reconstruction", "neighbour", "raw", "silent"];
        Ok(SensorEvidence {
            sensor: stored.sensor,
            unit: stored.unit,
            seen: stored.seen,
            expected: stored.expected,
            from: stored.from,
            head: known
                .into_iter()
                .find(|head| *head == stored.head)
                .unwrap_or("unknown"),
            strength: stored.strength,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmKind {
    /// The score crossed the threshold.
    Anomaly,
    /// Sensors stopped reporting.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    Raised,
    /// The alarm stands and repeats its notice (or, when silent, names further sensors).
    Updated,
    Cleared,
}

/// One line of the alarm stream, the same for every output.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AlarmEvent {
    /// Stable over raised, updated and cleared: a letter and at least three more characters.
    pub id: String,
    pub kind: AlarmKind,
    pub transition: Transition,
    pub time: Timestamp,
    pub raised_at: Timestamp,
    /// Relative to the threshold in force: 1.0 raises. 0 for a silent sensor.
    pub score: f64,
    pub peak_score: f64,
    /// Flood control's gain that the score is relative to: 1.0 is the model's own threshold for the
    /// promised false alarms, 3.0 says that recent notices raised the bar threefold. 1.0 for a
    /// silent sensor.
    pub threshold: f64,
    /// Up to five, most responsible first, as they were when the notice was given.
    pub sensors: Vec<SensorEvidence>,
    /// Name and version of the model that judged.
    pub model: String,
    /// What of the service was degraded when the alarm was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// What a person has said of the alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl AlarmEvent {
    /// The event as people read it (journal, replay, the text of other outputs), naming at most
    /// `most` sensors; lines are separated by `\n`, without one at the end.
    pub fn text(&self, most: usize) -> String {
        let id = &self.id;
        let span = format_span(self.time.seconds_since(self.raised_at));
        let clock = self.time.clock_text();
        let mut text = match (self.kind, self.transition) {
            (AlarmKind::Anomaly, Transition::Raised) => {
                format!(
                    "alarm {id} raised: score {:.1} (1.0 raises), {clock}",
                    self.score
                )
            }
            (AlarmKind::Anomaly, Transition::Updated) => format!(
                "alarm {id} stands for {span}{}: score {:.1}, peak {:.1}, {clock}",
                self.verdict_text(),
                self.score,
                self.peak_score
            ),
            (AlarmKind::Anomaly, Transition::Cleared) => {
                return format!(
                    "alarm {id} cleared after {span}, peak score {:.1}",
                    self.peak_score
                );
            }
            (AlarmKind::Silent, Transition::Cleared) => {
                return format!("alarm {id} cleared after {span}: all sensors report again");
            }
            (AlarmKind::Silent, Transition::Raised) => {
                format!("alarm {id} raised: {}, {clock}", self.silent_count())
            }
            (AlarmKind::Silent, Transition::Updated) => {
                format!(
                    "alarm {id} stands for {span}{}: {} by now, {clock}",
                    self.verdict_text(),
                    self.silent_count()
                )
            }
        };
        let width = self
            .sensors
            .iter()
            .take(most)
            .map(|e| e.sensor.len())
            .max()
            .unwrap_or(0);
        for evidence in self.sensors.iter().take(most) {
            text.push_str(&format!(
                "\n  {:<width$}  {}",
                evidence.sensor,
                evidence.text()
            ));
        }
        if self.kind == AlarmKind::Silent && self.sensors.len() > most {
            text.push_str(&format!("\n  and {} more", self.sensors.len() - most));
        }
        if let Some(degraded) = &self.degraded {
            text.push_str(&format!("\n  degraded when raised: {degraded}"));
        }
        text
    }

    fn verdict_text(&self) -> &'static str {
        match self.verdict {
            Some(Verdict::Real) => " (confirmed as real)",
            Some(Verdict::Normal) => " (said to be normal)",
            None => "",
        }
    }

    fn silent_count(&self) -> String {
        match self.sensors.len() {
            1 => "no values from 1 sensor".to_owned(),
            count => format!("no values from {count} sensors"),
        }
    }
}

impl SensorEvidence {
    /// What was seen and expected, in the sensor's unit, and from whom: `seen 0.62 m3/h, expected
    /// 1.71 from P401, P402`.
    pub fn text(&self) -> String {
        let (Some(seen), Some(expected)) = (self.seen, self.expected) else {
            return match self.seen {
                Some(last) => format!("silent, last value {}", with_unit(last, 0.0, &self.unit)),
                None => "silent, never reported".to_owned(),
            };
        };
        let step = seen - expected;
        let mut text = format!("seen {}, expected ", with_unit(seen, step, &self.unit));
        text.push_str(&with_unit(expected, step, ""));
        if !self.from.is_empty() {
            text.push_str(&format!(" from {}", self.from.join(", ")));
        }
        text
    }
}

/// A value with enough decimals to show a difference of size `step`.
fn with_unit(value: f64, step: f64, unit: &str) -> String {
    let size = if step.abs() > 0.0 {
        step.abs()
    } else {
        value.abs().max(1e-9)
    };
    // One digit beyond the difference that matters, at most three significant ones.
    let decimals = (1.0 - size.log10().floor()).clamp(0.0, 6.0) as usize;
    // A broken transmitter's 1e308 would fill the screen.
    let number = match value.abs() < 1e12 {
        true => format!("{value:.decimals$}"),
        false => format!("{value:.3e}"),
    };
    let number = match number.contains('.') && !number.contains('e') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number.as_str(),
    };
    let number = if number == "-0" { "0" } else { number };
    if unit.is_empty() {
        number.to_owned()
    } else {
        format!("{number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(transition: Transition) -> AlarmEvent {
        AlarmEvent {
            id: "a7k2".to_owned(),
            kind: AlarmKind::Anomaly,
            transition,
            time: Timestamp(1_764_079_787_000_000_000),
            raised_at: Timestamp(1_764_079_387_000_000_000),
            score: 3.42,
            peak_score: 9.07,
            threshold: 1.0,
            sensors: vec![
                SensorEvidence {
                    sensor: "FIT401".to_owned(),
                    unit: "m3/h".to_owned(),
                    seen: Some(0.6212),
                    expected: Some(1.7099),
                    from: vec!["P401".to_owned(), "P402".to_owned()],
                    head: "neighbour",
                    strength: 12.0,
                },
                SensorEvidence {
                    sensor: "UV401".to_owned(),
                    unit: String::new(),
                    seen: Some(1.0),
                    expected: Some(2.0),
                    from: vec![],
                    head: "raw",
                    strength: 5.0,
                },
            ],
            model: "plant 1".to_owned(),
            degraded: None,
            verdict: None,
        }
    }

    #[test]
    fn what_is_not_usual_is_said() {
        let mut event = event(Transition::Updated);
        event.degraded = Some("every second sample scored".to_owned());
        event.verdict = Some(Verdict::Real);
        let text = event.text(0);
        assert_eq!(
            text,
            "alarm a7k2 stands for 6 min 40 s (confirmed as real): score 3.4, peak 9.1, 14:09:47 \
             UTC\n  degraded when raised: every second sample scored"
        );
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["verdict"], "real");
        let evidence: Vec<SensorEvidence> =
            serde_json::from_value(json["sensors"].clone()).unwrap();
        assert_eq!(evidence, event.sensors);
    }

    #[test]
    fn a_raised_alarm_reads_well() {
        assert_eq!(
            event(Transition::Raised).text(3),
            "alarm a7k2 raised: score 3.4 (1.0 raises), 14:09:47 UTC\n  \
             FIT401  seen 0.6 m3/h, expected 1.7 from P401, P402\n  \
             UV401   seen 1, expected 2"
        );
    }

    #[test]
    fn a_cleared_alarm_says_how_long_and_how_bad() {
        assert_eq!(
            event(Transition::Cleared).text(3),
            "alarm a7k2 cleared after 6 min 40 s, peak score 9.1"
        );
    }

    #[test]
    fn numbers_show_the_difference_that_matters() {
        assert_eq!(with_unit(812.345, 22.0, "mm"), "812 mm");
        assert_eq!(with_unit(7.0312, 0.042, ""), "7.031");
        assert_eq!(with_unit(-0.0001, 5.0, ""), "0");
        assert_eq!(with_unit(1e9, 1e6, ""), "1000000000");
        assert_eq!(with_unit(-1e308, 1e308, "mm"), "-1.000e308 mm");
    }
}
