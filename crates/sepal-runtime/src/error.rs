//! The crate's error.

use sepal_graph::Shape;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// Why a model cannot be compiled or a session cannot run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The model itself is wrong: its graph is not valid or its weights do not fit.
    #[error(transparent)]
    Model(#[from] sepal_graph::Error),
    /// A plan for no images at all.
    #[error("the largest batch is 0, must be at least 1")]
    EmptyBatch,
    /// A session takes one tensor and gives one.
    #[error("the network has {} {what}s ({}), only networks with one {what} can be run", paths.len(), paths.join(", "))]
    Interface {
        /// `input` or `output`.
        what: &'static str,
        /// Paths of all of them.
        paths: Vec<String>,
    },
    /// A tensor does not fit the address space.
    #[error("node `{path}`: a value of {shape} does not fit the address space, use a smaller input")]
    TooLarge {
        /// The node's path.
        path: String,
        /// Shape of its value for one image.
        shape: Shape,
    },
    /// All tensors together do not fit the address space.
    #[error("the values of the network do not fit the address space together, use a smaller input")]
    ArenaTooLarge,
    /// Models do not share what they were said to.
    #[error("tensor `{path}` is said to be shared, but differs from that of the models compiled before")]
    NotShared {
        /// The tensor's path.
        path: String,
    },
    /// The input of a run has a length that is no batch.
    #[error("input `{path}` has {actual} values, must be {} for each of 1 to {max_batch} images of {shape}", shape.elements())]
    InputLength {
        /// Path of the input node.
        path: String,
        /// Shape of one image.
        shape: Shape,
        /// The most images of one run.
        max_batch: usize,
        /// Values given.
        actual: usize,
    },
    /// The output of a run has no room for the batch, or too much.
    #[error("output `{path}` has {actual} values, must be {batch} × {} for images of {shape}", shape.elements())]
    OutputLength {
        /// Path of the output node.
        path: String,
        /// Shape of one image's output.
        shape: Shape,
        /// Images of the input.
        batch: usize,
        /// Values there is room for.
        actual: usize,
    },
}
