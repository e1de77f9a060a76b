//! What alarms did for events: found, how late, which sensor they named, and how often they cried
//! wolf. Imports nothing outside `evaluate`.
//!
//! No point adjustment: an event counts as found only when an alarm is *raised* inside it. One that
//! was standing already neither finds the event nor is false.

use std::cmp::Ordering;

use super::truth::Event;

const WEEK_SECONDS: f64 = 7.0 * 86_400.0;

/// One alarm from its raising to its clearing, in rows of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmSpan {
    pub raised_row: usize,
    /// One past the last row in alarm; the number of rows for an alarm that still stands at the end.
    pub end_row: usize,
    /// Names of the sensors that the alarm gave as responsible when raised, most responsible first.
    pub sensors: Vec<String>,
}

/// How many events of one kind were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindRecall {
    pub kind: String,
    pub found: usize,
    pub events: usize,
}

impl KindRecall {
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.events as f64
    }
}

/// Alarms against events. A figure that has no meaning for the recording is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMetrics {
    pub events: usize,
    /// Events with at least one alarm raised inside `[start, end)`.
    pub found: usize,
    /// Found over all; `None` without events.
    pub recall: Option<f64>,
    /// In the order of fault numbers, then names; empty when no event says its kind.
    pub by_kind: Vec<KindRecall>,
    /// From an event's start to the first alarm raised inside, median over found events.
    pub median_delay_seconds: Option<f64>,
    /// Alarms whose whole span overlaps no event.
    pub false_alarms: usize,
    /// Over the time outside events; `None` when there is none.
    pub false_alarms_per_week: Option<f64>,
    /// Time outside events.
    pub normal_seconds: f64,
    /// Found events with known targets, the base of `hit_rate`.
    pub found_with_targets: usize,
    /// For k = 1, 3, 5: share of those events of which a target is among the first k sensors of the
    /// first alarm raised inside.
    pub hit_rate: [Option<f64>; 3],
    /// Share of all rows that lie in an alarm; `None` without rows.
    pub time_in_alarm: Option<f64>,
    /// The same of rows outside events.
    pub time_in_alarm_normal: Option<f64>,
}

/// Compares the alarms of a recording of `rows` rows, `seconds_per_row` apart, with its events.
/// Alarms may come in any order and overlap; one lasts a row at least.
pub fn event_metrics(
    alarms: &[AlarmSpan],
    events: &[Event],
    rows: usize,
    seconds_per_row: f64,
) -> EventMetrics {
    let mut in_event = vec![false; rows];
    for event in events {
        in_event[event.start.min(rows)..event.end.min(rows)].fill(true);
    }
    let mut in_alarm = vec![false; rows];
    for alarm in alarms {
        let span = alarm.span();
        in_alarm[span.start.min(rows)..span.end.min(rows)].fill(true);
    }
    let finders: Vec<(&Event, &AlarmSpan)> = events
        .iter()
        .filter_map(|event| Some((event, first_raised_inside(alarms, event)?)))
        .collect();
    let false_alarms = alarms
        .iter()
        .filter(|alarm| {
            let span = alarm.span();
            !events
                .iter()
                .any(|event| event.start < span.end && span.start < event.end)
        })
        .count();
    let normal_rows = in_event.iter().filter(|&&event| !event).count();
    let normal_seconds = normal_rows as f64 * seconds_per_row;
    let normal_in_alarm = in_alarm
        .iter()
        .zip(&in_event)
        .filter(|(alarm, event)| **alarm && !**event)
        .count();
    let mut delays: Vec<usize> = finders
        .iter()
        .map(|(event, alarm)| alarm.raised_row - event.start)
        .collect();
    let with_targets: Vec<_> = finders
        .iter()
        .filter(|(event, _)| !event.targets.is_empty())
        .collect();
    let hit_rate = [1, 3, 5].map(|first| {
        let hits = with_targets
            .iter()
            .filter(|(event, alarm)| {
                let named = alarm.sensors.iter().take(first);
                named
                    .into_iter()
                    .any(|sensor| event.targets.contains(sensor))
            })
            .count();
        share(hits, with_targets.len())
    });
    EventMetrics {
        events: events.len(),
        found: finders.len(),
        recall: share(finders.len(), events.len()),
        by_kind: by_kind(events, &finders),
        median_delay_seconds: median(&mut delays).map(|rows| rows * seconds_per_row),
        false_alarms,
        false_alarms_per_week: (normal_seconds > 0.0)
            .then(|| false_alarms as f64 / (normal_seconds / WEEK_SECONDS)),
        normal_seconds,
        found_with_targets: with_targets.len(),
        hit_rate,
        time_in_alarm: share(in_alarm.iter().filter(|&&alarm| alarm).count(), rows),
        time_in_alarm_normal: share(normal_in_alarm, normal_rows),
    }
}

impl AlarmSpan {
    fn span(&self) -> std::ops::Range<usize> {
        self.raised_row..self.end_row.max(self.raised_row.saturating_add(1))
    }
}

fn first_raised_inside<'a>(alarms: &'a [AlarmSpan], event: &Event) -> Option<&'a AlarmSpan> {
    alarms
        .iter()
        .filter(|alarm| (event.start..event.end).contains(&alarm.raised_row))
        .min_by_key(|alarm| alarm.raised_row)
}

fn by_kind(events: &[Event], finders: &[(&Event, &AlarmSpan)]) -> Vec<KindRecall> {
    let mut kinds: Vec<KindRecall> = Vec::new();
    for event in events {
        let Some(kind) = &event.kind else { continue };
        let found = usize::from(finders.iter().any(|(found, _)| std::ptr::eq(*found, event)));
        match kinds.iter_mut().find(|entry| entry.kind == *kind) {
            Some(entry) => {
                entry.events += 1;
                entry.found += found;
            }
            None => kinds.push(KindRecall {
                kind: kind.clone(),
                found,
                events: 1,
            }),
        }
    }
    kinds.sort_by(|a, b| kind_order(&a.kind, &b.kind));
    kinds
}

/// Fault 2 comes before fault 10; numbers come before names.
fn kind_order(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x.total_cmp(&y),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Of an even number, the mean of the middle two.
fn median(values: &mut [usize]) -> Option<f64> {
    values.sort_unstable();
    let high = *values.get(values.len() / 2)?;
    let low = values[(values.len() - 1) / 2];
    Some((low + high) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(start: usize, end: usize, kind: Option<&str>, targets: &[&str]) -> Event {
        Event {
            start,
            end,
            kind: kind.map(str::to_owned),
            targets: targets.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn alarm(raised_row: usize, end_row: usize, sensors: &[&str]) -> AlarmSpan {
        AlarmSpan {
            raised_row,
            end_row,
            sensors: sensors.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn an_event_is_found_only_by_an_alarm_raised_inside_it() {
        let events = [event(100, 200, None, &[]), event(300, 310, None, &[])];
        let found = |alarms: &[AlarmSpan]| event_metrics(alarms, &events, 1000, 1.0).found;
        assert_eq!(found(&[alarm(100, 101, &[])]), 1, "on its first row");
        assert_eq!(found(&[alarm(199, 250, &[])]), 1, "on its last row");
        assert_eq!(found(&[alarm(200, 250, &[])]), 0, "one row late");
        assert_eq!(found(&[alarm(99, 250, &[])]), 0, "standing since before");
        assert_eq!(
            found(&[alarm(150, 400, &[])]),
            1,
            "the second began under a standing alarm"
        );
        assert_eq!(found(&[alarm(150, 160, &[]), alarm(305, 306, &[])]), 2);
    }

    #[test]
    fn an_alarm_is_false_only_when_all_of_it_lies_outside_events() {
        let events = [event(100, 200, None, &[])];
        let metrics = |alarms: &[AlarmSpan]| event_metrics(alarms, &events, 1000, 604.8);
        assert_eq!(
            metrics(&[alarm(50, 100, &[])]).false_alarms,
            1,
            "ends just before"
        );
        assert_eq!(
            metrics(&[alarm(50, 101, &[])]).false_alarms,
            0,
            "reaches into it"
        );
        assert_eq!(
            metrics(&[alarm(200, 210, &[])]).false_alarms,
            1,
            "starts just after"
        );
        assert_eq!(
            metrics(&[alarm(199, 199, &[])]).false_alarms,
            0,
            "an alarm lasts a row"
        );
        let two = metrics(&[alarm(0, 1, &[]), alarm(500, 590, &[])]);
        // 900 normal rows of a thousandth week each.
        assert!((two.false_alarms_per_week.unwrap() - 2.0 / 0.9).abs() < 1e-9);
        assert!((two.normal_seconds - 900.0 * 604.8).abs() < 1e-6);
    }

    #[test]
    fn the_first_alarm_raised_inside_sets_delay_and_naming() {
        let events = [
            event(100, 200, None, &["b", "z"]),
            event(300, 400, None, &["d"]),
            event(500, 600, None, &["q"]),
            event(700, 800, None, &[]),
            event(900, 950, None, &["a"]),
        ];
        let alarms = [
            alarm(150, 160, &["b"]),
            alarm(110, 120, &["a", "b"]),
            alarm(340, 350, &["a", "b", "c", "d"]),
            alarm(503, 520, &["q"]),
            alarm(720, 730, &["a"]),
        ];
        let metrics = event_metrics(&alarms, &events, 1000, 2.0);
        assert_eq!((metrics.found, metrics.found_with_targets), (4, 3));
        assert_eq!(metrics.recall, Some(0.8));
        // Delays 10, 40, 3 and 20 rows.
        assert_eq!(metrics.median_delay_seconds, Some(30.0));
        assert_eq!(
            metrics.hit_rate,
            [Some(1.0 / 3.0), Some(2.0 / 3.0), Some(1.0)]
        );
    }

    #[test]
    fn kinds_are_counted_apart_and_in_order() {
        let events = [
            event(0, 10, Some("10"), &[]),
            event(20, 30, Some("2"), &[]),
            event(40, 50, Some("drift"), &[]),
            event(60, 70, Some("10"), &[]),
            event(80, 90, None, &[]),
        ];
        let alarms = [alarm(65, 66, &[]), alarm(45, 46, &[]), alarm(85, 86, &[])];
        let kinds = event_metrics(&alarms, &events, 100, 1.0).by_kind;
        let summary: Vec<_> = kinds
            .iter()
            .map(|entry| (entry.kind.as_str(), entry.found, entry.events))
            .collect();
        assert_eq!(summary, [("2", 0, 1), ("10", 1, 2), ("drift", 1, 1)]);
        assert_eq!(kinds[1].recall(), 0.5);
    }

    #[test]
    fn time_in_alarm_counts_each_row_once() {
        let events = [event(0, 50, None, &[])];
        let alarms = [alarm(40, 60, &[]), alarm(45, 70, &[]), alarm(95, 200, &[])];
        let metrics = event_metrics(&alarms, &events, 100, 1.0);
        assert_eq!(metrics.time_in_alarm, Some(0.35));
        assert_eq!(metrics.time_in_alarm_normal, Some(0.5));
    }

    #[test]
    fn what_has_no_meaning_is_absent() {
        let none = event_metrics(&[], &[], 0, 1.0);
        assert_eq!((none.recall, none.median_delay_seconds), (None, None));
        assert_eq!(
            (none.false_alarms_per_week, none.time_in_alarm),
            (None, None)
        );
        assert_eq!(none.hit_rate, [None; 3]);
        let always = event_metrics(&[], &[event(0, 10, None, &["a"])], 10, 1.0);
        assert_eq!(always.false_alarms_per_week, None);
        assert_eq!(always.time_in_alarm_normal, None);
        assert_eq!((always.recall, always.hit_rate[0]), (Some(0.0), None));
    }
}
