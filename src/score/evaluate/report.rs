//! All figures of one evaluation under the names that `anomalyd evaluate --json` prints.
//! Imports nothing outside `evaluate`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::alarms::{AlarmSpan, KindRecall, event_metrics};
use super::ranking::auc_pr;
use super::truth::Truth;
use super::vus::{DEFAULT_BUFFER_ROWS, Grid, vus_pr};

/// What a [`Report`] is made from: one recording, replayed.
#[derive(Debug, Clone)]
pub struct Evaluation<'a> {
    /// `[rows]`: the published score; NaN for a row that was not scored.
    pub scores: &'a [f64],
    /// The same number of rows.
    pub truth: &'a Truth,
    pub alarms: &'a [AlarmSpan],
    pub seconds_per_row: f64,
    /// The published score at which an alarm is raised.
    pub threshold: f64,
    /// The budget N that the threshold was set for.
    pub max_false_alarms_per_week: f64,
    /// Throughput of the replay, when it was timed.
    pub windows_per_second: Option<f64>,
    /// Buffers of the VUS-PR run from 0 to this many rows.
    pub vus_buffer_rows: usize,
    pub vus_grid: Grid,
}

impl<'a> Evaluation<'a> {
    /// With the default VUS-PR buffer and grid, not timed.
    pub fn new(
        scores: &'a [f64],
        truth: &'a Truth,
        alarms: &'a [AlarmSpan],
        seconds_per_row: f64,
    ) -> Self {
        Evaluation {
            scores,
            truth,
            alarms,
            seconds_per_row,
            threshold: 1.0,
            max_false_alarms_per_week: 1.0,
            windows_per_second: None,
            vus_buffer_rows: DEFAULT_BUFFER_ROWS,
            vus_grid: Grid::default(),
        }
    }
}

/// Every key is always there; a figure without a meaning for the recording is null.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    pub vus_pr: Option<f64>,
    pub auc_pr: Option<f64>,
    pub event_recall: Option<f64>,
    /// `{"1": 1.0, "2": 0.5}`; null when no event says its kind.
    #[serde(serialize_with = "as_map")]
    pub event_recall_by_type: Vec<KindRecall>,
    pub median_delay_s: Option<f64>,
    pub false_alarms: usize,
    pub false_alarms_per_week: Option<f64>,
    pub hit_rate_at_1: Option<f64>,
    pub hit_rate_at_3: Option<f64>,
    pub hit_rate_at_5: Option<f64>,
    pub windows_per_second: Option<f64>,
    pub rows: usize,
    pub threshold: f64,
    pub time_in_alarm: Option<f64>,

    // Beyond the promised keys: what the figures above are shares of.
    pub time_in_alarm_normal: Option<f64>,
    pub max_false_alarms_per_week: f64,
    pub alarms: usize,
    pub events: usize,
    pub events_found: usize,
    pub events_found_with_targets: usize,
    pub seconds_per_row: f64,
    pub normal_seconds: f64,
    /// Share of anomalous rows: the AUC-PR of a score that knows nothing.
    pub anomalous_share: Option<f64>,
    pub vus_buffer_rows: usize,
}

impl Report {
    /// # Panics
    /// When scores and labels differ in length.
    pub fn new(evaluation: &Evaluation) -> Report {
        let Evaluation {
            scores,
            truth,
            alarms,
            ..
        } = *evaluation;
        let rows = scores.len();
        let metrics = event_metrics(
            alarms,
            &truth.events.events,
            rows,
            evaluation.seconds_per_row,
        );
        let anomalous = truth.labels.iter().filter(|&&label| label).count();
        let [hit_rate_at_1, hit_rate_at_3, hit_rate_at_5] = metrics.hit_rate;
        Report {
            vus_pr: vus_pr(
                scores,
                &truth.labels,
                evaluation.vus_buffer_rows,
                evaluation.vus_grid,
            ),
            auc_pr: auc_pr(scores, &truth.labels),
            event_recall: metrics.recall,
            event_recall_by_type: metrics.by_kind,
            median_delay_s: metrics.median_delay_seconds,
            false_alarms: metrics.false_alarms,
            false_alarms_per_week: metrics.false_alarms_per_week,
            hit_rate_at_1,
            hit_rate_at_3,
            hit_rate_at_5,
            windows_per_second: evaluation.windows_per_second,
            rows,
            threshold: evaluation.threshold,
            time_in_alarm: metrics.time_in_alarm,
            time_in_alarm_normal: metrics.time_in_alarm_normal,
            max_false_alarms_per_week: evaluation.max_false_alarms_per_week,
            alarms: alarms.len(),
            events: metrics.events,
            events_found: metrics.found,
            events_found_with_targets: metrics.found_with_targets,
            seconds_per_row: evaluation.seconds_per_row,
            normal_seconds: metrics.normal_seconds,
            anomalous_share: (rows > 0).then(|| anomalous as f64 / rows as f64),
            vus_buffer_rows: evaluation.vus_buffer_rows,
        }
    }
}

fn as_map<S: Serializer>(kinds: &[KindRecall], serializer: S) -> Result<S::Ok, S::Error> {
    if kinds.is_empty() {
        return None::<()>.serialize(serializer);
    }
    let mut map = serializer.serialize_map(Some(kinds.len()))?;
    for kind in kinds {
        map.serialize_entry(&kind.kind, &kind.recall())?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::evaluate::{Event, Events};
    use serde_json::{Value, json};

    fn truth(rows: usize, kind: Option<&str>) -> Truth {
        let events = Events {
            events: vec![Event {
                start: 4,
                end: 8,
                kind: kind.map(str::to_owned),
                targets: vec!["LIT101".into()],
            }],
            ..Events::default()
        };
        Truth {
            labels: events.labels(rows),
            events,
        }
    }

    fn json_of(truth: &Truth, alarms: &[AlarmSpan]) -> Value {
        let scores: Vec<f64> = truth.labels.iter().map(|&label| f64::from(label)).collect();
        let report = Report::new(&Evaluation::new(&scores, truth, alarms, 60.0));
        serde_json::to_value(&report).unwrap()
    }

    const PROMISED: [&str; 14] = [
        "vus_pr",
        "auc_pr",
        "event_recall",
        "event_recall_by_type",
        "median_delay_s",
        "false_alarms",
        "false_alarms_per_week",
        "hit_rate_at_1",
        "hit_rate_at_3",
        "hit_rate_at_5",
        "windows_per_second",
        "rows",
        "threshold",
        "time_in_alarm",
    ];

    #[test]
    fn every_promised_key_is_there_and_right() {
        let alarm = AlarmSpan {
            raised_row: 5,
            end_row: 10,
            sensors: vec!["FIT101".into(), "LIT101".into()],
        };
        let report = json_of(&truth(20, Some("stuck")), &[alarm]);
        for (key, expected) in PROMISED.into_iter().zip([
            json!(1.0),
            json!(1.0),
            json!(1.0),
            json!({"stuck": 1.0}),
            json!(60.0),
            json!(0),
            json!(0.0),
            json!(0.0),
            json!(1.0),
            json!(1.0),
            Value::Null,
            json!(20),
            json!(1.0),
            json!(0.25),
        ]) {
            assert_eq!(report.get(key), Some(&expected), "{key}");
        }
        assert_eq!(report["time_in_alarm_normal"], json!(2.0 / 16.0));
        assert_eq!(report["anomalous_share"], json!(0.2));
    }

    #[test]
    fn a_figure_without_meaning_is_null() {
        let normal = Truth {
            labels: vec![false; 20],
            events: Events::default(),
        };
        let report = json_of(&normal, &[]);
        for key in PROMISED {
            let counted = ["false_alarms", "false_alarms_per_week", "rows", "threshold"];
            let absent = !counted.contains(&key) && key != "time_in_alarm";
            assert_eq!(report.get(key).unwrap().is_null(), absent, "{key}");
        }
        assert!(json_of(&truth(20, None), &[])["event_recall_by_type"].is_null());
    }
}
