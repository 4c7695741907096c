//! Compile a model to a plan and run it.
