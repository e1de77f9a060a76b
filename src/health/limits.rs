//! The limits of the service's health: what is raised, when, and what to do about it.
//! Imports `latch`, `readings` and `message`.
//!
//! Memory, processor and latency have the limits of the reference system (90/100 MB, 20/25 %,
//! 8/10 ms); each has a warning and a critical one, judged on their own.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::latch::{Change, Hysteresis, Latch};
use super::readings::Readings;
use crate::message::Message;

/// A limit that was raised at R clears below this share of R.
const CLEAR_SHARE: f64 = 0.9;
/// Bits of the firmware flicker.
const BIT_RAISE: Duration = Duration::from_secs(2);
const BIT_CLEAR: Duration = Duration::from_secs(60);
/// An OOM kill is over when there was no other for so long.
const KILL_CLEAR: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Resident memory of all the service's processes.
    Memory,
    /// Processor time; 100 % is one core.
    Cpu,
    /// From a complete sample to its score, 99th percentile.
    Latency,
    OutOfMemory,
    UnderVoltage,
    Throttled,
    /// Space or inodes of the state directory.
    Disk,
    /// The state directory is in memory.
    Volatile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Warning,
    Critical,
}

/// A limit was crossed, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthEvent {
    pub rule: Rule,
    pub level: Level,
    pub change: Change,
    /// One line for people.
    pub text: String,
}

impl HealthEvent {
    /// The kind that it is journaled as.
    pub fn message(&self) -> Message {
        match (self.change, self.rule) {
            (Change::Raised, Rule::OutOfMemory) => Message::OutOfMemory,
            (Change::Raised, _) => Message::HealthRaised,
            (Change::Cleared, _) => Message::HealthCleared,
        }
    }
}

/// The limits; an installation with a torch worker needs more memory than the default.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsConfig {
    pub memory_warning_bytes: u64,
    pub memory_critical_bytes: u64,
    pub cpu_warning_percent: f64,
    pub cpu_critical_percent: f64,
    pub latency_warning: Duration,
    pub latency_critical: Duration,
    /// How long memory, processor, latency and disk must be over a limit.
    pub raise_after: Duration,
    /// How long they must be below its lower bound.
    pub clear_after: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            memory_warning_bytes: 90_000_000,
            memory_critical_bytes: 100_000_000,
            cpu_warning_percent: 20.0,
            cpu_critical_percent: 25.0,
            latency_warning: Duration::from_millis(8),
            latency_critical: Duration::from_millis(10),
            raise_after: Duration::from_secs(30),
            clear_after: Duration::from_secs(120),
        }
    }
}

impl LimitsConfig {
    /// Every rule with its bounds.
    fn bounds(&self) -> Vec<(Rule, Level, Hysteresis)> {
        let slow = |raise_at: f64| Hysteresis {
            raise_at,
            clear_below: raise_at * CLEAR_SHARE,
            raise_after: self.raise_after,
            clear_after: self.clear_after,
        };
        let bit = |raise_after, clear_after| Hysteresis {
            raise_at: 1.0,
            clear_below: 1.0,
            raise_after,
            clear_after,
        };
        let milliseconds = |latency: Duration| latency.as_secs_f64() * 1e3;
        let (warning, critical) = (Level::Warning, Level::Critical);
        vec![
            // Bytes of memory are far below 2^53.
            (
                Rule::Memory,
                warning,
                slow(self.memory_warning_bytes as f64),
            ),
            (
                Rule::Memory,
                critical,
                slow(self.memory_critical_bytes as f64),
            ),
            (Rule::Cpu, warning, slow(self.cpu_warning_percent)),
            (Rule::Cpu, critical, slow(self.cpu_critical_percent)),
            (
                Rule::Latency,
                warning,
                slow(milliseconds(self.latency_warning)),
            ),
            (
                Rule::Latency,
                critical,
                slow(milliseconds(self.latency_critical)),
            ),
            (Rule::OutOfMemory, critical, bit(Duration::ZERO, KILL_CLEAR)),
            (Rule::UnderVoltage, critical, bit(BIT_RAISE, BIT_CLEAR)),
            (Rule::Throttled, warning, bit(BIT_RAISE, BIT_CLEAR)),
            (Rule::Disk, warning, slow(1.0)),
            (Rule::Disk, critical, slow(4.0)),
            (Rule::Volatile, warning, bit(Duration::ZERO, Duration::ZERO)),
        ]
    }
}

/// Judges readings against the limits.
#[derive(Debug)]
pub struct Limits {
    entries: Vec<Entry>,
    /// The last count of OOM kills.
    oom_kills: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    level: Level,
    bounds: Hysteresis,
    latch: Latch,
    /// What was raised and is not cleared.
    standing: Option<HealthEvent>,
}

impl Limits {
    pub fn new(config: &LimitsConfig) -> Self {
        let entry = |(rule, level, bounds)| Entry {
            rule,
            level,
            bounds,
            latch: Latch::default(),
            standing: None,
        };
        Limits {
            entries: config.bounds().into_iter().map(entry).collect(),
            oom_kills: None,
        }
    }

    /// Takes other limits and keeps what stands.
    pub fn reconfigure(&mut self, config: &LimitsConfig) {
        for (entry, (_, _, bounds)) in self.entries.iter_mut().zip(config.bounds()) {
            entry.bounds = bounds;
        }
    }

    /// What is raised now.
    pub fn standing(&self) -> impl Iterator<Item = &HealthEvent> {
        self.entries
            .iter()
            .filter_map(|entry| entry.standing.as_ref())
    }

    /// Takes readings and the 99th percentile of the latencies since the call before (`None` when
    /// nothing was scored). The first count of OOM kills is what later ones are compared with.
    pub fn step(
        &mut self,
        now: Instant,
        readings: &Readings,
        latency_p99: Option<Duration>,
    ) -> Vec<HealthEvent> {
        let kills = readings.oom_kills.map(|count| {
            let before = self.oom_kills.replace(count).unwrap_or(count);
            count.saturating_sub(before)
        });
        let seen = Seen {
            readings,
            latency_p99,
            kills,
        };
        let mut events = Vec::new();
        for entry in &mut self.entries {
            let value = seen.value(entry.rule);
            let Some(change) = entry.latch.step(now, value, &entry.bounds) else {
                continue;
            };
            let event = HealthEvent {
                rule: entry.rule,
                level: entry.level,
                change,
                text: seen.text(entry, change, value.unwrap_or_default()),
            };
            entry.standing = (change == Change::Raised).then(|| event.clone());
            events.push(event);
        }
        events
    }
}

/// What is judged at one moment.
struct Seen<'a> {
    readings: &'a Readings,
    latency_p99: Option<Duration>,
    /// OOM kills since the moment before.
    kills: Option<u64>,
}

impl Seen<'_> {
    fn value(&self, rule: Rule) -> Option<f64> {
        let bit = |bit: bool| f64::from(u8::from(bit));
        let throttle = self.readings.throttle;
        match rule {
            Rule::Memory => self.readings.rss_bytes.map(|bytes| bytes as f64),
            Rule::Cpu => self.readings.cpu_percent,
            Rule::Latency => self.latency_p99.map(|latency| latency.as_secs_f64() * 1e3),
            Rule::OutOfMemory => self.kills.map(|kills| bit(kills > 0)),
            Rule::UnderVoltage => throttle?.under_voltage.map(bit),
            Rule::Throttled => throttle?.slowed().map(bit),
            Rule::Disk => self.readings.disk?.shortage(),
            Rule::Volatile => self.readings.state_volatile.map(bit),
        }
    }

    fn text(&self, entry: &Entry, change: Change, value: f64) -> String {
        let held = |time: Duration| humantime::format_duration(time).to_string();
        let amount = Amount(entry.rule, value);
        let bounds = &entry.bounds;
        let level = match entry.level {
            Level::Warning => "limit",
            Level::Critical => "critical limit",
        };
        match (entry.rule, change) {
            (Rule::Memory | Rule::Cpu | Rule::Latency, Change::Raised) => format!(
                "{} {amount} for {}, {level} {}: {}",
                name(entry.rule),
                held(bounds.raise_after),
                Amount(entry.rule, bounds.raise_at),
                remedy(entry.rule),
            ),
            (Rule::Memory | Rule::Cpu | Rule::Latency, Change::Cleared) => format!(
                "{} {amount}, below {} for {}",
                name(entry.rule),
                Amount(entry.rule, bounds.clear_below),
                held(bounds.clear_after),
            ),
            (Rule::OutOfMemory, Change::Raised) => {
                let what = match self.kills.unwrap_or(0) {
                    1 => "1 process".to_owned(),
                    kills => format!("{kills} processes"),
                };
                format!(
                    "the kernel killed {what} of the service for want of memory: {}",
                    remedy(entry.rule)
                )
            }
            (Rule::OutOfMemory, Change::Cleared) => {
                format!("no process killed for {}", held(bounds.clear_after))
            }
            (Rule::UnderVoltage, Change::Raised) => {
                format!("under-voltage: {}", remedy(entry.rule))
            }
            (Rule::UnderVoltage, Change::Cleared) => {
                format!("no under-voltage for {}", held(bounds.clear_after))
            }
            (Rule::Throttled, Change::Raised) => {
                let at = self.readings.soc_temperature_celsius;
                let at = at.map_or_else(String::new, |celsius| format!(" at {celsius:.0} C"));
                format!("the processor is throttled{at}: {}", remedy(entry.rule))
            }
            (Rule::Throttled, Change::Cleared) => {
                format!(
                    "the processor is not throttled for {}",
                    held(bounds.clear_after)
                )
            }
            (Rule::Disk, Change::Raised) => {
                format!("{}: {}", self.disk(), remedy(entry.rule))
            }
            (Rule::Disk, Change::Cleared) => format!("{} again", self.disk()),
            (Rule::Volatile, Change::Raised) => format!(
                "the state directory is in memory, so all that is learnt and kept is lost with the \
                 power: {}",
                remedy(entry.rule)
            ),
            (Rule::Volatile, Change::Cleared) => {
                "the state directory is not in memory any more".to_owned()
            }
        }
    }

    fn disk(&self) -> String {
        match self.readings.disk {
            Some(disk) if disk.inodes_are_scarcer() => format!(
                "{} files can be made on the disk of the state directory",
                disk.free_inodes.unwrap_or(0)
            ),
            disk => format!(
                "{} MB free on the disk of the state directory",
                disk.map_or(0, |disk| disk.free_bytes) / 1_000_000
            ),
        }
    }
}

fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::Memory => "memory",
        Rule::Cpu => "CPU",
        Rule::Latency => "latency (p99)",
        Rule::OutOfMemory => "out of memory",
        Rule::UnderVoltage => "under-voltage",
        Rule::Throttled => "throttling",
        Rule::Disk => "disk",
        Rule::Volatile => "volatile state",
    }
}

/// What to do next.
fn remedy(rule: Rule) -> &'static str {
    match rule {
        Rule::Memory => {
            "if it keeps growing, restart the service and report it; a torch worker needs a higher \
             limit"
        }
        Rule::Cpu => "take fewer samples a second, or a smaller model",
        Rule::Latency => "see what else uses the processor (`top`), or take a smaller model",
        Rule::OutOfMemory => {
            "`anomalyd status` shows what is used; raise MemoryMax= or do without the torch engine"
        }
        Rule::UnderVoltage => "use a 5.1 V 3 A supply and a short cable",
        Rule::Throttled => "cool the board (heat sink, fan, air around it)",
        Rule::Disk => "make room; until then state and alarms may not be kept",
        Rule::Volatile => {
            "mount a disk there; on the appliance the data partition could not be mounted, and its \
             settings are not in force (`journalctl -k`, then another card)"
        }
    }
}

/// A value with its unit.
struct Amount(Rule, f64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Amount(rule, value) = *self;
        match rule {
            Rule::Memory => write!(f, "{:.0} MB", value / 1e6),
            Rule::Cpu => write!(f, "{value:.0} %"),
            Rule::Latency => write!(f, "{value:.1} ms"),
            _ => write!(f, "{value:.1}"),
        }
    }
}

#[cfg(test)]
mod tests;
