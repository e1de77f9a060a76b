//! The limits of the service's own health. Imports its sibling modules only.

use super::table::Table;
use crate::config::mistake::Mistake;
use crate::config::settings::HealthSettings;

pub fn health(health: &Table<'_>, mistakes: &mut Vec<Mistake>) -> HealthSettings {
    let settings = HealthSettings {
        memory_warning_bytes: health.whole("memory_warning_bytes"),
        memory_critical_bytes: health.whole("memory_critical_bytes"),
        cpu_warning_percent: health.number("cpu_warning_percent").unwrap_or_default(),
        cpu_critical_percent: health.number("cpu_critical_percent").unwrap_or_default(),
        latency_warning: health.duration("latency_warning").unwrap_or_default(),
        latency_critical: health.duration("latency_critical").unwrap_or_default(),
        raise_after: health.duration("raise_after").unwrap_or_default(),
        clear_after: health.duration("clear_after").unwrap_or_default(),
        degrade: health.is("degrade"),
        degrade_from_celsius: health.number("degrade_from_celsius").unwrap_or_default(),
    };
    let memory = settings
        .memory_warning_bytes
        .zip(settings.memory_critical_bytes);
    let memory = memory.is_some_and(|(warning, critical)| warning > critical);
    let cpu = settings.cpu_warning_percent > settings.cpu_critical_percent;
    let latency = settings.latency_warning > settings.latency_critical;
    let pairs = [
        (memory, "memory_warning_bytes", "memory_critical_bytes"),
        (cpu, "cpu_warning_percent", "cpu_critical_percent"),
        (latency, "latency_warning", "latency_critical"),
    ];
    for (crossed, warning, critical) in pairs {
        let rejected = |key| health.section.rejected.contains(key);
        if !crossed || rejected(warning) || rejected(critical) {
            continue;
        }
        let (key, message) = match health.set_at(warning) {
            Some(_) => (warning, format!("is above {critical}; warn at or below it")),
            None => (critical, format!("is below {warning}; set that too")),
        };
        mistakes.push(Mistake::error(health.place(key), health.key(key), message));
    }
    settings
}
