//! What an output's readers have been told of alarms, kept with the queue: after a crash it is held
//! against what the service knows, and what is missing is told. Imports `alarm`.

use serde::{Deserialize, Serialize};

use crate::alarm::{AlarmEvent, AlarmKind, AlarmRecord, Transition};
use crate::frame::Timestamp;

/// An alarm that was told as raised and not as cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldAlarm {
    pub id: String,
    pub kind: AlarmKind,
    pub raised_at: Timestamp,
    pub score: f64,
    pub threshold: f64,
    pub model: String,
}

/// Everything that is put into the queue with each alarm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    open: Vec<ToldAlarm>,
    /// Id and time of the last alarms that were told as raised, oldest first.
    raised: Vec<(String, Timestamp)>,
    /// Whether it was noted which alarms there were before anything was told,
    begun: bool,
    /// and the last of these, if there were any: they are no news.
    before: Option<(String, Timestamp)>,
}

/// So many are remembered: an anomaly and a silence may interleave, never more.
const REMEMBERED: usize = 8;

impl Told {
    /// From the queue's note; a damaged or empty one is as none.
    pub fn read(note: &[u8]) -> Option<Told> {
        serde_json::from_slice(note).ok()
    }

    pub fn note(&self) -> Vec<u8> {
        // Plain data: there is nothing in it that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Notes what was there before anything is told; true the first time. From then on every alarm is
    /// news, the first one too.
    pub fn begin(&mut self, known: &[AlarmRecord]) -> bool {
        if self.begun {
            return false;
        }
        self.begun = true;
        self.before = known
            .last()
            .map(|alarm| (alarm.id.clone(), alarm.raised_at));
        true
    }

    pub fn open(&self) -> &[ToldAlarm] {
        &self.open
    }

    /// Whether the alarm was told as cleared not long ago.
    pub fn was_cleared(&self, id: &str, raised_at: Timestamp) -> bool {
        self.was_raised(id, raised_at) && !self.is_open(id, raised_at)
    }

    fn was_raised(&self, id: &str, raised_at: Timestamp) -> bool {
        let same = |(told, at): &(String, Timestamp)| told == id && *at == raised_at;
        self.raised.iter().any(same)
    }

    fn is_open(&self, id: &str, raised_at: Timestamp) -> bool {
        let same = |told: &ToldAlarm| told.id == id && told.raised_at == raised_at;
        self.open.iter().any(same)
    }

    /// Whether the event is news; it is noted then.
    pub fn take(&mut self, event: &AlarmEvent) -> bool {
        let (id, raised_at) = (event.id.as_str(), event.raised_at);
        match event.transition {
            Transition::Raised if self.was_raised(id, raised_at) => return false,
            Transition::Cleared if !self.is_open(id, raised_at) => {
                // One that was told as cleared already; of an older one nobody remembers.
                return !self.was_raised(id, raised_at);
            }
            Transition::Updated => return true,
            Transition::Raised => {
                self.open.push(ToldAlarm {
                    id: id.to_owned(),
                    kind: event.kind,
                    raised_at,
                    score: event.score,
                    threshold: event.threshold,
                    model: event.model.clone(),
                });
                self.raised.push((id.to_owned(), raised_at));
                if self.raised.len() > REMEMBERED {
                    self.raised.remove(0);
                }
            }
            Transition::Cleared => {
                self.open
                    .retain(|told| !(told.id == id && told.raised_at == raised_at));
            }
        }
        true
    }

    /// What has to be told so that everybody knows what the service knows: `known` are its last
    /// alarms in the order in which they were raised, `open` the ids of those that stand.
    pub fn missing(
        &self,
        known: &[AlarmRecord],
        open: &[String],
        now: Timestamp,
    ) -> Vec<AlarmEvent> {
        let mut missing = Vec::new();
        // First what was told before: it ends before the next one begins.
        for told in &self.open {
            let same = |alarm: &&AlarmRecord| alarm.is_same(&told.id, told.raised_at);
            let alarm = known.iter().find(same);
            let cleared_at = alarm.and_then(|alarm| alarm.cleared_at);
            if cleared_at.is_none() && open.contains(&told.id) {
                continue;
            }
            let time = cleared_at.unwrap_or(now).max(told.raised_at);
            missing.push(match alarm {
                Some(alarm) => alarm.event(Transition::Cleared, time),
                None => told.known().event(Transition::Cleared, time),
            });
        }
        let last_told = known.iter().rposition(|alarm| {
            let is_before = |(id, at): &(String, Timestamp)| alarm.is_same(id, *at);
            self.was_raised(&alarm.id, alarm.raised_at)
                || self.before.as_ref().is_some_and(is_before)
        });
        let nothing_before = self.begun && self.before.is_none() && self.raised.is_empty();
        for (place, alarm) in known.iter().enumerate() {
            let stands = alarm.cleared_at.is_none() && open.contains(&alarm.id);
            let is_later = match last_told {
                Some(last) => place > last,
                // Where it is not known what was told, old alarms are no news.
                None => nothing_before,
            };
            let was_told = self.was_raised(&alarm.id, alarm.raised_at)
                || self.is_open(&alarm.id, alarm.raised_at);
            if (is_later || stands) && !was_told {
                missing.push(alarm.event(Transition::Raised, alarm.raised_at));
                if !stands {
                    let time = alarm.cleared_at.unwrap_or(now);
                    missing.push(alarm.event(Transition::Cleared, time));
                }
            }
        }
        missing
    }
}

impl ToldAlarm {
    /// As much as is known of it for who was not told.
    pub fn known(&self) -> AlarmRecord {
        AlarmRecord {
            id: self.id.clone(),
            kind: self.kind,
            raised_at: self.raised_at,
            cleared_at: None,
            score: self.score,
            peak_score: self.score,
            threshold: self.threshold,
            sensors: Vec::new(),
            model: self.model.clone(),
            verdict: None,
            degraded: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, raised: i64, cleared: Option<i64>) -> AlarmRecord {
        AlarmRecord {
            id: id.to_owned(),
            kind: AlarmKind::Anomaly,
            raised_at: Timestamp::from_seconds(raised),
            cleared_at: cleared.map(Timestamp::from_seconds),
            score: 2.0,
            peak_score: 3.0,
            threshold: 1.0,
            sensors: vec![],
            model: "m 1".to_owned(),
            verdict: None,
            degraded: None,
        }
    }

    fn told(events: &[AlarmEvent]) -> Told {
        let mut told = Told::default();
        for event in events {
            assert!(told.take(event));
        }
        Told::read(&told.note()).unwrap()
    }

    fn said(events: &[AlarmEvent]) -> Vec<(&str, Transition, f64)> {
        let one = |e: &'_ AlarmEvent| (e.transition, e.time.seconds());
        events
            .iter()
            .map(|e| (e.id.as_str(), one(e).0, one(e).1))
            .collect()
    }

    const NOW: Timestamp = Timestamp(99_000_000_000);

    #[test]
    fn after_a_crash_what_was_not_told_is_told_in_order() {
        let raised = |alarm: &AlarmRecord| alarm.event(Transition::Raised, alarm.raised_at);
        let (a, b, c) = (
            known("a", 1, Some(2)),
            known("b", 3, Some(4)),
            known("c", 5, None),
        );
        let told = told(&[raised(&a)]);
        let missing = told.missing(&[a, b, c], &["c".to_owned()], NOW);
        assert_eq!(
            said(&missing),
            [
                ("a", Transition::Cleared, 2.0),
                ("b", Transition::Raised, 3.0),
                ("b", Transition::Cleared, 4.0),
                ("c", Transition::Raised, 5.0),
            ]
        );
    }

    #[test]
    fn an_alarm_that_nobody_knows_any_more_is_told_as_cleared() {
        let a = known("a", 1, None);
        let told = told(&[a.event(Transition::Raised, a.raised_at)]);
        let missing = told.missing(&[], &[], NOW);
        assert_eq!(said(&missing), [("a", Transition::Cleared, 99.0)]);
        // One that stands stays.
        assert!(told.missing(&[a], &["a".to_owned()], NOW).is_empty());
    }

    #[test]
    fn a_new_broker_is_told_what_stands_and_no_old_story() {
        let alarms = [known("a", 1, Some(2)), known("b", 3, None)];
        let missing = Told::default().missing(&alarms, &["b".to_owned()], NOW);
        assert_eq!(said(&missing), [("b", Transition::Raised, 3.0)]);
    }

    #[test]
    fn the_first_alarm_is_news_though_nothing_was_told_before_the_crash() {
        let (old, first) = (known("a", 1, Some(2)), known("b", 3, Some(4)));
        for before in [vec![], vec![old]] {
            let mut told = Told::default();
            assert!(told.begin(&before) && !told.begin(&before));
            let told = Told::read(&told.note()).unwrap();
            let alarms = [before, vec![first.clone()]].concat();
            let missing = told.missing(&alarms, &[], NOW);
            assert_eq!(
                said(&missing),
                [
                    ("b", Transition::Raised, 3.0),
                    ("b", Transition::Cleared, 4.0)
                ]
            );
        }
    }

    #[test]
    fn what_was_told_is_no_news() {
        let a = known("a", 1, None);
        let (raised, cleared) = (
            a.event(Transition::Raised, a.raised_at),
            a.event(Transition::Cleared, NOW),
        );
        let mut told = told(&[raised.clone(), cleared.clone()]);
        assert!(!told.take(&raised) && !told.take(&cleared));
        assert!(told.was_cleared("a", a.raised_at) && !told.was_cleared("b", a.raised_at));
        assert!(told.open().is_empty());
        assert!(told.note().len() < 200);
    }
}
