//! From a folder of images to a small, fast classifier of separable convolutions, on the CPU.
//!
//! This crate is the front door: it joins the crates that do the work and adds nothing of its own. The command line
//! `sepal` is built on the same calls.
//!
//! | module | holds |
//! |---|---|
//! | [`graph`] | networks as values: operators, shapes, parameters, cost, rewrites |
//! | [`zoo`] | blocks and networks by name |
//! | [`formats`] | model files |
//! | [`runtime`] | compiling a model and running it |
//! | [`data`] | data sets, pictures, augmentation, batches |
//! | [`train`] | fitting a model |
//! | [`kernels`] | the arithmetic, on plain slices |
//! | [`report`] | tables and plots |
//!
//! A network by name, compiled and run:
//!
//! ```
//! use std::sync::Arc;
//!
//! use sepal::kernels::pool::ThreadPool;
//! use sepal::{CompileOptions, Meta, Model, Spec, Weights};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: Spec = "mobilenet_v1:width=0.25".parse()?;
//! let graph = sepal::zoo::build(&spec, Some([64, 64]), 10)?;
//! println!("{} params, {} MACs", graph.cost()?.params, graph.cost()?.macs);
//!
//! let weights = Weights::init(&graph, 0)?;
//! let model = Model::new(graph, weights, Meta::default())?;
//! # let folder = std::env::temp_dir().join(format!("sepal-front-door-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("net.safetensors");
//! sepal::formats::native::write(&model, &path)?;
//!
//! let model = sepal::open(&path)?;
//! # std::fs::remove_dir_all(&folder)?;
//! let plan = Arc::new(sepal::compile(&model, &CompileOptions::default())?);
//! let mut session = sepal::session(plan, Arc::new(ThreadPool::new(2)?));
//! let image = vec![0.0; 3 * 64 * 64];
//! let mut logits = [0.0; 10];
//! session.run(&image, &mut logits)?;
//! # Ok(())
//! # }
//! ```

pub use sepal_data as data;
pub use sepal_formats as formats;
pub use sepal_graph as graph;
pub use sepal_kernels as kernels;
pub use sepal_report as report;
pub use sepal_runtime as runtime;
pub use sepal_train as train;
pub use sepal_zoo as zoo;

pub use sepal_formats::open;
pub use sepal_graph::{Builder, Graph, Meta, Model, Shape, Tensor, Weights};
pub use sepal_runtime::{CompileOptions, Plan, Session, compile, session};
pub use sepal_train::Recipe;
pub use sepal_zoo::Spec;
