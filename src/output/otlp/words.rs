//! Values in the standard's JSON, and what every request says of who sends it. 64-bit whole numbers are text
//! there, and enumerations numbers. Imports its parent.

use serde_json::{Value, json};

use super::Origin;

/// Who sends.
pub fn resource(origin: &Origin) -> Value {
    let mut attributes = vec![
        attribute("service.name", text("anomalyd")),
        attribute("service.instance.id", text(&origin.instance)),
        attribute("service.version", text(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some(host) = &origin.host {
        attributes.push(attribute("host.name", text(host)));
    }
    if let Some(plant) = &origin.plant {
        attributes.push(attribute("anomalyd.plant", text(plant)));
    }
    json!({ "attributes": attributes })
}

/// Which part of it.
pub fn scope() -> Value {
    json!({ "name": "anomalyd", "version": env!("CARGO_PKG_VERSION") })
}

pub fn attribute(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

pub fn text(text: &str) -> Value {
    json!({ "stringValue": text })
}

/// None where it is not finite: JSON has no such number.
pub fn number(number: f64) -> Option<Value> {
    number.is_finite().then(|| json!({ "doubleValue": number }))
}

pub fn array(values: impl Iterator<Item = Value>) -> Value {
    json!({ "arrayValue": { "values": values.collect::<Vec<Value>>() } })
}

/// As JSON has it, where that is a text.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

pub fn bytes(value: &Value) -> Vec<u8> {
    // A value is always JSON.
    serde_json::to_vec(value).unwrap_or_default()
}
