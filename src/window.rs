//! Stage window (contract).
