//! Home Assistant's device-based discovery: one retained message that makes a device with all its
//! entities (Home Assistant 2024.11 and later). Imports its parent.

use serde_json::{Value, json};

use super::MqttOutputConfig;

impl MqttOutputConfig {
    /// Home Assistant announces here that it has started.
    pub fn birth_topic(&self) -> String {
        format!("{}/status", self.home_assistant_prefix)
    }

    pub fn discovery_topic(&self) -> String {
        format!(
            "{}/device/{}/config",
            self.home_assistant_prefix,
            self.object_id()
        )
    }

    fn object_id(&self) -> String {
        let plain = |c: char| match c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            true => c,
            false => '_',
        };
        let prefix: String = self.prefix.chars().map(plain).collect();
        format!("{prefix}_{}", self.device)
    }

    pub fn discovery(&self) -> Vec<u8> {
        let id = self.object_id();
        let (status, health) = (self.topic("status"), self.topic("health"));
        let reading = |name: &str, key: &str, template: &str, more: Value| {
            let mut entity = json!({
                "p": "sensor",
                "name": name,
                "unique_id": format!("{id}_{key}"),
                "state_topic": health,
                "value_template": format!("{{{{ {template} }}}}"),
                "entity_category": "diagnostic",
                "state_class": "measurement",
            });
            if let (Some(entity), Some(more)) = (entity.as_object_mut(), more.as_object()) {
                entity.extend(more.clone());
            }
            entity
        };
        let payload = json!({
            "dev": {
                "ids": [id],
                "name": self.name.as_deref().unwrap_or(&self.device),
                "mf": "anomalyd",
                "mdl": "anomaly detection",
                "sw": env!("CARGO_PKG_VERSION"),
            },
            "o": {
                "name": "anomalyd",
                "sw": env!("CARGO_PKG_VERSION"),
            },
            "availability_topic": status,
            "availability_template":
                "{{ 'online' if value_json.online else 'offline' }}",
            "qos": 1,
            "cmps": {
                "alarm": {
                    "p": "binary_sensor",
                    "name": "Alarm",
                    "unique_id": format!("{id}_alarm"),
                    "device_class": "problem",
                    "state_topic": status,
                    "value_template":
                        "{{ 'ON' if value_json.open_alarms | default([]) else 'OFF' }}",
                },
                "alarm_event": {
                    "p": "event",
                    "name": "Alarm event",
                    "unique_id": format!("{id}_alarm_event"),
                    "event_types": ["raised", "updated", "cleared"],
                    "state_topic": self.topic("alarm"),
                    "value_template":
                        "{{ {'event_type': value_json.transition, 'alarm': value_json.id, \
                         'score': value_json.score, 'text': value_json.text, \
                         'message': value_json.message} | tojson }}",
                },
                "state": {
                    "p": "sensor",
                    "name": "State",
                    "unique_id": format!("{id}_state"),
                    "device_class": "enum",
                    "options": [
                        "starting", "watching", "alarm", "learning", "degraded", "stuck", "offline",
                    ],
                    "state_topic": status,
                    "value_template": "{{ value_json.state }}",
                },
                "score": {
                    "p": "sensor",
                    "name": "Score",
                    "unique_id": format!("{id}_score"),
                    "state_class": "measurement",
                    "suggested_display_precision": 2,
                    "state_topic": self.topic("score"),
                    "value_template": "{{ value_json.max }}",
                },
                "temperature": reading(
                    "Temperature", "temperature",
                    "value_json.readings.soc_temperature_celsius",
                    json!({ "device_class": "temperature", "unit_of_measurement": "°C" }),
                ),
                "memory": reading(
                    "Memory", "memory",
                    "(value_json.readings.rss_bytes | float(0) / 1000000) | round(1)",
                    json!({ "device_class": "data_size", "unit_of_measurement": "MB" }),
                ),
                "cpu": reading(
                    "Processor", "cpu",
                    "value_json.readings.cpu_percent",
                    json!({ "unit_of_measurement": "%" }),
                ),
            },
        });
        // A value is always JSON.
        serde_json::to_vec(&payload).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn one_message_makes_a_device_with_what_home_assistant_asks_for() {
        let config = example();
        assert_eq!(
            config.discovery_topic(),
            "homeassistant/device/anomalyd_pi/config"
        );
        let value: Value = serde_json::from_slice(&config.discovery()).unwrap();
        assert_eq!(value["dev"]["ids"][0], "anomalyd_pi");
        assert_eq!(value["o"]["name"], "anomalyd");
        let components = value["cmps"].as_object().unwrap();
        let mut ids = Vec::new();
        for (name, component) in components {
            assert!(component["p"].is_string(), "{name}");
            assert!(
                component["state_topic"]
                    .as_str()
                    .unwrap()
                    .starts_with("anomalyd/pi/")
            );
            ids.push(component["unique_id"].as_str().unwrap());
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), components.len());
        let template = value["cmps"]["cpu"]["value_template"].as_str().unwrap();
        assert_eq!(template, "{{ value_json.readings.cpu_percent }}");
    }
}
