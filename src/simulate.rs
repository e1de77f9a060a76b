//! Stage simulate (contract).
