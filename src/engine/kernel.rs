//! SIMD kernels (contract).
