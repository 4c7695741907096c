//! ONNX files: written, read back, described, and damaged.

mod export;
mod models;
mod round_trip;
