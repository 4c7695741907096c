//! Compile a model to an immutable plan and run it.
//!
//! [`compile`] folds batch norms into the layers before them, fuses activations and residual sums
//! into the convolutions that compute their terms, lets concatenations be written and slices be read
//! in place, packs weights for the kernels of this processor and gives every tensor a place in one arena. The [`Plan`] is shared; each
//! [`Session`] has its own memory and allocates nothing while it runs. A result has the same bits
//! for any number of threads. Plans of models that have weights in common hold these once: [`compile_shared`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use sepal_graph::{Activation, Builder, Conv2d, Meta, Model, Shape, Weights};
//! use sepal_kernels::pool::ThreadPool;
//! use sepal_runtime::{CompileOptions, compile, session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut b = Builder::new("tiny");
//! let x = b.input("input", Shape::chw(3, 8, 8)?)?;
//! let x = b.conv("conv", x, Conv2d::standard(20, 3).stride(2).same())?;
//! let x = b.batch_norm("bn", x)?;
//! let x = b.activation("act", x, Activation::Relu)?;
//! let x = b.global_avg_pool("pool", x)?;
//! let x = b.linear("classifier", x, 10)?;
//! let graph = b.finish(&[x])?;
//! let weights = Weights::init(&graph, 7)?;
//! let model = Model::new(graph, weights, Meta::default())?;
//!
//! let plan = Arc::new(compile(&model, &CompileOptions { batch: 4, ..CompileOptions::default() })?);
//! print!("{plan}");
//! let mut session = session(Arc::clone(&plan), Arc::new(ThreadPool::new(2)?));
//!
//! // Three images, N, C, H, W: any number up to the plan's batch will do.
//! let images = vec![0.5; 3 * plan.input_shape().elements()];
//! let mut logits = vec![0.0; 3 * plan.output_shape().elements()];
//! session.run(&images, &mut logits)?;
//! assert_eq!(logits[..10], logits[20..]);
//! # Ok(())
//! # }
//! ```

pub mod arena;
mod boundary;
mod constants;
mod describe;
mod error;
mod ir;
mod lower;
mod passes;
mod placement;
mod plan;
mod rearrange;
mod session;
mod shared;
pub mod taps;
mod task;
mod view;

pub use describe::{StepInfo, window};
pub use error::{Result, RuntimeError};
pub use plan::{CompileOptions, Memory, Plan, Profile, compile, compile_owned, compile_shared};
pub use session::{Session, session};
pub use shared::SharedWeights;
