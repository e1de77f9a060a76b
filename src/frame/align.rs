//! Samples to frames (contract, to be implemented).
