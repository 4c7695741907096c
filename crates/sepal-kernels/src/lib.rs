//! The arithmetic of Sepal: SIMD kernels, forward and backward, on plain `f32` slices.
//!
//! Activations are *channel blocks*: `[ceil(C / 16)][N·H·W][16]`, see [`Dims`]. A pixel's sixteen
//! channels are one cache line and one AVX-512 register; a channel block of all pixels is one
//! contiguous plane, so a pointwise convolution is a matrix product that does not know about images,
//! and a depthwise convolution is a filter over planes that does not know about other channels.
//!
//! Every kernel is written once against vectors of sixteen lanes and compiled for each instruction set;
//! [`Level`] picks one at run time. Work is cut by problem size and partial sums are added in a fixed
//! order, so the result has the same bits for any number of threads.

mod act;
pub mod arrange;
pub mod chain;
pub mod conv;
mod denormals;
pub mod depthwise;
pub mod elementwise;
mod exec;
mod geometry;
mod isa;
mod lanes;
pub mod layer_norm;
mod layout;
pub mod loss;
#[cfg(not(target_family = "wasm"))]
pub mod measure;
pub mod norm;
mod pass;
pub mod pool;
pub mod pooling;
pub mod scale;
pub mod softmax;
mod source;
#[cfg(test)]
mod testing;
pub mod update;

pub use act::{Act, Smooth};
pub use exec::{Exec, fill_parts, per_worker};
pub use geometry::{Conv, Epilogue, Input, InputGrad, Write};
pub use isa::Level;
pub use layout::{Buffer, Dims, LANES, from_nchw, pixels_from_nchw, to_nchw};
pub use source::{GradSource, NormGrad, Source};
