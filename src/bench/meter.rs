//! A reading a second of the service's processes and of the machine. Imports `health`.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::cap::Cage;
use super::host;
use super::outcome::Reading;
use crate::health::Probe;
use crate::health::process::{Usage, usage_of};

/// Over less time the processor time of a reading says nothing.
const SHORTEST: Duration = Duration::from_millis(100);

/// Takes readings of one run of the service.
pub struct Meter<'a> {
    id: u32,
    cage: &'a Cage,
    probe: &'a mut Probe,
    begin: Instant,
    first: Totals,
    last: Totals,
    readings: Vec<Reading>,
}

/// Counts that only go up.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    at: Instant,
    cpu: Duration,
    /// Of this program, which makes the load.
    own_cpu: Duration,
    busy_seconds: Option<f64>,
    wakeups: Option<u64>,
    written: Option<u64>,
    usage: Option<Usage>,
}

/// What the counts rose by.
pub struct Sums {
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub foreign_cores: Option<f64>,
    pub wakeups: Option<u64>,
    pub written_bytes: Option<u64>,
    pub rss_peak_bytes: Option<u64>,
    pub readings: Vec<Reading>,
}

impl<'a> Meter<'a> {
    pub fn start(id: u32, cage: &'a Cage, probe: &'a mut Probe) -> Self {
        let now = Totals::read(id);
        Meter {
            id,
            cage,
            probe,
            begin: now.at,
            first: now,
            last: now,
            readings: Vec::new(),
        }
    }

    /// When the next reading is due.
    pub fn due(&self) -> Instant {
        let count = u32::try_from(self.readings.len() + 1).unwrap_or(u32::MAX);
        self.begin + Duration::from_secs(1).saturating_mul(count)
    }

    pub fn read(&mut self) {
        let now = Totals::read(self.id);
        let wall = now.at.duration_since(self.last.at).as_secs_f64();
        let machine = self.probe.sample(now.at);
        self.readings.push(Reading {
            at: now.at.duration_since(self.begin).as_secs_f64(),
            rss_bytes: now.usage.map(|usage| usage.rss_bytes),
            rss_anon_bytes: now.usage.map(|usage| usage.rss_anon_bytes),
            rss_file_bytes: now.usage.map(|usage| usage.rss_file_bytes),
            cgroup_bytes: self.cage.memory(self.id),
            // Less when a worker has ended and took its time along.
            cpu_percent: (now.cpu >= self.last.cpu && wall > 0.0)
                .then(|| 100.0 * (now.cpu - self.last.cpu).as_secs_f64() / wall),
            temperature_celsius: machine.soc_temperature_celsius,
            cpu_mhz: machine.cpu_frequency_mhz,
            throttle: machine.throttle,
        });
        self.last = now;
    }

    /// A reading before its time, where the last one is not only just over.
    pub fn read_rest(&mut self) {
        if self.last.at.elapsed() >= SHORTEST {
            self.read();
        }
    }

    /// How many readings there are.
    pub fn readings(&self) -> usize {
        self.readings.len()
    }

    /// The counts at the last reading.
    pub fn totals(&self) -> Totals {
        self.last
    }

    /// Everything from the start until `last`, and all readings.
    pub fn finish(self, last: &Totals) -> Sums {
        let first = &self.first;
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        let own = last.own_cpu.saturating_sub(first.own_cpu).as_secs_f64();
        let rise = |of: fn(&Totals) -> Option<u64>| of(last)?.checked_sub(of(first)?);
        let busy = last.busy_seconds.zip(first.busy_seconds);
        Sums {
            seconds,
            cpu_seconds: cpu,
            foreign_cores: busy
                .filter(|_| seconds > 0.0)
                .map(|(now, before)| ((now - before - cpu - own) / seconds).max(0.0)),
            wakeups: rise(|totals| totals.wakeups),
            written_bytes: rise(|totals| totals.written),
            rss_peak_bytes: last.usage.map(|usage| usage.rss_peak_bytes),
            readings: self.readings,
        }
    }
}

impl Totals {
    fn read(id: u32) -> Totals {
        let root = Path::new("/");
        let usage = usage_of(root, id);
        Totals {
            at: Instant::now(),
            cpu: family_cpu(id),
            own_cpu: cpu_of(std::process::id()).unwrap_or_default(),
            busy_seconds: host::busy_seconds(root),
            wakeups: usage.map(|usage| usage.wakeups),
            written: usage.and_then(|usage| usage.written_bytes),
            usage,
        }
    }
}

/// Bytes that a process and those that it started had written to storage.
pub fn written_by(id: u32) -> Option<u64> {
    usage_of(Path::new("/"), id)?.written_bytes
}

/// Processor time of a process, its threads that have ended included, to the nanosecond:
/// `/proc/PID/stat` counts in hundredths of a second.
pub fn cpu_of(id: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(id.cast_signed())).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

/// Of a process and those that it started.
pub fn family_cpu(id: u32) -> Duration {
    let family = crate::health::process::family(Path::new("/"), id);
    family.into_iter().filter_map(cpu_of).sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use super::*;

    /// A shell that waits for a child of its own, which works: a family that nobody else's test
    /// adds to, as the children of other tests do to the family of this process.
    struct Shell(Child);

    impl Shell {
        fn start() -> Shell {
            let mut shell = Command::new("sh");
            shell.args(["-c", "(while :; do :; done) & wait"]);
            Shell(shell.process_group(0).spawn().unwrap())
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let group = Pid::from_raw(self.0.id().cast_signed());
            nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
            self.0.wait().unwrap();
        }
    }

    fn wait_until(mut done: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < Duration::from_secs(60));
            std::hint::spin_loop();
        }
    }

    #[test]
    fn processor_time_of_a_process_is_counted() {
        let own = || cpu_of(std::process::id()).unwrap();
        let before = own();
        wait_until(|| own() > before + Duration::from_millis(2));
        // Beyond the largest id that Linux gives.
        assert_eq!(cpu_of(1 << 23), None);
    }

    #[test]
    fn the_children_of_a_process_are_counted_with_it() {
        let shell = Shell::start();
        let (id, longer) = (shell.0.id(), Duration::from_millis(200));
        wait_until(|| family_cpu(id) > cpu_of(id).unwrap() + longer);
    }
}
