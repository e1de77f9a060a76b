//! The settings of one Modbus device. Imports its parent's tables and the settings.

use super::table::Table;
use crate::config::mistake::Mistake;
use crate::config::modbus;
use crate::config::settings::{ModbusRegister, ModbusSettings};
use crate::config::value::Value;
use crate::register::{RegisterType, WordOrder};

/// Reports what is missing or contradicts itself; `None` when no connection could be tried.
pub fn modbus(
    name: &str,
    table: &Table<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<ModbusSettings> {
    table.require(mistakes);
    let mut registers = Vec::new();
    for (sensor, entry) in table.tables("registers") {
        entry.require(mistakes);
        registers.extend(register(sensor, &entry, mistakes));
    }
    if let Some(Value::Section(given)) = table.value("registers")
        && given.entries.is_empty()
        && given.rejected.is_empty()
        && !table.around.broken
    {
        let message = "is empty; add a line like LIT101 = \"holding 100\" for each sensor";
        let place = table.place("registers");
        mistakes.push(Mistake::error(place, table.key("registers"), message));
    }
    Some(ModbusSettings {
        name: name.to_string(),
        place: table.section.place.clone(),
        host: table.text("host")?,
        port: table.whole("port")?,
        unit: table.whole("unit")?,
        poll: table.duration("poll")?,
        timeout: table.duration("timeout")?,
        max_registers: table.whole("max_registers")?,
        max_gap: table.whole("max_gap")?,
        registers,
    })
}

fn register(
    sensor: &str,
    entry: &Table<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<ModbusRegister> {
    let mut wrong = |key: &str, message: String| {
        mistakes.push(Mistake::error(entry.place(key), entry.key(key), message));
    };
    let (table, address) = modbus::register(&entry.text("register")?).ok()?;
    let given = entry.text("type");
    let kind = match given.as_deref().map(modbus::register_type) {
        Some(kind) => kind.ok()?,
        None if table.is_bits() => RegisterType::Bit(0),
        None => RegisterType::U16,
    };
    if table.is_bits() {
        for key in ["type", "word_order", "missing"] {
            if entry.set_at(key).is_some() {
                let word = modbus::word(table);
                wrong(
                    key,
                    format!("is of no use: a {word} is one bit; leave it out"),
                );
            }
        }
    } else if u32::from(address) + u32::from(kind.words()) > 65_536 {
        let message = format!(
            "takes {} registers and would end beyond the last one, 65535",
            kind.words()
        );
        wrong("register", message);
    }
    let scale = entry.number("scale")?;
    if scale == 0.0 {
        wrong(
            "scale",
            "makes every value 0; leave it out or correct it".into(),
        );
    }
    let missing = entry.number("missing");
    if let Some(missing) = missing
        && let Some((least, most)) = range(kind)
        && !(missing.fract() == 0.0 && (least..=most).contains(&missing))
        && !table.is_bits()
    {
        let given = given.as_deref().unwrap_or("u16");
        wrong(
            "missing",
            format!("{missing} can never be read from a register of type {given}"),
        );
    }
    let letters = entry.text("word_order");
    Some(ModbusRegister {
        sensor: sensor.to_string(),
        place: entry.section.place.clone(),
        table,
        address,
        kind,
        word_order: letters
            .and_then(|letters| WordOrder::from_letters(&letters))
            .unwrap_or_default(),
        scale,
        offset: entry.number("offset")?,
        missing,
    })
}

/// What the bits of an integer can be read as, with or without a sign.
fn range(kind: RegisterType) -> Option<(f64, f64)> {
    let bits = i32::from(kind.words()) * 16;
    match kind {
        _ if kind.is_float() => None,
        RegisterType::Bit(_) => Some((0.0, 1.0)),
        _ => Some((-(2f64.powi(bits - 1)), 2f64.powi(bits) - 1.0)),
    }
}
