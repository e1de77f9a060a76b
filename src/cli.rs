//! Stage cli (contract).
pub mod simulate;
