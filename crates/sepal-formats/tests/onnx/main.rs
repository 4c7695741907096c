//! ONNX files: written, read back, described, and damaged.

mod export;
mod fixtures;
mod hostile;
mod models;
mod round_trip;
