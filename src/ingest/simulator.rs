//! Our own plant simulator as a source, for trials and load tests without a plant.

use std::time::Duration;

use super::{Source, SourceContext, SourceFuture, SourceState, stopped};
use crate::frame::Sample;
use crate::simulate::faults::Fault;
use crate::simulate::{Plant, SENSORS};

/// What to play.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorConfig {
    pub seed: u64,
    /// Frames a second of wall-clock time; above 0.
    pub rate: f64,
    /// Time of the plant between two frames.
    pub period: Duration,
    pub faults: Vec<Fault>,
}

/// Plays the plant, dated from now on in steps of the period, however fast it is asked to go.
pub struct SimulatorSource(pub SimulatorConfig);

impl SimulatorSource {
    async fn play(self, mut ctx: SourceContext) {
        let SimulatorConfig {
            seed,
            rate,
            period,
            faults,
        } = self.0;
        let start = ctx.clock.now();
        let mut plant = Plant::with_faults(seed, period, start, faults);
        // Columns that the model does not know are left out, as for every source.
        let columns: Vec<Option<usize>> = SENSORS
            .iter()
            .map(|sensor| ctx.sensors.admit(sensor.name))
            .collect();
        let mut row = Vec::with_capacity(columns.len());
        let mut time = start;
        let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
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
            tokio::select! {
                biased;
                () = ctx.queue.push_row_waiting(&row) => {}
                // Made up and not read: nothing is lost.
                () = stopped(&mut ctx.stop) => break,
            }
            time = time.plus(period);
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
