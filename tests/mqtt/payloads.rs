//! What real devices publish, and how a sensor is configured for it.

use anomalyd::ingest::mqtt::MqttSensor;

pub struct Case {
    pub device: &'static str,
    /// topic, path, conditions
    pub config: (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
    ),
    /// Published one after the other on a topic, with what the sensor has to read; NaN is -1,
    /// nothing is no reading at all.
    pub messages: &'static [(&'static str, &'static str, Option<f64>)],
}

impl Case {
    pub fn sensor(&self) -> MqttSensor {
        let (topic, path, conditions) = self.config;
        MqttSensor {
            path: (!path.is_empty()).then(|| path.parse().unwrap()),
            conditions: conditions
                .iter()
                .map(|(path, value)| (path.parse().unwrap(), (*value).to_owned()))
                .collect(),
            ..MqttSensor::new(self.device, topic)
        }
    }
}

const SHELLY_STATUS: &str = r#"{"id":0,"source":"timer","output":true,"apower":1432.7,"voltage":231.4,"current":6.211,"aenergy":{"total":48211.104,"by_minute":[23878.2,23904.1,23899.6],"minute_ts":1764072000},"temperature":{"tC":51.3,"tF":124.4}}"#;
const SHELLY_EVENT: &str = r#"{"src":"shellyplus1pm-a8032ab1c2d4","dst":"shellyplus1pm-a8032ab1c2d4/events","method":"NotifyStatus","params":{"ts":1764072000.31,"switch:0":{"id":0,"apower":1431.9,"current":6.208}}}"#;
const SHELLY_OTHER_EVENT: &str = r#"{"src":"shellyplus1pm-a8032ab1c2d4","dst":"shellyplus1pm-a8032ab1c2d4/events","method":"NotifyStatus","params":{"ts":1764072001.02,"wifi":{"rssi":-61}}}"#;
const ZIGBEE: &str = r#"{"battery":87,"humidity":61.24,"last_seen":"2025-11-25T12:00:00+00:00","linkquality":112,"pressure":1009.3,"temperature":18.71,"voltage":2985}"#;
const ZIGBEE_CONTACT: &str = r#"{"battery":100,"contact":false,"device_temperature":22,"linkquality":96,"power_outage_count":4,"voltage":3055}"#;
const TASMOTA: &str = r#"{"Time":"2025-11-25T13:00:00","DS18B20-1":{"Id":"01131B7A5C2F","Temperature":63.8},"DS18B20-2":{"Id":"0113197F02D1","Temperature":41.2},"ENERGY":{"TotalStartTime":"2023-02-11T08:21:05","Total":2314.562,"Yesterday":3.122,"Power":342,"Factor":0.97,"Voltage":229,"Current":1.54},"TempUnit":"C"}"#;
const TASMOTA_WITHOUT_SENSOR: &str = r#"{"Time":"2025-11-25T13:05:00","DS18B20-1":{"Id":"01131B7A5C2F","Temperature":null},"TempUnit":"C"}"#;
const RTL_433_OURS: &str = r#"{"time":"2025-11-25 12:00:00","model":"Nexus-TH","id":42,"channel":1,"battery_ok":1,"temperature_C":-4.3,"humidity":88,"mic":"CRC"}"#;
const RTL_433_NEIGHBOUR: &str = r#"{"time":"2025-11-25 12:00:01","model":"Nexus-TH","id":191,"channel":1,"battery_ok":1,"temperature_C":19.9,"humidity":41}"#;
const PLC: &str = r#"{"timestamp":1764072000000,"gateway":"line1","values":[{"id":"S7.DB10.FIT101","v":2.47,"q":true,"t":1764072000000},{"id":"S7.DB10.LIT101","v":"812,5","q":true},{"id":"S7.DB10.P101","v":true,"q":true}]}"#;
const VICTRON: &str = r#"{"value":87.5}"#;

pub const CASES: &[Case] = &[
    Case {
        device: "Shelly, first generation, power",
        config: ("shellies/shellyem-B9F1A2/emeter/0/power", "", &[]),
        messages: &[
            (
                "shellies/shellyem-B9F1A2/emeter/0/power",
                "512.38",
                Some(512.38),
            ),
            (
                "shellies/shellyem-B9F1A2/emeter/0/power",
                "-3.10",
                Some(-3.1),
            ),
        ],
    },
    Case {
        device: "Shelly, first generation, relay",
        config: ("shellies/shelly1-C4A0/relay/0", "", &[]),
        messages: &[
            ("shellies/shelly1-C4A0/relay/0", "on", Some(1.0)),
            ("shellies/shelly1-C4A0/relay/0", "off", Some(0.0)),
            ("shellies/shelly1-C4A0/relay/0", "overpower", Some(-1.0)),
        ],
    },
    Case {
        device: "Shelly, second generation, status",
        config: (
            "shellyplus1pm-a8032ab1c2d4/status/switch:0",
            "temperature.tC",
            &[],
        ),
        messages: &[(
            "shellyplus1pm-a8032ab1c2d4/status/switch:0",
            SHELLY_STATUS,
            Some(51.3),
        )],
    },
    Case {
        device: "Shelly, second generation, energy of the last minute",
        config: (
            "shellyplus1pm-a8032ab1c2d4/status/+",
            "aenergy.by_minute[0]",
            &[("id", "0")],
        ),
        messages: &[
            (
                "shellyplus1pm-a8032ab1c2d4/status/switch:0",
                SHELLY_STATUS,
                Some(23_878.2),
            ),
            (
                "shellyplus1pm-a8032ab1c2d4/status/wifi",
                r#"{"rssi":-61}"#,
                None,
            ),
        ],
    },
    Case {
        device: "Shelly, second generation, event",
        config: (
            "shellyplus1pm-a8032ab1c2d4/events/rpc",
            "params.switch:0.apower",
            &[],
        ),
        messages: &[
            (
                "shellyplus1pm-a8032ab1c2d4/events/rpc",
                SHELLY_EVENT,
                Some(1431.9),
            ),
            (
                "shellyplus1pm-a8032ab1c2d4/events/rpc",
                SHELLY_OTHER_EVENT,
                None,
            ),
        ],
    },
    Case {
        device: "Zigbee2MQTT, a name with spaces",
        config: ("zigbee2mqtt/Cold room 1/north wall", "temperature", &[]),
        messages: &[("zigbee2mqtt/Cold room 1/north wall", ZIGBEE, Some(18.71))],
    },
    Case {
        device: "Zigbee2MQTT, a name beyond ASCII",
        config: ("zigbee2mqtt/Kühlraum", "humidity", &[]),
        messages: &[
            ("zigbee2mqtt/Kühlraum", ZIGBEE, Some(61.24)),
            (
                "zigbee2mqtt/Kühlraum",
                r#"{"humidity":null,"temperature":18.7}"#,
                Some(-1.0),
            ),
        ],
    },
    Case {
        device: "Zigbee2MQTT, a door",
        config: ("zigbee2mqtt/door", "contact", &[]),
        messages: &[("zigbee2mqtt/door", ZIGBEE_CONTACT, Some(0.0))],
    },
    Case {
        device: "Zigbee2MQTT, availability",
        config: ("zigbee2mqtt/pump/availability", "state", &[]),
        messages: &[
            (
                "zigbee2mqtt/pump/availability",
                r#"{"state":"offline"}"#,
                Some(-1.0),
            ),
            ("zigbee2mqtt/pump/availability", "offline", Some(-1.0)),
        ],
    },
    Case {
        device: "Tasmota, power",
        config: ("tele/boiler/SENSOR", "ENERGY.Power", &[]),
        messages: &[("tele/boiler/SENSOR", TASMOTA, Some(342.0))],
    },
    Case {
        device: "Tasmota, a sensor that fell off",
        config: ("tele/boiler/SENSOR", "DS18B20-1.Temperature", &[]),
        messages: &[
            ("tele/boiler/SENSOR", TASMOTA, Some(63.8)),
            ("tele/boiler/SENSOR", TASMOTA_WITHOUT_SENSOR, Some(-1.0)),
        ],
    },
    Case {
        device: "rtl_433, one of many on a topic",
        config: (
            "rtl_433/+/events",
            "temperature_C",
            &[("model", "Nexus-TH"), ("id", "42")],
        ),
        messages: &[
            ("rtl_433/raspberrypi/events", RTL_433_NEIGHBOUR, None),
            ("rtl_433/raspberrypi/events", RTL_433_OURS, Some(-4.3)),
        ],
    },
    Case {
        device: "rtl_433, a topic for each value",
        config: (
            "rtl_433/raspberrypi/devices/Nexus-TH/1/42/humidity",
            "",
            &[],
        ),
        messages: &[(
            "rtl_433/raspberrypi/devices/Nexus-TH/1/42/humidity",
            "88",
            Some(88.0),
        )],
    },
    Case {
        device: "PLC gateway, number",
        config: ("plant/line1/data", "values[0].v", &[("gateway", "line1")]),
        messages: &[("plant/line1/data", PLC, Some(2.47))],
    },
    Case {
        device: "PLC gateway, switch",
        config: ("plant/line1/data", "values[2].v", &[]),
        messages: &[("plant/line1/data", PLC, Some(1.0))],
    },
    Case {
        device: "PLC gateway, a number in a text that is none",
        config: ("plant/line1/data", "values[1].v", &[]),
        messages: &[("plant/line1/data", PLC, Some(-1.0))],
    },
    Case {
        device: "Victron",
        config: ("N/c0619ab1c2d4/system/0/Dc/Battery/Soc", "value", &[]),
        messages: &[(
            "N/c0619ab1c2d4/system/0/Dc/Battery/Soc",
            VICTRON,
            Some(87.5),
        )],
    },
    Case {
        device: "ESPHome",
        config: ("greenhouse/sensor/soil/state", "", &[]),
        messages: &[
            ("greenhouse/sensor/soil/state", "21.48", Some(21.48)),
            ("greenhouse/sensor/soil/state", "nan", Some(-1.0)),
        ],
    },
    Case {
        device: "Home Assistant statestream",
        config: ("homeassistant/sensor/outside/state", "", &[]),
        messages: &[
            (
                "homeassistant/sensor/outside/state",
                "unavailable",
                Some(-1.0),
            ),
            ("homeassistant/sensor/outside/state", "\"7.5\"", Some(7.5)),
        ],
    },
];
