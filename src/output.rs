//! Stage output (contract).
