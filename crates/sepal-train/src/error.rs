//! The crate's error.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong while a model is fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The graph or its weights are not valid.
    #[error(transparent)]
    Graph(#[from] sepal_graph::Error),
    /// The graph has something training cannot do.
    #[error("node `{path}`: {what}")]
    Unsupported {
        /// The node's path.
        path: String,
        /// What it asks for, and what would be right.
        what: String,
    },
    /// A batch does not fit the network.
    #[error("{0}")]
    Batch(String),
}
