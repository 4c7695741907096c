//! Compile a model to an immutable plan and run it.

pub mod arena;
