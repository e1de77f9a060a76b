//! One look at the machine and at the service. Imports its sibling types only.

use serde::Serialize;

use super::disk::Disk;
use super::pressure::Pressure;
use super::throttle::Throttle;

/// What the probe saw; each reading is `None` where this machine does not have it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Readings {
    // ---- the machine
    pub soc_temperature_celsius: Option<f64>,
    pub throttle: Option<Throttle>,
    pub cpu_frequency_mhz: Option<f64>,
    pub cpu_frequency_max_mhz: Option<f64>,
    pub memory_pressure: Option<Pressure>,
    pub cpu_pressure: Option<Pressure>,
    /// Whether a time server sets the clock.
    pub clock_synchronised: Option<bool>,
    pub uptime_seconds: Option<f64>,
    /// Of the state directory.
    pub disk: Option<Disk>,
    /// Whether the state directory is in memory, and so gone with the power.
    pub state_volatile: Option<bool>,

    // ---- the service's processes: the daemon and its torch workers
    pub processes: Option<u32>,
    pub rss_bytes: Option<u64>,
    pub rss_anon_bytes: Option<u64>,
    /// Mapped files and shared memory.
    pub rss_file_bytes: Option<u64>,
    /// Since the service (or, outside of one, the process) started.
    pub cpu_seconds: Option<f64>,
    /// Since the sample before; 100 % is one core.
    pub cpu_percent: Option<f64>,
    pub wakeups: Option<u64>,
    pub wakeups_per_second: Option<f64>,
    /// To storage, since the service (or, outside of one, the process) started.
    pub written_bytes: Option<u64>,
    pub written_bytes_per_second: Option<f64>,

    // ---- its control group
    /// Whether the kernel has the memory controller.
    pub memory_controller: Option<bool>,
    /// Charged to the group, file pages included.
    pub cgroup_memory_bytes: Option<u64>,
    pub cgroup_memory_peak_bytes: Option<u64>,
    /// `None` also where there is no limit.
    pub cgroup_memory_high_bytes: Option<u64>,
    /// `None` also where there is no limit.
    pub cgroup_memory_max_bytes: Option<u64>,
    /// Times that the limit was reached and nothing could be reclaimed.
    pub oom_events: Option<u64>,
    /// Processes killed for it, since the group was made.
    pub oom_kills: Option<u64>,
    /// The same in the whole slice above: it outlives a restart of the service.
    pub slice_oom_kills: Option<u64>,
    /// `None` also where the group holds processes of others.
    pub own_memory_pressure: Option<Pressure>,
    /// `None` also where the group holds processes of others.
    pub own_cpu_pressure: Option<Pressure>,
}

impl Readings {
    /// The share of its memory limit that the service holds and the kernel cannot take back:
    /// anonymous memory over the lower of high and max. File pages, which the group's own count
    /// has too, are given up under pressure and say nothing.
    pub fn memory_share(&self) -> Option<f64> {
        let limits = [self.cgroup_memory_high_bytes, self.cgroup_memory_max_bytes];
        let limit = limits.into_iter().flatten().min()?;
        // Bytes of memory are far below 2^53.
        (limit > 0).then(|| Some(self.rss_anon_bytes? as f64 / limit as f64))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_the_lower_limit() {
        let mut readings = Readings {
            rss_anon_bytes: Some(45 << 20),
            ..Readings::default()
        };
        assert_eq!(readings.memory_share(), None);
        readings.cgroup_memory_max_bytes = Some(100 << 20);
        assert_eq!(readings.memory_share(), Some(0.45));
        readings.cgroup_memory_high_bytes = Some(90 << 20);
        assert_eq!(readings.memory_share(), Some(0.5));
        readings.cgroup_memory_high_bytes = Some(0);
        assert_eq!(readings.memory_share(), None);
    }

    #[test]
    fn readings_become_json_with_nulls_for_what_is_missing() {
        let json = serde_json::to_value(Readings::default()).unwrap();
        assert!(json.as_object().unwrap().values().all(|one| one.is_null()));
    }
}
