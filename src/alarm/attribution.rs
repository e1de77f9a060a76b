//! Puts an alarm's responsible sensors into the words and units of the plant.

use super::SensorEvidence;
use crate::frame::Frame;
use crate::model::Manifest;
use crate::model::manifest::HeadKind;
use crate::score::Scorer;
use crate::window::Standardiser;

/// Sensors an alarm event carries; people are shown the first three.
pub const NAMED_SENSORS: usize = 5;
/// Neighbours named as the origin of an expectation.
const NAMED_NEIGHBOURS: usize = 3;

/// Evidence for the newest sample: `frame` as read, `x` `[F]` as standardised.
pub fn evidence(
    manifest: &Manifest,
    standardiser: &Standardiser,
    scorer: &Scorer,
    attenuation: &[f32],
    frame: &Frame,
    x: &[f32],
) -> Vec<SensorEvidence> {
    let responsible = scorer.responsible(x, attenuation, NAMED_SENSORS);
    let named = responsible.into_iter().map(|one| {
        let sensor = &manifest.sensors[one.sensor];
        let sources = manifest
            .edges
            .iter()
            .filter(|edge| edge.target == one.sensor);
        let from = match one.head {
            HeadKind::Neighbour => sources
                .take(NAMED_NEIGHBOURS)
                .map(|edge| manifest.sensors[edge.source].name.clone())
                .collect(),
            HeadKind::Reconstruction | HeadKind::Raw => Vec::new(),
        };
        SensorEvidence {
            sensor: sensor.name.clone(),
            unit: sensor.unit.clone(),
            seen: Some(frame.values[one.sensor]),
            expected: Some(standardiser.in_unit(one.sensor, one.expected)),
            from,
            head: one.head.name(),
            strength: f64::from(one.strength),
        }
    });
    named.collect()
}
