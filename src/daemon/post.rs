//! From the settings to the outputs that store and forward, and what the service tells them about itself.

use std::path::Path;

use super::broker::{config as reached, host};
use super::care::Care;
use super::status;
use super::view::View;
use crate::alarm::AlarmRecord;
use crate::broker;
use crate::config::{ConfigError, Mistake, Settings};
use crate::output::mqtt::MqttOutputConfig;
use crate::output::otlp::{self, Origin, OtlpConfig};
use crate::output::{PostConfig, StateWords};
use crate::state::{ALARMS, AlarmLog};

/// # Errors
/// A password, headers or an authority's certificates cannot be read.
pub fn configs(settings: &Settings) -> Result<Vec<PostConfig>, ConfigError> {
    let mqtt = mqtt(settings)?.map(PostConfig::Mqtt);
    let otlp = otlp(settings)?.map(PostConfig::Otlp);
    Ok(mqtt.into_iter().chain(otlp).collect())
}

fn mqtt(settings: &Settings) -> Result<Option<MqttOutputConfig>, ConfigError> {
    let Some(mqtt) = &settings.output.mqtt else {
        return Ok(None);
    };
    let mistake = |key: &str, text: String| ConfigError {
        mistakes: vec![Mistake::error(&mqtt.broker.place, key, text)],
    };
    let broker = reached(&mqtt.broker, "output.mqtt", "out")?;
    broker::options(&broker).map_err(|error| mistake("output.mqtt.ca_file", error.to_string()))?;
    Ok(Some(MqttOutputConfig {
        broker,
        prefix: mqtt.prefix.clone(),
        device: mqtt.device.clone().unwrap_or_else(device),
        name: settings.name.clone(),
        score_every: mqtt.score_every,
        health_every: mqtt.health_every,
        home_assistant: mqtt.home_assistant,
        home_assistant_prefix: mqtt.home_assistant_prefix.clone(),
        queue_bytes: mqtt.queue_bytes,
        catch_up_per_second: mqtt.catch_up_per_second,
    }))
}

fn otlp(settings: &Settings) -> Result<Option<OtlpConfig>, ConfigError> {
    let Some(otlp) = &settings.output.otlp else {
        return Ok(None);
    };
    let mistake = |key: &str, text: String| ConfigError {
        mistakes: vec![Mistake::error(&otlp.place, key, text)],
    };
    let headers = match &otlp.headers {
        None => Vec::new(),
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| otlp::headers(&text))
            .map_err(|error| mistake("output.otlp.headers_file", error))?,
    };
    let tls = match otlp.endpoint.tls {
        false => None,
        true => Some(
            otlp::tls(otlp.ca_file.as_deref())
                .map_err(|error| mistake("output.otlp.ca_file", error.to_string()))?,
        ),
    };
    Ok(Some(OtlpConfig {
        host: otlp.endpoint.host.clone(),
        port: otlp.endpoint.port,
        path: otlp.endpoint.path.clone(),
        tls,
        headers,
        origin: Origin {
            instance: otlp.device.clone().unwrap_or_else(device),
            host: host(),
            plant: settings.name.clone(),
        },
        metrics_every: otlp.metrics_every,
        queue_bytes: otlp.queue_bytes,
        catch_up_per_second: otlp.catch_up_per_second,
    }))
}

/// The host name, as a level of a topic.
fn device() -> String {
    let host = host().unwrap_or_else(|| "appliance".to_owned());
    let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' || c == '_' {
        true => c,
        false => '_',
    };
    host.chars().map(plain).take(64).collect()
}

/// The last alarms, as the state folder has them.
pub fn known(state: &Path) -> Vec<AlarmRecord> {
    match AlarmLog::read(&state.join(ALARMS)) {
        Ok(records) => records,
        Err(error) => {
            log::warn!(target: "out", "{error}");
            Vec::new()
        }
    }
}

pub fn words(view: Option<&View>, care: &Care) -> StateWords {
    let degraded = care.degraded();
    StateWords {
        state: status::state(view, degraded.as_ref()).to_owned(),
        text: status::state_text(view, degraded),
        model: view.and_then(|view| view.model.clone()),
    }
}
