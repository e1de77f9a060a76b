//! The service's care for its own health: looks at the machine now and then, journals what crosses a
//! limit, and says when something is to be left out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::view::View;
use crate::clock::{Clock, SystemClock};
use crate::frame::{Timestamp, format_span};
use crate::health::{
    Change, Degrade, DegradeLevel, Ladder, LadderConfig, Level, Limits, LimitsConfig, Machine,
    Probe, Readings,
};
use crate::message::Message;

/// How often to look: seldom enough to cost nothing, often enough for a board that heats up.
pub const EVERY: Duration = Duration::from_secs(5);

/// Less is a time server at work.
const LEAST_STEP_SECONDS: f64 = 5.0;

pub struct Care {
    probe: Probe,
    limits: Limits,
    ladder: Ladder,
    throttled: Arc<AtomicBool>,
    written_before: Option<u64>,
    clocks: Clocks,
}

impl Care {
    pub fn new(mut probe: Probe, state_directory: &Path) -> Self {
        probe.set_state_directory(state_directory);
        let readings = probe.sample(Instant::now());
        if readings.memory_controller == Some(false) {
            log::warn!(
                target: "health",
                MESSAGE_ID = Message::MemoryUncapped.id();
                "the kernel has no memory controller, so MemoryMax= does nothing: add \
                 cgroup_enable=memory to cmdline.txt on the boot partition and reboot"
            );
        }
        let throttled = is_throttled(readings);
        Care {
            limits: Limits::new(&LimitsConfig::default()),
            ladder: Ladder::new(LadderConfig::default()),
            throttled: Arc::new(AtomicBool::new(throttled)),
            written_before: readings.written_bytes,
            clocks: Clocks::now(),
            probe,
        }
    }

    /// Whether the machine is slowed down by heat or power now; kept up to date.
    pub fn throttled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.throttled)
    }

    /// Another state directory is in force.
    pub fn set_state_directory(&mut self, folder: &Path) {
        self.probe.set_state_directory(folder);
    }

    /// Looks at the machine and journals what crossed a limit. Gives the step of the ladder that is
    /// to be taken, if any.
    pub fn look(&mut self, view: Option<&View>) -> Option<Degrade> {
        self.tell_of_clock();
        let now = Instant::now();
        let readings = self.probe.sample(now).clone();
        self.throttled
            .store(is_throttled(&readings), Ordering::Relaxed);
        let latency = view.and_then(|view| view.pace.latency_p99);
        for event in self.limits.step(now, &readings, latency) {
            let level = match (event.change, event.level) {
                (Change::Raised, Level::Critical) => log::Level::Error,
                (Change::Raised, Level::Warning) => log::Level::Warn,
                (Change::Cleared, _) => log::Level::Info,
            };
            log::log!(
                target: "health",
                level,
                MESSAGE_ID = event.message().id(),
                ANOMALYD_THROTTLED = u8::from(is_throttled(&readings));
                "{}", event.text
            );
        }
        let before = self.ladder.current().level;
        let step = self.ladder.step(now, &readings)?;
        let message = match step.level > before {
            true => Message::Degraded,
            false => Message::Recovered,
        };
        log::warn!(
            target: "health",
            MESSAGE_ID = message.id(),
            ANOMALYD_LEVEL = step.level.number();
            "{}: {} ({})",
            match message {
                Message::Degraded => "degraded",
                _ => "recovering",
            },
            step.level.text(),
            step.reason
        );
        Some(step)
    }

    fn tell_of_clock(&mut self) {
        let clocks = Clocks::now();
        let step = self.clocks.step_seconds(&clocks);
        self.clocks = clocks;
        if step.abs() >= LEAST_STEP_SECONDS {
            let direction = if step > 0.0 { "forward" } else { "back" };
            log::warn!(
                target: "health",
                MESSAGE_ID = Message::ClockStepped.id();
                "the clock of this machine was set {direction} by {}; watching goes on",
                format_span(step.abs())
            );
        }
    }

    /// What all processes of the service may use together, in bytes.
    pub fn memory_limit(&self) -> Option<u64> {
        let readings = self.probe.last();
        let limits = [
            readings.cgroup_memory_high_bytes,
            readings.cgroup_memory_max_bytes,
        ];
        limits.into_iter().flatten().min()
    }

    /// The step of the ladder in force.
    pub fn level(&self) -> DegradeLevel {
        self.ladder.current().level
    }

    /// What is left out now, and why; none when nothing is.
    pub fn degraded(&self) -> Option<String> {
        let now = self.ladder.current();
        (now.level != DegradeLevel::Normal)
            .then(|| format!("{} ({})", now.level.text(), now.reason))
    }

    pub fn machine(&self) -> &Machine {
        self.probe.machine()
    }

    /// The readings of the last look, as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self.probe.last()).ok()
    }

    /// The readings in one line: `61 C, not throttled, memory 11 of 96 MB, CPU 0.4 %`.
    pub fn text(&self) -> String {
        let readings = self.probe.last();
        let mut parts = Vec::new();
        if let Some(celsius) = readings.soc_temperature_celsius {
            parts.push(format!("{celsius:.0} C"));
        }
        if readings.throttle.is_some() {
            let text = match is_throttled(readings) {
                true => "THROTTLED",
                false => "not throttled",
            };
            parts.push(text.to_owned());
        }
        if let Some(rss) = readings.rss_bytes {
            parts.push(match readings.cgroup_memory_max_bytes {
                Some(most) => format!("memory {} of {} MB", megabytes(rss), megabytes(most)),
                None => format!("memory {} MB, no limit", megabytes(rss)),
            });
        }
        if let Some(percent) = readings.cpu_percent {
            parts.push(format!("CPU {percent:.1} %"));
        }
        if let (Some(written), Some(before)) = (readings.written_bytes, self.written_before) {
            let bytes = written.saturating_sub(before) as f64;
            parts.push(format!("written {:.1} MB since the start", bytes / 1e6));
        }
        parts.join(", ")
    }
}

/// The time of day, and a clock that nobody sets, at one moment.
struct Clocks {
    wall: Timestamp,
    steady: Instant,
}

impl Clocks {
    fn now() -> Self {
        Clocks {
            wall: SystemClock.now(),
            steady: Instant::now(),
        }
    }

    /// By how much the time of day moved on more than time did.
    fn step_seconds(&self, later: &Clocks) -> f64 {
        let passed = later.steady.duration_since(self.steady).as_secs_f64();
        later.wall.seconds_since(self.wall) - passed
    }
}

fn is_throttled(readings: &Readings) -> bool {
    readings
        .throttle
        .as_ref()
        .and_then(crate::health::Throttle::slowed)
        == Some(true)
}

fn megabytes(bytes: u64) -> u64 {
    (bytes + 500_000) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_shows_in_either_direction() {
        let now = Clocks::now();
        let at = |wall: i64, seconds: u64| Clocks {
            wall: now.wall.add_nanos(wall * 1_000_000_000),
            steady: now.steady + Duration::from_secs(seconds),
        };
        assert!(now.step_seconds(&at(5, 5)).abs() < 1e-3);
        let year = 365 * 86_400;
        assert!((now.step_seconds(&at(year, 5)) - (year as f64 - 5.0)).abs() < 1.0);
        assert!((now.step_seconds(&at(-year, 5)) + year as f64 + 5.0).abs() < 1.0);
    }
}
