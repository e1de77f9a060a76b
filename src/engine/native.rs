//! The native engine (contract).
