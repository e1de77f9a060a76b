//! CSV recordings.
