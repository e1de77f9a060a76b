//! The ladder of degrading: what the service does without under heat, want of memory or want of
//! processor time, one step at a time, down and up again. It never stops taking samples.
//! Imports `readings` only.
//!
//! Each cause has a bound for each step down and a lower one for the way back. A step down is taken
//! when a cause has been over the next level's bound for [`LadderConfig::down_after`], a step up
//! when all causes have been below the present level's lower bound for [`LadderConfig::up_after`].
//! A missing reading is no cause.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::readings::Readings;

/// What the service does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DegradeLevel {
    /// Nothing.
    #[default]
    Normal,
    /// The torch engine: the native one scores where it can run the model.
    NativeOnly,
    /// And every second sample is scored.
    HalfScored,
    /// And outputs pause: alarms are kept and told later.
    OutputsPaused,
}

impl DegradeLevel {
    pub const ALL: [DegradeLevel; 4] = [
        DegradeLevel::Normal,
        DegradeLevel::NativeOnly,
        DegradeLevel::HalfScored,
        DegradeLevel::OutputsPaused,
    ];

    /// 0 (normal) to 3.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// In words, for the journal and `status`.
    pub fn text(self) -> &'static str {
        match self {
            DegradeLevel::Normal => "nothing is left out",
            DegradeLevel::NativeOnly => "the torch engine is dropped for the native one",
            DegradeLevel::HalfScored => "every second sample is scored",
            DegradeLevel::OutputsPaused => "outputs pause, alarms are kept and told later",
        }
    }

    fn step(self, by: i8) -> Self {
        let index = usize::from(self.number()).saturating_add_signed(by.into());
        DegradeLevel::ALL[index.min(3)]
    }
}

/// The level in force, and what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Degrade {
    pub level: DegradeLevel,
    /// Such as `temperature 83.4 C, 83 C and above`; empty at the start.
    pub reason: String,
}

/// Bounds of one cause, for the levels 1 to 3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The level is called for at this and above.
    pub enter: [f64; 3],
    /// The level is left below this.
    pub leave: [f64; 3],
}

impl Steps {
    /// The same steps, as far apart, with the first level called for at `first`.
    pub fn moved_to(self, first: f64) -> Self {
        let by = first - self.enter[0];
        let moved = |bounds: [f64; 3]| bounds.map(|bound| bound + by);
        Steps {
            enter: moved(self.enter),
            leave: moved(self.leave),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct LadderConfig {
    pub down_after: Duration,
    pub up_after: Duration,
    /// The Raspberry Pi 4 throttles from 80 C, hard at 85 C.
    pub temperature_celsius: Steps,
    /// 1: under-voltage, capped or at the soft limit; 2: throttled.
    pub throttling: Steps,
    /// Share of the time that a task of the service, else of the machine, waits for memory.
    pub memory_pressure_percent: Steps,
    /// Anonymous memory over the lower of MemoryHigh= and MemoryMax=.
    pub memory_share: Steps,
    /// Share of the time that a task of the service waits for a processor.
    pub cpu_pressure_percent: Steps,
    /// Of one core; judged only where nothing says how much is waited.
    pub cpu_percent: Steps,
}

impl Default for LadderConfig {
    fn default() -> Self {
        let steps = |enter, leave| Steps { enter, leave };
        LadderConfig {
            down_after: Duration::from_secs(10),
            up_after: Duration::from_secs(60),
            temperature_celsius: steps([80.0, 83.0, 85.0], [76.0, 79.0, 81.0]),
            throttling: steps([1.0, 2.0, f64::INFINITY], [1.0, 2.0, f64::INFINITY]),
            memory_pressure_percent: steps([20.0, 40.0, 60.0], [5.0, 15.0, 30.0]),
            memory_share: steps([0.85, 0.92, 0.97], [0.75, 0.85, 0.9]),
            cpu_pressure_percent: steps([40.0, 60.0, 80.0], [15.0, 30.0, 50.0]),
            cpu_percent: steps([90.0, 95.0, 98.0], [60.0, 70.0, 80.0]),
        }
    }
}

/// What can call for a step.
struct Cause {
    name: &'static str,
    unit: &'static str,
    /// Places behind the point.
    places: usize,
    value: f64,
    steps: Steps,
}

/// Holds the level.
#[derive(Debug)]
pub struct Ladder {
    config: LadderConfig,
    now: Degrade,
    /// Since when a step down is called for.
    down: Option<Instant>,
    /// Since when a step up is possible.
    up: Option<Instant>,
}

impl Ladder {
    pub fn new(config: LadderConfig) -> Self {
        Ladder {
            config,
            now: Degrade::default(),
            down: None,
            up: None,
        }
    }

    /// Takes other bounds; the level stays until they call for another.
    pub fn reconfigure(&mut self, config: LadderConfig) {
        self.config = config;
    }

    /// The level in force.
    pub fn current(&self) -> &Degrade {
        &self.now
    }

    /// Takes readings; gives the new level when that changes, one step at most.
    pub fn step(&mut self, now: Instant, readings: &Readings) -> Option<Degrade> {
        let causes = self.causes(readings);
        let level = usize::from(self.now.level.number());
        let calls = |cause: &&Cause| level < 3 && cause.value >= cause.steps.enter[level];
        let stays = |cause: &Cause| level > 0 && cause.value >= cause.steps.leave[level - 1];
        let held = |since: &mut Option<Instant>, holds: bool, long: Duration| {
            if !holds {
                *since = None;
                return false;
            }
            now.saturating_duration_since(*since.get_or_insert(now)) >= long
        };
        let calling = causes.iter().find(calls);
        let down = held(&mut self.down, calling.is_some(), self.config.down_after);
        let calm = level > 0 && !causes.iter().any(stays);
        let up = held(&mut self.up, calm, self.config.up_after);
        let (by, reason) = match calling {
            Some(cause) if down => (1, cause.text(cause.steps.enter[level])),
            _ if up => (-1, calm_text(&causes)),
            _ => return None,
        };
        // Each level is held for its time before the next.
        (self.down, self.up) = (None, None);
        self.now = Degrade {
            level: self.now.level.step(by),
            reason,
        };
        Some(self.now.clone())
    }

    /// The readings that are there, worst kind first.
    fn causes(&self, readings: &Readings) -> Vec<Cause> {
        let config = &self.config;
        let mut causes = Vec::new();
        let mut add = |name, unit, places, value: Option<f64>, steps: Steps| {
            causes.extend(value.filter(|value| !value.is_nan()).map(|value| Cause {
                name,
                unit,
                places,
                value,
                steps,
            }));
        };
        let temperature = readings.soc_temperature_celsius;
        add(
            "temperature",
            " C",
            1,
            temperature,
            config.temperature_celsius,
        );
        let throttling = readings.throttle.map(|throttle| {
            let is = |bit: Option<bool>| bit == Some(true);
            match (
                is(throttle.throttled),
                is(throttle.under_voltage),
                is(throttle.slowed()),
            ) {
                (true, _, _) => 2.0,
                (_, true, _) | (_, _, true) => 1.0,
                _ => 0.0,
            }
        });
        add("throttling", " of 2", 0, throttling, config.throttling);
        let share = readings.memory_share();
        add(
            "share of the memory limit",
            "",
            2,
            share,
            config.memory_share,
        );
        let memory = readings.own_memory_pressure.or(readings.memory_pressure);
        // All tasks waiting at once is worse than some; older kernels leave it out.
        let waits = memory.map(|pressure| {
            let full = pressure.full_avg10_percent.unwrap_or(0.0);
            pressure.some_avg10_percent.max(2.0 * full)
        });
        add(
            "memory pressure",
            " %",
            0,
            waits,
            config.memory_pressure_percent,
        );
        let waits = cpu_waits(readings);
        add(
            "waiting for a processor",
            " %",
            0,
            waits,
            config.cpu_pressure_percent,
        );
        let blind = readings.cpu_pressure.is_none() && readings.own_cpu_pressure.is_none();
        let cpu = readings.cpu_percent.filter(|_| blind);
        add("CPU", " %", 0, cpu, config.cpu_percent);
        causes
    }
}

/// How much the service waits for a processor. Where that is not known, what the whole machine
/// waits counts when the service has a part in it: a quarter of a core.
fn cpu_waits(readings: &Readings) -> Option<f64> {
    const PART: f64 = 25.0;
    let own = readings.own_cpu_pressure;
    let machine = readings
        .cpu_pressure
        .filter(|_| readings.cpu_percent.is_some_and(|percent| percent >= PART));
    own.or(machine).map(|pressure| pressure.some_avg10_percent)
}

impl Cause {
    fn text(&self, bound: f64) -> String {
        let Cause {
            name,
            unit,
            places,
            value,
            ..
        } = self;
        format!("{name} {value:.places$}{unit}, {bound:.places$}{unit} and above")
    }
}

/// What is calm now, shortly.
fn calm_text(causes: &[Cause]) -> String {
    let shown = |cause: &Cause| {
        let (unit, places) = (cause.unit, cause.places);
        format!("{} {:.places$}{unit}", cause.name, cause.value)
    };
    let texts: Vec<String> = causes.iter().map(shown).collect();
    match texts.join(", ") {
        texts if texts.is_empty() => "no reading calls for it any more".to_owned(),
        texts => format!("calm again: {texts}"),
    }
}

#[cfg(test)]
mod tests;
