//! `anomalyd evaluate`: detection quality of a model on a labelled recording.

pub mod table;
