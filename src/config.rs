//! Stage config (contract).
