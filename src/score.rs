//! Stage 5 (contract).
pub mod evaluate;
