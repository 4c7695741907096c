//! The tests of the public interface, one binary so that they link once.

mod cifar;
mod common;
mod decathlon;
mod folder;
mod idx;
mod loader;
mod masks;
mod pictures;
mod preprocess;
