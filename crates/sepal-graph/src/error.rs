//! The crate's error.

use std::ops::RangeInclusive;

use crate::limits::{MAX_DIM, MAX_ELEMENTS, MAX_INPUTS, MAX_NODES, MAX_PATH, MAX_RANK, MAX_TOTAL_PARAMS};
use crate::shape::show_dims;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with a graph, its weights or its metadata.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something is wrong at a node; `error` says what.
    #[error("node `{path}`: {error}")]
    At {
        /// The node's full path.
        path: String,
        /// What is wrong there.
        error: Box<Error>,
    },
    /// An operator got a number of inputs that it does not take.
    #[error("{op} takes {} input(s), got {actual}", show_range(expected))]
    Arity {
        /// The operator's kind.
        op: &'static str,
        /// How many inputs it takes.
        expected: RangeInclusive<usize>,
        /// How many it got.
        actual: usize,
    },
    /// An operator got an input of a shape it cannot take.
    #[error("{op} needs {expected}, got an input of shape {actual}")]
    InputShape {
        /// The operator's kind.
        op: &'static str,
        /// What it needs.
        expected: String,
        /// The input's shape.
        actual: String,
    },
    /// A kernel does not fit into its padded input.
    #[error(
        "the {}×{} kernel is larger than its padded input of {}×{}: use a larger image",
        kernel[0], kernel[1], padded[0], padded[1]
    )]
    KernelTooLarge {
        /// Height and width that the (dilated) kernel covers.
        kernel: [usize; 2],
        /// Height and width of the input with its padding.
        padded: [usize; 2],
    },
    /// An attribute has a value outside its range.
    #[error("{attribute} is {value}, must be {expected}")]
    Attribute {
        /// The attribute's name.
        attribute: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// A dimension is zero or beyond [`MAX_DIM`].
    #[error("dimension {dim} in {} is outside 1..={MAX_DIM}", show_dims(dims))]
    Dimension {
        /// All dimensions of the tensor.
        dims: Vec<usize>,
        /// The offending one.
        dim: usize,
    },
    /// A tensor would hold more than [`MAX_ELEMENTS`] scalars.
    #[error("a tensor of {} holds more than {MAX_ELEMENTS} elements", show_dims(dims))]
    TooManyElements {
        /// Dimensions of the tensor.
        dims: Vec<usize>,
    },
    /// A shape has no dimension, or too many.
    #[error("a shape has 1 to {MAX_RANK} dimensions, not {rank}")]
    Rank {
        /// How many it has.
        rank: usize,
    },
    /// A count of multiply-adds, bytes or parameters does not fit.
    #[error("the {what} of the network exceed {limit}")]
    Overflow {
        /// What was being counted.
        what: &'static str,
        /// The largest allowed count.
        limit: u64,
    },
    /// A graph has more than [`MAX_NODES`] nodes.
    #[error("the graph has {nodes} nodes, at most {MAX_NODES} are allowed")]
    TooManyNodes {
        /// How many it has.
        nodes: usize,
    },
    /// A path is empty, too long or holds control characters.
    #[error("`{}` is not a path: paths have 1 to {MAX_PATH} printable characters", path.escape_debug())]
    Path {
        /// The path, cut to a printable length.
        path: String,
    },
    /// Two nodes have the same path.
    #[error("another node already has this path")]
    DuplicatePath,
    /// A node reads from itself or from a later node, or from one that does not exist.
    #[error("input {input} is not an earlier node (this is node {node}): nodes must be in topological order")]
    ForwardReference {
        /// The input's index.
        input: usize,
        /// The node's own index.
        node: usize,
    },
    /// The graph's list of inputs or outputs is wrong.
    #[error("{0}")]
    Interface(String),
    /// A tensor's data does not have the length its shape asks for.
    #[error("a tensor of {} needs {expected} values, got {actual}", show_dims(dims))]
    DataLength {
        /// Dimensions of the tensor.
        dims: Vec<usize>,
        /// Product of the dimensions.
        expected: u64,
        /// Length of the data.
        actual: usize,
    },
    /// Weights do not fit the graph.
    #[error(
        "the weights do not fit the network `{graph}`:{}",
        crate::weights::show_mismatch(missing, unexpected, misshapen)
    )]
    Mismatch {
        /// The graph's name.
        graph: String,
        /// Parameters without a tensor, each with the nearest unexpected name.
        missing: Vec<(String, Option<String>)>,
        /// Tensors without a parameter, each with the nearest missing name.
        unexpected: Vec<(String, Option<String>)>,
        /// Name, shape wanted, shape found.
        misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    },
    /// No tensor of this name.
    #[error("no tensor named `{path}`{}", nearest.as_ref().map_or(String::new(), |n| format!(", did you mean `{n}`?")))]
    NoTensor {
        /// The name asked for.
        path: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A tensor holds NaN or an infinity.
    #[error("tensor `{path}` holds {value} at index {index}: weights must be finite")]
    NotFinite {
        /// The tensor's name.
        path: String,
        /// Index into its data.
        index: usize,
        /// The value there.
        value: f32,
    },
    /// A running variance is negative.
    #[error("tensor `{path}` holds the negative variance {value} at index {index}")]
    NegativeVariance {
        /// The tensor's name.
        path: String,
        /// Index into its data.
        index: usize,
        /// The value there.
        value: f32,
    },
    /// Metadata contradict the graph or themselves.
    #[error("metadata: {0}")]
    Meta(String),
    /// The name of a sharing protocol is unknown.
    #[error("unknown protocol `{name}`, choose from {}", crate::Protocol::ALL.map(crate::Protocol::name).join(", "))]
    UnknownProtocol {
        /// The name given.
        name: String,
    },
    /// A network without separable convolutions cannot share them.
    #[error(
        "`{protocol}` shares the halves of depthwise separable convolutions, and `{graph}` has {}: build it of \
         separable blocks, as `block=dsc` does",
        show_inseparable(layers, *more)
    )]
    NotSeparable {
        /// The protocol.
        protocol: crate::Protocol,
        /// The network.
        graph: String,
        /// The first layers that are not separable, with their kernels.
        layers: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// A network without gates cannot be one that shares softly.
    #[error("`{graph}` has no depthwise convolutions that gates mix, which `soft` is about")]
    NotSoft {
        /// The network.
        graph: String,
    },
    /// The name of an activation is unknown.
    #[error("unknown activation `{name}`, choose from {}", crate::Activation::NAMES.join(", "))]
    UnknownActivation {
        /// The name given.
        name: String,
    },
}

impl Error {
    /// Says at which node the error stands.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self::At { path: path.to_owned(), error: Box::new(self) }
    }

    pub(crate) fn macs() -> Self {
        Self::Overflow { what: "multiply-adds", limit: u64::MAX }
    }

    pub(crate) fn total_params() -> Self {
        Self::Overflow { what: "parameters", limit: MAX_TOTAL_PARAMS }
    }

    pub(crate) fn bytes() -> Self {
        Self::Overflow { what: "activation bytes", limit: u64::MAX }
    }
}

/// A number of inputs as `2` or `2 or more`.
fn show_range(range: &RangeInclusive<usize>) -> String {
    match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, &MAX_INPUTS) => format!("{start} or more"),
        (start, end) => format!("{start} to {end}"),
    }
}

/// Layers that are not separable, as the object of a sentence.
fn show_inseparable(layers: &[String], more: usize) -> String {
    match (layers, more) {
        ([], _) => "no depthwise convolution".to_owned(),
        (layers, 0) => format!("others: {}", layers.join(", ")),
        (layers, more) => format!("others: {} and {more} more", layers.join(", ")),
    }
}
