//! Takes the readings, at most once a second. Imports the readers beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cgroup::{self, Cgroup, Limit};
use super::machine::{self, Machine};
use super::process::{self, Usage};
use super::readings::Readings;
use super::throttle::ThrottleSource;
use super::{clock_sync, disk, frequency, pressure, temperature, volatile};

/// Files are not read more often, whoever asks.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How often what was not there is looked for again: a driver may be loaded late.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Where this machine keeps its readings, and the last ones taken.
#[derive(Debug)]
pub struct Probe {
    root: PathBuf,
    state_directory: PathBuf,
    machine: Machine,
    cgroup: Option<Cgroup>,
    /// The group holds processes of the service only, as that of a unit does.
    dedicated: bool,
    zone: Option<PathBuf>,
    throttle: ThrottleSource,
    /// Asked seldom, as mounts stay.
    state_volatile: Option<bool>,
    looked: Option<Instant>,
    /// What only counts up, with the time it was read at.
    before: Option<(Instant, Counters)>,
    last: Readings,
}

/// Counts that rates are taken from.
#[derive(Debug, Clone, Copy)]
struct Counters {
    cpu_us: Option<u64>,
    written_bytes: Option<u64>,
    wakeups: Option<u64>,
}

impl Probe {
    /// Reads below `root`; `state_directory` is a complete path, root included.
    pub fn new(root: &Path, state_directory: &Path) -> Self {
        let cgroup = Cgroup::own(root);
        // Asked once, before there are workers, so that no count changes its meaning later.
        let own = process::own_id(root);
        let dedicated = cgroup
            .as_ref()
            .and_then(Cgroup::processes)
            .is_some_and(|all| all.iter().all(|id| Some(*id) == own));
        Probe {
            root: root.to_owned(),
            state_directory: state_directory.to_owned(),
            machine: Machine::read(root),
            cgroup,
            dedicated,
            zone: temperature::find_zone(root),
            throttle: ThrottleSource::find(root),
            state_volatile: volatile::read(root, state_directory),
            looked: None,
            before: None,
            last: Readings::default(),
        }
    }

    /// What does not change.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The last readings that were taken.
    pub fn last(&self) -> &Readings {
        &self.last
    }

    /// A reload may have moved the state directory.
    pub fn set_state_directory(&mut self, folder: &Path) {
        folder.clone_into(&mut self.state_directory);
        self.state_volatile = volatile::read(&self.root, folder);
    }

    /// Takes readings, unless the last were taken less than a second ago: then gives those.
    pub fn sample(&mut self, now: Instant) -> &Readings {
        let since = |earlier: Instant| now.saturating_duration_since(earlier);
        let recent = |(at, _): &(Instant, Counters)| since(*at) < LEAST_INTERVAL;
        if self.before.as_ref().is_some_and(recent) {
            return &self.last;
        }
        self.look_again(now);
        let usage = process::usage(&self.root);
        let counters = self.counters(usage.as_ref());
        let before = self.before.replace((now, counters));
        let elapsed = before.map(|(at, earlier)| (since(at).as_secs_f64(), earlier));
        self.last = self.read(usage, counters, elapsed);
        &self.last
    }

    fn counters(&self, usage: Option<&Usage>) -> Counters {
        let own = self.cgroup.as_ref().filter(|_| self.dedicated);
        let cpu_us = own.and_then(Cgroup::cpu_us);
        let written = own.and_then(Cgroup::written_bytes);
        Counters {
            cpu_us: cpu_us.or(usage.map(|usage| usage.cpu_us)),
            written_bytes: written.or(usage.and_then(|usage| usage.written_bytes)),
            wakeups: usage.map(|usage| usage.wakeups),
        }
    }

    fn read(
        &self,
        usage: Option<Usage>,
        counters: Counters,
        before: Option<(f64, Counters)>,
    ) -> Readings {
        let root = self.root.as_path();
        let zone = self.zone.as_deref();
        let cgroup = self.cgroup.as_ref();
        let own = cgroup.filter(|_| self.dedicated);
        let events = cgroup.map(Cgroup::memory_events).unwrap_or_default();
        let slice = cgroup.and_then(Cgroup::parent);
        let rate = |of: fn(&Counters) -> Option<u64>| {
            let (seconds, earlier) = before?;
            // A process that ended takes its counts with it.
            let rise = of(&counters)?.checked_sub(of(&earlier)?)?;
            Some(rise as f64 / seconds)
        };
        Readings {
            soc_temperature_celsius: zone.and_then(|zone| temperature::read(root, zone)),
            throttle: self.throttle.read(),
            cpu_frequency_mhz: frequency::current(root),
            cpu_frequency_max_mhz: frequency::most(root),
            memory_pressure: pressure::read(root, "proc/pressure/memory"),
            cpu_pressure: pressure::read(root, "proc/pressure/cpu"),
            clock_synchronised: clock_sync::read(root).synchronised(),
            uptime_seconds: machine::uptime(root),
            disk: disk::read(&self.state_directory),
            state_volatile: self.state_volatile,
            processes: usage.map(|usage| usage.processes),
            rss_bytes: usage.map(|usage| usage.rss_bytes),
            rss_anon_bytes: usage.map(|usage| usage.rss_anon_bytes),
            rss_file_bytes: usage.map(|usage| usage.rss_file_bytes),
            cpu_seconds: counters.cpu_us.map(|us| us as f64 / 1e6),
            cpu_percent: rate(|counters| counters.cpu_us).map(|us| us / 1e4),
            wakeups: counters.wakeups,
            wakeups_per_second: rate(|counters| counters.wakeups),
            written_bytes: counters.written_bytes,
            written_bytes_per_second: rate(|counters| counters.written_bytes),
            memory_controller: cgroup::has_memory_controller(root),
            cgroup_memory_bytes: cgroup.and_then(Cgroup::memory),
            cgroup_memory_peak_bytes: cgroup.and_then(Cgroup::memory_peak),
            cgroup_memory_high_bytes: cgroup.and_then(Cgroup::memory_high).and_then(Limit::bytes),
            cgroup_memory_max_bytes: cgroup.and_then(Cgroup::memory_max).and_then(Limit::bytes),
            oom_events: events.oom,
            oom_kills: events.oom_kill,
            slice_oom_kills: slice.and_then(|slice| slice.memory_events().oom_kill),
            own_memory_pressure: own.and_then(Cgroup::memory_pressure),
            own_cpu_pressure: own.and_then(Cgroup::cpu_pressure),
        }
    }

    /// Looks for sensors anew where some were missing the last time.
    fn look_again(&mut self, now: Instant) {
        let looked = *self.looked.get_or_insert(now);
        let complete = self.last.soc_temperature_celsius.is_some() && self.last.throttle.is_some();
        if !complete && now.saturating_duration_since(looked) >= LOOK_AGAIN {
            self.looked = Some(now);
            self.zone = temperature::find_zone(&self.root);
            self.throttle = ThrottleSource::find(&self.root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Throttle;
    use crate::health::tree::{made_up, put};

    const GROUP: &str = "sys/fs/cgroup/system.slice/anomalyd.service/";
    const SECOND: Duration = Duration::from_secs(1);

    fn pi() -> tempfile::TempDir {
        let root = made_up(&[
            (
                "proc/self/stat",
                "10 (anomalyd) S 1 1 1 0 -1 0 0 0 0 0 30 12 0 0\n",
            ),
            ("proc/self/status", "VmRSS: 12000 kB\nRssAnon: 4000 kB\n"),
            ("proc/self/io", "write_bytes: 4096\n"),
            ("proc/self/task/10/status", "voluntary_ctxt_switches: 5\n"),
            ("proc/self/cgroup", "0::/system.slice/anomalyd.service\n"),
            ("proc/uptime", "100.0 1.0\n"),
            ("sys/class/thermal/thermal_zone0/temp", "61000\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("dev/vcio", "0\n"),
        ]);
        for (file, content) in [
            ("cgroup.procs", "10\n"),
            ("cpu.stat", "usage_usec 1000000\n"),
            ("memory.current", "20000000\n"),
            ("memory.max", "104857600\n"),
            ("memory.high", "max\n"),
            ("memory.events", "oom 0\noom_kill 0\n"),
            ("memory.pressure", "some avg10=2.00 total=5\n"),
        ] {
            put(root.path(), &format!("{GROUP}{file}"), content);
        }
        root
    }

    #[test]
    fn a_whole_machine_is_read() {
        let root = pi();
        let mut probe = Probe::new(root.path(), root.path());
        let readings = probe.sample(Instant::now());
        assert_eq!(readings.soc_temperature_celsius, Some(61.0));
        assert_eq!(readings.throttle, Some(Throttle::from_bits(0)));
        assert_eq!(readings.rss_bytes, Some(12_000 * 1024));
        assert_eq!(readings.cgroup_memory_max_bytes, Some(104_857_600));
        assert_eq!(readings.cgroup_memory_high_bytes, None);
        assert_eq!(readings.oom_kills, Some(0));
        assert_eq!(readings.cpu_seconds, Some(1.0));
        assert_eq!(readings.cpu_percent, None, "takes two samples");
        assert_eq!(readings.memory_controller, Some(true));
        assert_eq!(
            readings.own_memory_pressure.unwrap().some_avg10_percent,
            2.0
        );
        assert_eq!(readings.written_bytes, Some(4096), "no io.stat");
        assert!(readings.disk.is_some());
        assert_eq!(readings.cpu_frequency_mhz, None);
    }

    #[test]
    fn rates_are_of_two_samples_and_files_are_read_once_a_second() {
        let root = pi();
        let mut probe = Probe::new(root.path(), root.path());
        let start = Instant::now();
        probe.sample(start);
        put(
            root.path(),
            &format!("{GROUP}cpu.stat"),
            "usage_usec 1050000\n",
        );
        put(
            root.path(),
            "proc/self/task/10/status",
            "voluntary_ctxt_switches: 25\n",
        );
        put(root.path(), "proc/self/io", "write_bytes: 24096\n");
        let early = probe.sample(start + SECOND / 2);
        assert_eq!(early.cpu_percent, None);
        let readings = probe.sample(start + 2 * SECOND);
        assert_eq!(readings.cpu_percent, Some(2.5));
        assert_eq!(readings.wakeups_per_second, Some(10.0));
        assert_eq!(readings.written_bytes_per_second, Some(10_000.0));
        // A worker that ended takes its counts along.
        put(
            root.path(),
            "proc/self/task/10/status",
            "voluntary_ctxt_switches: 3\n",
        );
        let readings = probe.sample(start + 3 * SECOND);
        assert_eq!(readings.wakeups_per_second, None);
        assert_eq!(readings.wakeups, Some(3));
    }

    #[test]
    fn a_group_that_is_shared_says_nothing_of_the_service() {
        let root = pi();
        put(root.path(), &format!("{GROUP}cgroup.procs"), "10\n77\n");
        let mut probe = Probe::new(root.path(), root.path());
        let readings = probe.sample(Instant::now());
        assert_eq!(readings.own_memory_pressure, None);
        assert_eq!(readings.cpu_seconds, Some(0.42), "of the process itself");
    }

    #[test]
    fn nothing_at_all_is_nothing_but_missing_readings() {
        let mut probe = Probe::new(Path::new("/nowhere"), Path::new("/nowhere/state"));
        assert_eq!(*probe.sample(Instant::now()), Readings::default());
        assert_eq!(probe.machine(), &Machine::default());
    }

    #[test]
    fn a_driver_that_is_loaded_late_is_found() {
        let root = pi();
        let zone = root.path().join("sys/class/thermal");
        std::fs::rename(&zone, root.path().join("kept")).unwrap();
        let mut probe = Probe::new(root.path(), root.path());
        let start = Instant::now();
        assert_eq!(probe.sample(start).soc_temperature_celsius, None);
        std::fs::rename(root.path().join("kept"), &zone).unwrap();
        let soon = probe.sample(start + 2 * SECOND);
        assert_eq!(soon.soc_temperature_celsius, None);
        let later = probe.sample(start + LOOK_AGAIN);
        assert_eq!(later.soc_temperature_celsius, Some(61.0));
    }

    /// The processor time of a sample on the machine at hand; `--nocapture` shows it.
    #[test]
    fn a_sample_costs_little() {
        use nix::sys::resource::{UsageWho, getrusage};
        use nix::sys::time::TimeValLike;
        let used = || {
            let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
            usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
        };
        let mut probe = Probe::new(Path::new("/"), Path::new("/"));
        let (start, before) = (Instant::now(), used());
        let samples = 200;
        for second in 1..=samples {
            probe.sample(start + second * SECOND);
        }
        let cost = (used() - before) / i64::from(samples);
        println!("{cost} us a sample");
        assert!(cost < 5_000, "{cost} us");
    }
}
