//! SIMD kernels, forward and backward, on plain f32 slices.
