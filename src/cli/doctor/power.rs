//! Power and heat of the board. Imports `health`.

use std::path::Path;

use super::Check;
use crate::health::throttle::ThrottleSource;
use crate::health::{Machine, Throttle, temperature, tree};

const SUPPLY: &str = "power supply";
const THROTTLING: &str = "throttling";
const TEMPERATURE: &str = "temperature";
/// Where the Raspberry Pi 4 begins to slow down.
const HOT_CELSIUS: f64 = 80.0;

pub fn checks(root: &Path) -> Vec<Check> {
    let mut checks = match ThrottleSource::find(root).read() {
        Some(throttle) => vec![supply(&throttle), throttling(&throttle)],
        None => {
            let why = silent(root);
            vec![Check::skip(SUPPLY, why), Check::skip(THROTTLING, why)]
        }
    };
    checks.push(temperature(root));
    checks
}

fn silent(root: &Path) -> &'static str {
    if tree::below(root, "dev/vcio").exists() {
        "the firmware cannot be asked; try sudo anomalyd doctor"
    } else if Machine::read(root).is_raspberry_pi() {
        "this kernel has no way to ask the firmware (/dev/vcio)"
    } else {
        "only a Raspberry Pi tells"
    }
}

fn supply(throttle: &Throttle) -> Check {
    let remedy = "use a 5.1 V 3 A supply and a short cable";
    match (throttle.under_voltage, throttle.under_voltage_since_boot) {
        (Some(true), _) => Check::fail(SUPPLY, "under-voltage now", remedy),
        (_, Some(true)) => Check::fail(SUPPLY, "under-voltage since boot", remedy),
        (Some(false), None) => Check::ok(SUPPLY, "no under-voltage now (before: not told)"),
        (Some(false), Some(false)) => Check::ok(SUPPLY, "no under-voltage since boot"),
        (None, _) => Check::skip(SUPPLY, "the firmware does not tell"),
    }
}

fn throttling(throttle: &Throttle) -> Check {
    let how = |throttled: Option<bool>, limited: Option<bool>| match (throttled, limited) {
        (Some(true), _) => "throttled",
        (_, Some(true)) => "at the temperature limit",
        _ => "capped in its frequency",
    };
    let remedy = "cool the board (heat sink, fan); if it is cool, see the power supply";
    match (throttle.slowed(), throttle.slowed_since_boot()) {
        (Some(true), _) => {
            let how = how(throttle.throttled, throttle.temperature_limited);
            Check::fail(THROTTLING, format!("the processor is {how} now"), remedy)
        }
        (_, Some(true)) => {
            let how = how(
                throttle.throttled_since_boot,
                throttle.temperature_limited_since_boot,
            );
            let text = format!("the processor was {how} since boot");
            Check::fail(THROTTLING, text, remedy)
        }
        (Some(false), _) => Check::ok(THROTTLING, "not throttled since boot"),
        (None, _) => Check::skip(THROTTLING, "only under-voltage is told here"),
    }
}

fn temperature(root: &Path) -> Check {
    let zone = temperature::find_zone(root);
    match zone.and_then(|zone| temperature::read(root, &zone)) {
        Some(celsius) if celsius >= HOT_CELSIUS => Check::fail(
            TEMPERATURE,
            format!("{celsius:.0} C, slowed down from {HOT_CELSIUS:.0} C"),
            "cool the board (heat sink, fan, air around it)",
        ),
        Some(celsius) => Check::ok(TEMPERATURE, format!("{celsius:.0} C")),
        None => Check::skip(TEMPERATURE, "no sensor here"),
    }
}
