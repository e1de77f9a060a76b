//! The service under one load: started, warmed up, watched, ended. Imports `health` and its
//! siblings.

use std::time::{Duration, Instant};

use super::cap::Cage;
use super::fit::Slope;
use super::interrupt::Interrupt;
use super::load::{Load, Rows};
use super::meter::{Meter, Sums};
use super::outcome::{Cap, Phase, Reading};
use super::service::{Service, ServiceError, Setup};
use crate::control::{Latencies, Status};
use crate::health::Probe;

/// Readings between two questions to the service. It takes processor time and wakes up to answer, which is
/// no part of its work: at a row a second a question a second was most of its wake-ups.
const READINGS_A_QUESTION: usize = 10;

/// One load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub name: &'static str,
    pub period: Duration,
    pub warm_up: Duration,
    pub lasts: Duration,
}

/// What came of it.
pub struct Watched {
    /// Absent where nothing was measured.
    pub phase: Option<Phase>,
    pub cap: Option<Cap>,
    /// Why it ended early.
    pub cut_short: Option<ServiceError>,
}

/// How things stand at one moment.
struct Counts {
    sent: u64,
    status: Status,
    latencies: Latencies,
}

impl Counts {
    fn read(load: &Load, service: &Service) -> Result<Counts, ServiceError> {
        Ok(Counts {
            sent: load.sent(),
            status: service.status()?,
            latencies: service.latencies()?,
        })
    }
}

/// Runs the service under `plan`; `show` is told how far it is, from 0 to 1.
pub fn watch(
    plan: Plan,
    setup: &Setup,
    cage: &Cage,
    rows: Rows,
    probe: &mut Probe,
    interrupt: &Interrupt,
    show: &dyn Fn(f64),
) -> Watched {
    let mut cap = None;
    let run = || -> Result<(Option<Phase>, Option<ServiceError>), ServiceError> {
        let mut service = Service::start(setup, cage, plan.period, interrupt)?;
        cap = Some(cage.facts(service.id()));
        let load = Load::start(&service.rows_socket(), rows, plan.period)
            .map_err(|error| ServiceError::NoAnswer(format!("its socket for rows: {error}")))?;
        if interrupt.wait_until(Instant::now() + plan.warm_up) {
            return Err(ServiceError::Interrupted);
        }
        let before = Counts::read(&load, &service)?;
        let mut meter = Meter::start(service.id(), cage, probe);
        let end = Instant::now() + plan.lasts;
        let mut last = None;
        let mut cut_short = None;
        while meter.due() <= end + Duration::from_millis(10) {
            if interrupt.wait_until(meter.due()) {
                cut_short = Some(ServiceError::Interrupted);
                meter.read_rest();
                break;
            }
            if let Err(error) = service.check() {
                cut_short = Some(error);
                break;
            }
            meter.read();
            let left = end.saturating_duration_since(Instant::now());
            show(1.0 - left.as_secs_f64() / plan.lasts.as_secs_f64().max(1e-9));
            if meter.readings().is_multiple_of(READINGS_A_QUESTION) {
                last = match Counts::read(&load, &service) {
                    Ok(counts) => Some((counts, meter.totals())),
                    Err(error) => {
                        cut_short = Some(error);
                        break;
                    }
                };
            }
        }
        match Counts::read(&load, &service) {
            Ok(counts) => last = Some((counts, meter.totals())),
            // What was asked last holds until then.
            Err(error) => cut_short = cut_short.or(Some(error)),
        }
        let cgroup_peak = cage.peak(service.id());
        let (lateness, _) = load.stop();
        let saved = service.stop();
        let phase = last.map(|(after, totals)| Phase {
            load_lateness: lateness,
            saved_bytes: saved,
            cgroup_peak_bytes: cgroup_peak,
            ..phase(plan, &before, after, meter.finish(&totals))
        });
        Ok((phase, cut_short))
    };
    let ended = run();
    let (phase, cut_short) = ended.unwrap_or_else(|error| (None, Some(error)));
    Watched {
        phase,
        cap,
        cut_short,
    }
}

fn phase(plan: Plan, before: &Counts, after: Counts, sums: Sums) -> Phase {
    let rise = |of: fn(&Status) -> u64| of(&after.status).saturating_sub(of(&before.status));
    let since = &before.latencies;
    Phase {
        name: plan.name.to_owned(),
        rows_per_second: 1.0 / plan.period.as_secs_f64(),
        seconds: sums.seconds,
        rows_sent: after.sent.saturating_sub(before.sent),
        frames_scored: rise(|status| status.scored),
        frames_unscored: rise(|status| status.unscored),
        samples_lost: rise(|status| status.samples_lost),
        latencies: Latencies {
            taken_to_score: after.latencies.taken_to_score.since(&since.taken_to_score),
            age: after.latencies.age.since(&since.age),
        },
        load_lateness: Default::default(),
        rss_slope: slope(&sums.readings, |reading| reading.rss_bytes),
        anon_slope: slope(&sums.readings, |reading| reading.rss_anon_bytes),
        readings: sums.readings,
        cpu_seconds: sums.cpu_seconds,
        wakeups: sums.wakeups,
        written_bytes: sums.written_bytes,
        saved_bytes: None,
        rss_peak_bytes: sums.rss_peak_bytes,
        cgroup_peak_bytes: None,
        foreign_cores: sums.foreign_cores,
        wake_up_seconds: None,
        fetch_seconds: None,
    }
}

/// Bytes a second.
fn slope(readings: &[Reading], bytes: fn(&Reading) -> Option<u64>) -> Option<Slope> {
    let point = |reading: &Reading| Some((reading.at, bytes(reading)? as f64));
    let points: Vec<(f64, f64)> = readings.iter().filter_map(point).collect();
    Slope::through(&points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_seen_through_missing_readings() {
        let reading = |at: f64, rss: Option<u64>| Reading {
            at,
            rss_bytes: rss,
            ..Reading::default()
        };
        let readings = [
            reading(1.0, Some(1_000)),
            reading(2.0, None),
            reading(3.0, Some(3_000)),
            reading(4.0, Some(4_000)),
        ];
        let slope = slope(&readings, |reading| reading.rss_bytes).unwrap();
        assert!((slope.slope - 1_000.0).abs() < 1e-9 && slope.error < 1e-9);
        assert_eq!(
            super::slope(&readings[..2], |reading| reading.rss_bytes),
            None
        );
    }
}
