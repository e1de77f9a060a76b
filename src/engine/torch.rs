//! The torch engine's client (contract).
