//! All that the page shows, in bounded memory, and how it is told. Imports `control`, `metrics`,
//! `model` and `histogram`.

use std::collections::VecDeque;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::alarms::{Alarms, Entry, milliseconds};
use super::feed::{News, Point, Snapshot};
use crate::alarm::{AlarmKind, Transition};
use crate::histogram::Histogram;
use crate::metrics::{BOUNDS_US, cumulative};
use crate::model::Manifest;

/// A quarter of an hour, where about one point a second comes.
const MOST_POINTS: usize = 900;
/// What the points may take, whatever the number of sensors.
const MOST_BYTES: usize = 1_000_000;

/// The newest points, all of one model's sensors.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<Point>);

impl Recent {
    pub fn push(&mut self, point: Point) {
        if let Some(last) = self.0.back()
            && (!same_sensors(&last.manifest, &point.manifest) || point.time <= last.time)
        {
            // Other sensors, or a clock that was set back: nothing to be drawn in one line.
            self.0.clear();
        }
        let bytes = 12 * point.values.len() + size_of::<Point>();
        let most = (MOST_BYTES / bytes).clamp(60, MOST_POINTS);
        while self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.0.iter()
    }

    pub fn last(&self) -> Option<&Point> {
        self.0.back()
    }

    /// The place of a sensor's values.
    pub fn sensor(&self, name: &str) -> Option<usize> {
        let sensors = &self.last()?.manifest.sensors;
        sensors.iter().position(|sensor| sensor.name == name)
    }
}

fn same_sensors(one: &Manifest, other: &Manifest) -> bool {
    let names = |manifest: &Manifest| manifest.sensors.len();
    std::ptr::eq(one, other)
        || (names(one) == names(other)
            && one
                .sensors
                .iter()
                .zip(&other.sensors)
                .all(|(one, other)| one.name == other.name))
}

/// One message to the pages.
#[derive(Debug)]
pub struct Message {
    pub event: &'static str,
    pub content: String,
}

/// What the page shows.
#[derive(Debug)]
pub struct Board {
    recent: Recent,
    alarms: Alarms,
    snapshot: Option<Snapshot>,
    raised: [u64; 2],
}

impl Board {
    /// With the alarms that are kept below `state`.
    pub fn new(state: &Path) -> Self {
        Board {
            recent: Recent::default(),
            alarms: Alarms::load(state),
            snapshot: None,
            raised: [0; 2],
        }
    }

    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Anomalies and silences raised since the start.
    pub fn raised(&self) -> [u64; 2] {
        self.raised
    }

    /// Takes what has come; gives what the pages are to be told.
    pub fn take(&mut self, news: News) -> Vec<Message> {
        let mut messages = Vec::new();
        for point in news.points {
            let before = self.recent.last();
            let same = before.is_some_and(|last| std::ptr::eq(&*last.manifest, &*point.manifest));
            self.recent.push(point);
            self.alarms.plot(&self.recent);
            match self.recent.last() {
                Some(point) if same => messages.push(message("point", &Now::of(point))),
                _ => messages.push(self.hello()),
            }
        }
        for event in news.alarms {
            if event.transition == Transition::Raised {
                self.raised[usize::from(event.kind == AlarmKind::Silent)] += 1;
            }
            let entry = self.alarms.take(&event, &self.recent);
            messages.push(message("alarm", entry));
        }
        for (id, verdict) in news.verdicts {
            if let Some(entry) = self.alarms.set_verdict(&id, verdict) {
                messages.push(message("alarm", entry));
            }
        }
        if let Some(snapshot) = news.snapshot {
            messages.push(message("status", &status(&snapshot)));
            self.snapshot = Some(*snapshot);
        }
        messages
    }

    /// Everything, for a page that begins.
    pub fn hello(&self) -> Message {
        message("hello", &Hello::of(self))
    }
}

/// `f32` as they are: put into a JSON value first, each would take twice the digits.
#[derive(Serialize)]
struct Hello<'a> {
    version: &'static str,
    plant: Option<Value>,
    series: Series,
    now: Option<Now<'a>>,
    alarms: &'a [Entry],
    service: Option<Value>,
}

#[derive(Serialize)]
struct Series {
    /// Milliseconds since 1970
    t: Vec<i64>,
    score: Vec<f32>,
    bar: Vec<f32>,
}

#[derive(Serialize)]
struct Now<'a> {
    t: i64,
    score: f32,
    bar: f32,
    values: &'a [f32],
    expected: &'a [f32],
    strength: &'a [f32],
}

impl<'a> Hello<'a> {
    fn of(board: &'a Board) -> Self {
        let points = || board.recent.points();
        let last = board.recent.last();
        Hello {
            version: env!("CARGO_PKG_VERSION"),
            plant: last.map(|point| plant(&point.manifest)),
            series: Series {
                t: points().map(|point| milliseconds(point.time)).collect(),
                score: points().map(|point| point.score).collect(),
                bar: points().map(|point| point.bar).collect(),
            },
            now: last.map(Now::of),
            alarms: board.alarms.all(),
            service: board.snapshot.as_ref().map(status),
        }
    }
}

impl<'a> Now<'a> {
    fn of(point: &'a Point) -> Self {
        Now {
            t: milliseconds(point.time),
            score: point.score,
            bar: point.bar,
            values: &point.values,
            expected: &point.expected,
            strength: &point.strength,
        }
    }
}

fn message(event: &'static str, content: &impl Serialize) -> Message {
    Message {
        event,
        // Nothing in it can fail to be put into JSON; a page that gets nothing asks again.
        content: serde_json::to_string(content).unwrap_or_default(),
    }
}

fn plant(manifest: &Manifest) -> Value {
    let sensors = manifest.sensors.iter();
    let edges = manifest.edges.iter();
    json!({
        "name": manifest.name,
        "model": format!("{} {}", manifest.name, manifest.version),
        "period_seconds": manifest.period_seconds,
        "sensors": sensors
            .map(|sensor| json!({ "name": sensor.name, "unit": sensor.unit }))
            .collect::<Vec<_>>(),
        "edges": edges
            .map(|edge| json!([edge.target, edge.source, (edge.weight * 1e3).round() / 1e3]))
            .collect::<Vec<_>>(),
    })
}

fn status(snapshot: &Snapshot) -> Value {
    json!({
        "status": snapshot.status,
        "latency": latency(&snapshot.latencies.taken_to_score),
    })
}

fn latency(histogram: &Histogram) -> Value {
    let micros = |share| histogram.quantile(share).map(|one| one.as_secs_f64() * 1e6);
    let mut before = 0;
    let counts = cumulative(histogram).map(|within| {
        let count = within - before;
        before = within;
        count
    });
    json!({
        "bounds_us": BOUNDS_US,
        "counts": counts,
        "slower": histogram.count() - before,
        "total": histogram.count(),
        "p50_us": micros(0.5),
        "p99_us": micros(0.99),
        "longest_us": micros(1.0),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::feed::tests::point;
    use super::*;
    use crate::model::manifest::example;

    fn news(points: Vec<Point>) -> News {
        News {
            points: points.into(),
            ..News::default()
        }
    }

    #[test]
    fn a_page_is_told_the_new_and_a_new_model_begins_anew() {
        let state = tempfile::tempdir().unwrap();
        let mut board = Board::new(state.path());
        let manifest = Arc::new(example());
        let events = |messages: Vec<Message>| -> Vec<&str> {
            messages.iter().map(|message| message.event).collect()
        };
        let first = board.take(news(vec![point(&manifest, 1), point(&manifest, 2)]));
        assert_eq!(events(first), ["hello", "point"]);
        let mut other = example();
        other.sensors[0].name = "OTHER".to_owned();
        let other = Arc::new(other);
        assert_eq!(events(board.take(news(vec![point(&other, 3)]))), ["hello"]);
        let hello: Value = serde_json::from_str(&board.hello().content).unwrap();
        assert_eq!(hello["series"]["t"], json!([3_000]));
        assert_eq!(hello["plant"]["sensors"][0]["name"], "OTHER");
        assert_eq!(hello["now"]["values"], json!([3.0, null]));
        assert_eq!(board.recent().sensor("P401"), Some(1));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew_and_memory_is_bounded() {
        let manifest = Arc::new(example());
        let mut recent = Recent::default();
        for second in 0..5_000 {
            recent.push(point(&manifest, second));
        }
        assert_eq!(recent.len(), MOST_POINTS);
        recent.push(point(&manifest, 10));
        assert_eq!(recent.len(), 1);
    }
}
