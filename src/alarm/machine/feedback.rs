//! What people say of alarms, and what that changes.
//!
//! `Real` takes an alarm's notices back out of flood control, which is there for false ones;
//! `Normal` leaves them charged and lets the scorer learn what the alarm shows
//! (docs/decisions/0014-feedback.md).

use serde::{Deserialize, Serialize};

use super::{AlarmMachine, RECENT_ALARMS};
use crate::frame::Timestamp;

/// What a person says that an alarm was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Something was wrong.
    Real,
    /// Nothing was: this was normal.
    Normal,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Real => "real",
            Verdict::Normal => "normal",
        }
    }
}

/// An alarm that may still be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentAlarm {
    pub id: String,
    pub raised_at: Timestamp,
    pub verdict: Option<Verdict>,
}

/// What a verdict did.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmed {
    pub verdict: Verdict,
    /// The verdict before this one.
    pub before: Option<Verdict>,
    /// By how much flood control's level fell.
    pub returned: f64,
    /// The alarm stands.
    pub is_on: bool,
}

/// There was no such alarm, or too many since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no alarm {id} among the latest; {}", latest(.recent))]
pub struct UnknownAlarm {
    pub id: String,
    /// Ids that can be judged, newest first.
    pub recent: Vec<String>,
}

fn latest(recent: &[String]) -> String {
    const NAMED: usize = 5;
    match recent {
        [] => "none was raised yet".to_owned(),
        recent => format!("they are {}", recent[..recent.len().min(NAMED)].join(", ")),
    }
}

impl AlarmMachine {
    /// Records what a person says of the alarm `id`: saying it again changes nothing, saying
    /// something else undoes what the first verdict did.
    ///
    /// # Errors
    /// No alarm of that id is among the latest.
    pub fn confirm(&mut self, id: &str, verdict: Verdict) -> Result<Confirmed, UnknownAlarm> {
        let Some(alarm) = self.recent.iter_mut().find(|alarm| alarm.id == id) else {
            let newest_first = self.recent.iter().rev();
            return Err(UnknownAlarm {
                id: id.to_owned(),
                recent: newest_first.map(|alarm| alarm.id.clone()).collect(),
            });
        };
        let before = alarm.verdict.replace(verdict);
        let returned = match (before, verdict) {
            (Some(Verdict::Real), Verdict::Normal) => {
                self.flood.put_back(id);
                0.0
            }
            (_, Verdict::Real) => self.flood.take_back(id),
            (_, Verdict::Normal) => 0.0,
        };
        let open = self.open.as_mut().filter(|open| open.id == id);
        let is_on = open.is_some();
        if let Some(open) = open {
            open.verdict = Some(verdict);
        }
        Ok(Confirmed {
            verdict,
            before,
            returned,
            is_on,
        })
    }

    /// Alarms that may still be judged, oldest first.
    pub fn recent(&self) -> &[RecentAlarm] {
        &self.recent
    }

    pub(super) fn remember(&mut self, id: &str, raised_at: Timestamp) {
        if self.recent.len() >= RECENT_ALARMS {
            let oldest = self.recent.remove(0);
            self.flood.forget(&oldest.id);
        }
        self.recent.push(RecentAlarm {
            id: id.to_owned(),
            raised_at,
            verdict: None,
        });
    }
}
