//! Stage cli (contract).

pub mod model;
