//! Our own plant simulator as a source, for trials and load tests without a plant.

use std::path::Path;
use std::time::Duration;

use super::{Source, SourceContext, SourceFuture, SourceState, stopped};
use crate::frame::Sample;
use crate::simulate::faults::{Fault, FaultError};
use crate::simulate::{Plant, SENSORS};

/// Plays the plant, dated from now on in steps of the period, however fast it is asked to go.
pub struct SimulatorSource {
    seed: u64,
    /// Frames a second of wall-clock time.
    rate: f64,
    period: Duration,
    faults: Vec<Fault>,
}

impl SimulatorSource {
    /// # Errors
    /// The file of faults is unusable.
    pub fn open(
        seed: u64,
        rate: f64,
        period: Duration,
        faults: Option<&Path>,
    ) -> Result<Self, FaultError> {
        let faults = match faults {
            Some(path) => crate::simulate::faults::load(path)?,
            None => Vec::new(),
        };
        Ok(SimulatorSource {
            seed,
            rate,
            period,
            faults,
        })
    }

    async fn play(self, mut ctx: SourceContext) {
        let start = ctx.clock.now();
        let mut plant = Plant::with_faults(self.seed, self.period, start, self.faults);
        // Columns that the model does not know are left out, as for every source.
        let columns: Vec<Option<usize>> = SENSORS
            .iter()
            .map(|sensor| ctx.sensors.get(sensor.name))
            .collect();
        let mut row = Vec::with_capacity(columns.len());
        let mut time = start;
        let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate));
        ctx.status.set_state(SourceState::Connected);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = stopped(&mut ctx.stop) => break,
            }
            row.clear();
            let values = columns.iter().zip(plant.step());
            row.extend(values.filter_map(|(sensor, &value)| {
                sensor.map(|sensor| Sample {
                    sensor,
                    time,
                    value,
                })
            }));
            row.iter().for_each(|_| ctx.status.count_received());
            ctx.queue.push_row_waiting(&row).await;
            time = time.plus(self.period);
        }
        ctx.status.set_state(SourceState::Ended);
    }
}

impl Source for SimulatorSource {
    fn name(&self) -> &str {
        "simulator"
    }

    fn run(self: Box<Self>, ctx: SourceContext) -> SourceFuture {
        Box::pin(async move {
            self.play(ctx).await;
            Ok(())
        })
    }
}
