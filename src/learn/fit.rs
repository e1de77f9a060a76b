//! From the recording to a model file in force. Imports `train` and its siblings.

use std::fmt;

use super::store::ModelStore;
use super::{LearnConfig, LearnError, Recording, words};
use crate::engine::torch::TorchConfig;
use crate::frame::align::AlignConfig;
use crate::model::manifest::HeadKind;
use crate::score::threshold::Thresholds;
use crate::train::{
    AutoencoderConfig, FEWEST_ROWS, NormalData, NormalRows, TrainConfig, TrainProgress, train,
};

/// T of a model that has no autoencoder: as `anomalyd train` has it.
const WINDOW: usize = 10;

/// What came of a fit. Displayed as `learned from 24 h 00 min: at most 1 false alarm a week; would
/// have raised 0 on what it learned from; watching`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Name and version of the model, which is in force.
    pub model: String,
    /// Recorded time.
    pub seconds: f64,
    pub max_false_alarms_per_week: f64,
    /// Alarms that the rows it learned from would have raised, each judged by a fit that never saw
    /// it.
    pub raised: usize,
    /// Sensors that reported no number, or hardly any: they are not watched.
    pub left_out: Vec<String>,
    /// One block of rows in this many was learned from; the others had no room.
    pub stride: u64,
}

impl fmt::Display for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let budget = self.max_false_alarms_per_week;
        write!(
            f,
            "learned from {}: at most {budget} false alarm{} a week; would have raised {} on what \
             it learned from; watching",
            words::hours(self.seconds),
            if budget == 1.0 { "" } else { "s" },
            self.raised,
        )
    }
}

impl Fitted {
    /// What is worth a line of its own.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.left_out.is_empty() {
            notes.push(format!(
                "not watched, for they reported no number or fewer than {FEWEST_ROWS}: {}",
                words::few(&self.left_out)
            ));
        }
        if self.stride > 1 {
            notes.push(format!(
                "learned from one block of rows in {}, spread evenly over the time: all of them \
                 had no room",
                self.stride
            ));
        }
        notes
    }
}

impl Recording {
    /// Sensors to learn (places), and the names of those that reported too little.
    pub fn learnable(&self) -> (Vec<usize>, Vec<String>) {
        let (wanted, left_out): (Vec<usize>, Vec<usize>) =
            (0..self.sensors.len()).partition(|&i| self.present[i] >= FEWEST_ROWS as u64);
        let name = |i: usize| self.sensors[i].clone();
        (wanted, left_out.into_iter().map(name).collect())
    }
}

/// How the recording's frames are laid on the grid again: they stand on it already, and what was
/// held is in them.
pub fn align(recording: &Recording) -> AlignConfig {
    AlignConfig {
        hold: 0,
        ..AlignConfig::new(recording.period_nanos)
    }
}

/// Fits the closed-form heads to the recording and puts the model in force.
///
/// # Errors
/// The recording makes no model, or it cannot be written.
pub fn fit_and_install(
    recording: &Recording,
    config: &LearnConfig,
    store: &ModelStore,
    progress: &mut dyn FnMut(TrainProgress),
) -> Result<Fitted, LearnError> {
    let (wanted, left_out) = recording.learnable();
    if wanted.is_empty() {
        return Err(LearnError::NoSensor);
    }
    let sensors: Vec<String> = wanted
        .iter()
        .map(|&i| recording.sensors[i].clone())
        .collect();
    let units = vec![String::new(); sensors.len()];
    let each = |take: &mut dyn FnMut(_, &[f64])| recording.each(&wanted, take);
    let data = NormalData {
        sensors: &sensors,
        units: &units,
        rows: NormalRows::Each(&each),
    };
    let budget = config.max_false_alarms_per_week;
    let train_config = TrainConfig {
        name: config.name.clone(),
        version: store.next_version().to_string(),
        command: "anomalyd run, by itself".to_owned(),
        heads: vec![HeadKind::Neighbour, HeadKind::Raw],
        window: WINDOW,
        max_false_alarms_per_week: budget,
        align: align(recording),
        topology: None,
        autoencoder: AutoencoderConfig::default(),
        torch: TorchConfig::default(),
        golden_by_torch: false,
    };
    let trained = train(data, &train_config, &recording.folder, progress)?;
    let candidate = store.candidate();
    let saved = trained.model.save(&candidate);
    saved.map_err(crate::train::TrainError::Model)?;
    let thresholds = Thresholds::for_budget(&trained.model.manifest.charts, budget);
    let raised = trained.calibration.alarms(thresholds);
    // Verifying needs none of it.
    drop(trained);
    let installed = store.install(&candidate)?;
    Ok(Fitted {
        model: installed.model,
        seconds: recording.frames as f64 * recording.period_nanos as f64 / 1e9,
        max_false_alarms_per_week: budget,
        raised,
        left_out,
        stride: recording
            .blocks
            .last()
            .map_or(1, |block| block.header.stride),
    })
}
