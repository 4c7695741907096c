//! Networks as values.
//!
//! A [`Graph`] is a list of typed operators in topological order, each with a path for a name;
//! [`Weights`] map parameter paths to [`Tensor`]s; a [`Model`] joins the two with class names,
//! preprocessing and provenance. This crate knows operators, shapes, parameters and cost. It
//! computes no activations: executors do.
//!
//! ```
//! use sepal_graph::{Activation, Builder, Conv2d, Shape};
//!
//! # fn main() -> sepal_graph::Result<()> {
//! let mut b = Builder::new("tiny");
//! let x = b.input("input", Shape::chw(3, 32, 32)?)?;
//! let x = b.scope("stem", |b| {
//!     let x = b.conv("conv", x, Conv2d::standard(8, 3).stride(2).same())?;
//!     let x = b.batch_norm("bn", x)?;
//!     b.activation("act", x, Activation::Relu)
//! })?;
//! let x = b.global_avg_pool("pool", x)?;
//! let x = b.linear("classifier", x, 10)?;
//! let graph = b.finish(&[x])?;
//! assert_eq!(graph.cost()?.params, 3 * 8 * 9 + 2 * 8 + 8 * 10 + 10);
//! # Ok(())
//! # }
//! ```

mod builder;
mod cost;
mod error;
mod graph;
pub mod limits;
mod model;
pub mod ops;
mod param;
pub mod rewrites;
mod shape;
pub mod sharing;
mod tensor;
mod weights;

pub use builder::Builder;
pub use cost::{Cost, CostRow};
pub use error::{Error, Result};
pub use graph::{Graph, Node, NodeId};
pub use model::{ColorOrder, Filter, Meta, Model, Preprocessing, Resize, Task};
pub use ops::{
    Activation, Add, AvgPool, BatchNorm, Concat, Constant, Conv2d, ConvTranspose2d, Coordinates, Divide, Dropout,
    Flatten, GatedSum, GlobalAvgPool, Input, Interpolate, Interpolation, LayerNorm, Linear, MaxPool, Mean, Multiply,
    Op, Operator, Pad, PadMode, Reshape, ResizeTo, Rounding, Slice, Softmax, Subtract, Transpose,
};
pub use param::{OpParam, ParamSpec, Role};
pub use shape::Shape;
pub use sharing::{Protocol, Sharing};
pub use tensor::Tensor;
pub use weights::Weights;
