//! Sensors in the registers of a Modbus TCP device, which is asked for them again and again.
//!
//! Rules:
//! - A source is one device, with a connection and a task of its own: what one device does costs
//!   its own sensors only.
//! - What is read in one round is one row, dated when its first answer came. A value that takes several
//!   registers is never put together from two answers.
//! - NaN, an infinity, and what `missing` names are missing values. So are the registers that the
//!   device refuses with an exception; it is asked for them again in the next round.
//! - No answer in time, a closed connection, or an answer that is not to the question (another
//!   transaction, unit, function or number of registers) ends the connection. A new one is tried
//!   after 1 s at first and 1 min at most.
//! - A round waits while the queue is full: a device that is asked less often loses nothing.
//!
//! Imports `frame`, `register` and its siblings of stage ingest.

mod answer;
mod plan;
mod session;
mod value;

use std::sync::Arc;
use std::time::Duration;

use super::intake::Intake;
use super::{IngestError, Source, SourceContext, SourceFuture, SourceState};
pub use crate::register::{RegisterTable, RegisterType, WordOrder};

const LOG_TARGET: &str = "in-modbus";

/// One device and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusConfig {
    pub host: String,
    pub port: u16,
    /// The device behind a gateway.
    pub unit: u8,
    /// From one round to the next.
    pub poll: Duration,
    /// Of one answer, and of connecting.
    pub timeout: Duration,
    /// Registers that one request may ask for, 1 to 125; 16 times as many bits.
    pub max_registers: u16,
    /// Unwanted registers between two wanted ones that are read along.
    pub max_gap: u16,
    pub sensors: Vec<ModbusSensor>,
}

/// Where one sensor's value stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusSensor {
    /// As the model calls it.
    pub sensor: String,
    pub table: RegisterTable,
    /// Of its first register, counted from 0.
    pub address: u16,
    pub kind: RegisterType,
    pub order: WordOrder,
    /// The value is what is read times `scale` plus `offset`.
    pub scale: f64,
    pub offset: f64,
    /// What is read, with or without a sign, where the device has no value.
    pub missing: Option<f64>,
}

impl ModbusSensor {
    /// A sensor that is one register, as it is.
    pub fn new(sensor: impl Into<String>, table: RegisterTable, address: u16) -> Self {
        ModbusSensor {
            sensor: sensor.into(),
            table,
            address,
            kind: if table.is_bits() {
                RegisterType::Bit(0)
            } else {
                RegisterType::U16
            },
            order: WordOrder::default(),
            scale: 1.0,
            offset: 0.0,
            missing: None,
        }
    }
}

/// Reads sensors from one device. Waits while the queue is full.
pub struct ModbusSource {
    name: String,
    config: ModbusConfig,
}

impl ModbusSource {
    /// # Errors
    /// A sensor's registers go beyond the last one, or its bit is none of a register.
    pub fn new(config: ModbusConfig) -> Result<Self, IngestError> {
        for sensor in &config.sensors {
            plan::check(sensor).map_err(|reason| IngestError::Register {
                sensor: sensor.sensor.clone(),
                reason,
            })?;
        }
        Ok(ModbusSource {
            name: format!(
                "modbus {}:{} unit {}",
                config.host, config.port, config.unit
            ),
            config,
        })
    }
}

impl Source for ModbusSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture {
        Box::pin(async move {
            let status = Arc::clone(&ctx.status);
            let mut intake = Intake::new(&ctx, LOG_TARGET);
            let mut known = Vec::with_capacity(self.config.sensors.len());
            for sensor in &self.config.sensors {
                match intake.sensors().admit(&sensor.sensor) {
                    Some(index) => known.push((index, sensor.clone())),
                    None => intake.ignore(&sensor.sensor, &"source.modbus.registers"),
                }
            }
            session::run(&self.name, &self.config, known, intake, ctx).await;
            status.set_state(SourceState::Ended);
            Ok(())
        })
    }
}
