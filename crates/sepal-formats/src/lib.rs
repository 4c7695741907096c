//! Read and write model files.
//!
//! - [`open`] reads a model whatever its format; [`native`] is the project's own file, [`onnx`] everybody's.
//! - [`bundle`] keeps the networks of many domains in one file.
//! - [`read_state`] reads weights without a network, from [`pth`], [`keras`] and safetensors files, and [`names::load`] fits
//!   them to a graph under the names that others gave them; [`inspect()`] says what any file holds.
//! - [`tensors`] stores named tensors and strings, for training checkpoints; [`npy`] NumPy arrays.
//! - [`atomic`] writes a file completely or not at all; everything here goes through it.
//!
//! Files are hostile until checked: every length is compared with the file's own before anything is allocated, and each
//! way in which a file can contradict itself has its variant of [`FormatError`], which names the file and the tensor or
//! byte. Readers that take bytes need neither files nor threads.
//!
//! ```
//! use sepal_formats::{native, open};
//! use sepal_graph::{Builder, Meta, Model, Shape, Weights};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut b = Builder::new("tiny");
//! let x = b.input("input", Shape::chw(3, 8, 8)?)?;
//! let x = b.global_avg_pool("pool", x)?;
//! let x = b.linear("classifier", x, 2)?;
//! let graph = b.finish(&[x])?;
//! let weights = Weights::init(&graph, 0)?;
//! let meta = Meta { classes: vec!["cat".into(), "dog".into()], ..Meta::default() };
//! let model = Model::new(graph, weights, meta)?;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("tiny.safetensors");
//! native::write(&model, &path)?;
//! assert_eq!(open(&path)?, model);
//! # Ok(())
//! # }
//! ```

pub mod atomic;
pub mod bundle;
mod error;
mod half;
mod inspect;
pub mod keras;
pub mod names;
pub mod native;
pub mod npy;
pub mod onnx;
mod open;
pub mod pth;
mod source;
pub mod state;
pub mod tensors;

pub use error::{FormatError, MissingOperator, Result};
pub use inspect::{Inspection, TensorInfo};
pub use open::{inspect, open, read_state, run_weights};
