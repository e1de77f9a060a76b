//! Stage ingest (contract).

pub mod csv;
pub mod time;
pub mod value;
