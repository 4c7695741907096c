//! Blocks and networks of separable convolutions, and their registry.
//!
//! A [`Spec`] such as `mobilenet_v1:width=0.5,between=none` names a network and its options;
//! [`build`] makes a [`Graph`](sepal_graph::Graph) of it.
//!
//! ```
//! # fn main() -> sepal_zoo::Result<()> {
//! let spec: sepal_zoo::Spec = "mobilenet_v1:width=1.25".parse()?;
//! let graph = sepal_zoo::build(&spec, Some([224, 224]), 1000)?;
//! assert_eq!(graph.cost()?.params, 6_270_840);
//!
//! let error = "mobilenet_v1:widht=2".parse::<sepal_zoo::Spec>().unwrap_err();
//! assert!(error.to_string().contains("did you mean `width`?"));
//! # Ok(())
//! # }
//! ```

pub mod blocks;
mod channels;
mod error;
pub mod networks;
mod options;
mod registry;
mod soften;
mod spec;
mod swap;

pub use blocks::{Between, Block, BlockRow, Place, Style, blocks};
pub use channels::round_channels;
pub use error::{Error, Result};
pub use options::{Kind, OptionRow, Options, Value};
pub use registry::{Defaults, NetworkRow, Variant, build, find, networks};
pub use soften::soften;
pub use spec::Spec;
pub use swap::{Swapped, swap};
