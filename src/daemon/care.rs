//! The service's care for its own health: looks at the machine now and then, journals what crosses a
//! limit, and says when something is to be left out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::view::View;
use crate::clock::{Clock, SystemClock};
use crate::config::HealthSettings;
use crate::frame::{Timestamp, format_span};
use crate::health::{
    Change, Degrade, DegradeLevel, Ladder, LadderConfig, Level, Limits, LimitsConfig, Machine,
    Probe, Readings,
};
use crate::message::Message;
use crate::output::HealthWords;

/// How often to look: seldom enough to cost nothing, often enough for a board that heats up.
pub const EVERY: Duration = Duration::from_secs(5);

/// Less is a time server at work.
const LEAST_STEP_SECONDS: f64 = 5.0;

pub struct Care {
    probe: Probe,
    limits: Limits,
    ladder: Ladder,
    /// Whether the ladder is used.
    degrade: bool,
    throttled: Arc<AtomicBool>,
    written_before: Option<u64>,
    clocks: Clocks,
    /// What was journaled and not taken yet.
    events: Vec<HealthWords>,
}

impl Care {
    pub fn new(mut probe: Probe, state_directory: &Path, settings: &HealthSettings) -> Self {
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
            limits: Limits::new(&limits(settings, readings.cgroup_memory_high_bytes)),
            ladder: Ladder::new(ladder(settings)),
            degrade: settings.degrade,
            throttled: Arc::new(AtomicBool::new(throttled)),
            written_before: readings.written_bytes,
            clocks: Clocks::now(),
            events: Vec::new(),
            probe,
        }
    }

    /// Whether the machine is slowed down by heat or power now; kept up to date.
    pub fn throttled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.throttled)
    }

    /// Another configuration is in force.
    pub fn follow(&mut self, state_directory: &Path, settings: &HealthSettings) {
        self.probe.set_state_directory(state_directory);
        let high = self.probe.last().cgroup_memory_high_bytes;
        self.limits.reconfigure(&limits(settings, high));
        self.degrade = settings.degrade;
        match self.degrade {
            true => self.ladder.reconfigure(ladder(settings)),
            // Nothing is left out any more.
            false => self.ladder = Ladder::new(ladder(settings)),
        }
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
            self.events.push(HealthWords {
                time: SystemClock.now(),
                change: match event.change {
                    Change::Raised => "raised",
                    Change::Cleared => "cleared",
                },
                level: match event.level {
                    Level::Warning => "warning",
                    Level::Critical => "critical",
                },
                text: event.text,
            });
        }
        if !self.degrade {
            return None;
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
        self.events.push(HealthWords {
            time: SystemClock.now(),
            change: match message {
                Message::Degraded => "degraded",
                _ => "recovered",
            },
            level: "warning",
            text: format!("{} ({})", step.level.text(), step.reason),
        });
        Some(step)
    }

    /// What was journaled since the last time.
    pub fn take_events(&mut self) -> Vec<HealthWords> {
        std::mem::take(&mut self.events)
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
        if readings.state_volatile == Some(true) {
            parts.push("STATE IN MEMORY ONLY".to_owned());
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

/// A limit of the service's memory above this one says how much it is meant to have.
const AMPLE_BYTES: u64 = 100_000_000;

/// `high`: the `MemoryHigh=` in force.
fn limits(settings: &HealthSettings, high: Option<u64>) -> LimitsConfig {
    let usual = LimitsConfig::default();
    let ample = high.filter(|high| *high > AMPLE_BYTES);
    let warning = ample.map_or(usual.memory_warning_bytes, |high| high / 10 * 9);
    let critical = ample.unwrap_or(usual.memory_critical_bytes);
    // One that is set moves the other, which is not, out of its way.
    let (warning, critical) = match (
        settings.memory_warning_bytes,
        settings.memory_critical_bytes,
    ) {
        (Some(warning), Some(critical)) => (warning, critical),
        (Some(warning), None) => (warning, critical.max(warning)),
        (None, Some(critical)) => (warning.min(critical), critical),
        (None, None) => (warning, critical),
    };
    LimitsConfig {
        memory_warning_bytes: warning,
        memory_critical_bytes: critical,
        cpu_warning_percent: settings.cpu_warning_percent,
        cpu_critical_percent: settings.cpu_critical_percent,
        latency_warning: settings.latency_warning,
        latency_critical: settings.latency_critical,
        raise_after: settings.raise_after,
        clear_after: settings.clear_after,
    }
}

fn ladder(settings: &HealthSettings) -> LadderConfig {
    let usual = LadderConfig::default();
    LadderConfig {
        temperature_celsius: usual
            .temperature_celsius
            .moved_to(settings.degrade_from_celsius),
        ..usual
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
    use crate::health::Steps;

    fn settings() -> HealthSettings {
        HealthSettings {
            memory_warning_bytes: None,
            memory_critical_bytes: None,
            cpu_warning_percent: 20.0,
            cpu_critical_percent: 25.0,
            latency_warning: Duration::from_millis(8),
            latency_critical: Duration::from_millis(10),
            raise_after: Duration::from_secs(30),
            clear_after: Duration::from_secs(120),
            degrade: true,
            degrade_from_celsius: 80.0,
        }
    }

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_limits_and_the_ladder() {
        assert_eq!(limits(&settings(), None), LimitsConfig::default());
        assert_eq!(
            limits(&settings(), Some(94_371_840)),
            LimitsConfig::default()
        );
        assert_eq!(ladder(&settings()), LadderConfig::default());
    }

    #[test]
    fn who_may_have_more_memory_is_warned_of_later_unless_told() {
        let memory =
            |limits: LimitsConfig| (limits.memory_warning_bytes, limits.memory_critical_bytes);
        let high = Some(450_000_000);
        assert_eq!(
            memory(limits(&settings(), high)),
            (405_000_000, 450_000_000)
        );
        let told = HealthSettings {
            memory_warning_bytes: Some(50_000_000),
            ..settings()
        };
        assert_eq!(memory(limits(&told, high)), (50_000_000, 450_000_000));
        let told = HealthSettings {
            memory_warning_bytes: Some(200_000_000),
            ..settings()
        };
        assert_eq!(memory(limits(&told, None)), (200_000_000, 200_000_000));
    }

    #[test]
    fn all_steps_move_with_the_first_temperature() {
        let steps = ladder(&HealthSettings {
            degrade_from_celsius: 70.0,
            ..settings()
        });
        let Steps { enter, leave } = steps.temperature_celsius;
        assert_eq!((enter, leave), ([70.0, 73.0, 75.0], [66.0, 69.0, 71.0]));
    }

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
