//! Stage cli (contract).

pub mod evaluate;
