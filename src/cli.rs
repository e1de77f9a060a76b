//! Stage cli (contract).
pub mod check_config;
