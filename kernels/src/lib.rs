//! Bit-reproducible quantized SIMD kernels.
