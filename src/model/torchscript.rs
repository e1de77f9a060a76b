//! TorchScript archives without Python (contract).
