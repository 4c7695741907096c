//! From a folder of images to a small, fast classifier of separable convolutions, on the CPU.
//!
//! This crate is the front door: it joins the crates that do the work. All it adds is [`Open`], which makes methods of
//! a [`Model`] out of their functions, and [`DomainPlans`], which runs the domains of a [`Bundle`]. The command line `sepal` is built on the same calls.
//!
//! | module | holds |
//! |---|---|
//! | [`graph`] | networks as values: operators, shapes, parameters, cost, rewrites |
//! | [`zoo`] | blocks and networks by name |
//! | [`formats`] | model files, and bundles of several ([`Bundle`]) |
//! | [`runtime`] | compiling a model and running it |
//! | [`data`] | data sets, pictures, augmentation, batches |
//! | [`train`] | fitting a model |
//! | [`kernels`] | the arithmetic, on plain slices |
//! | [`report`] | tables and plots |
//! | [`study`] | claims of the papers, looked at |
//!
//! A model file, compiled and run:
//!
//! ```
//! use sepal::{CompileOptions, Model, Open};
//! # use sepal::{Meta, Spec, Weights};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let spec: Spec = "mobilenet_v1:width=0.25".parse()?;
//! # let graph = sepal::zoo::build(&spec, Some([64, 64]), 10)?;
//! # let weights = Weights::init(&graph, 0)?;
//! # let folder = std::env::temp_dir().join(format!("sepal-front-door-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("net.safetensors");
//! # sepal::formats::native::write(&Model::new(graph, weights, Meta::default())?, &path)?;
//! let plan = Model::open(&path)?.compile(&CompileOptions::default())?;
//! # std::fs::remove_dir_all(&folder)?;
//! let mut session = plan.session();
//! let image = vec![0.0; plan.input_shape().elements()];
//! let mut logits = vec![0.0; plan.output_shape().elements()];
//! session.run(&image, &mut logits)?;
//! # Ok(())
//! # }
//! ```
//!
//! A plan is immutable and shared by any number of threads, each with a session of its own. No thread is started that was
//! not asked for: [`Plan::session`] computes on the thread that calls, [`Plan::session_on`] on so many, which end
//! with it. Results have the same bits either way.
//!
//! ```
//! use sepal::{CompileOptions, Meta, Model, Open, Spec, Weights};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: Spec = "mobilenet_v1:width=0.25".parse()?;
//! let graph = sepal::zoo::build(&spec, Some([64, 64]), 10)?;
//! println!("{} params, {} MACs", graph.cost()?.params, graph.cost()?.macs);
//! let weights = Weights::init(&graph, 0)?;
//!
//! let plan = Model::new(graph, weights, Meta::default())?.compile(&CompileOptions::default())?;
//! let mut wide = plan.session_on(2)?;
//! let image = vec![0.5; plan.input_shape().elements()];
//! let mut expected = vec![0.0; plan.output_shape().elements()];
//! wide.run(&image, &mut expected)?;
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| {
//!             let mut session = plan.session();
//!             let mut logits = vec![0.0; plan.output_shape().elements()];
//!             session.run(&image, &mut logits).unwrap();
//!             assert_eq!(logits, expected);
//!         });
//!     }
//! });
//! # Ok(())
//! # }
//! ```
//!
//! A model trained on the sample that ships with Sepal. Closures see every batch and epoch, and may end the run:
//!
//! ```
//! use std::ops::ControlFlow::{Break, Continue};
//!
//! use sepal::{Callbacks, Meta, Model, Recipe, Spec, Trainer, Weights};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let data = sepal::data::sample()?;
//! let recipe = Recipe { epochs: 1, warmup_epochs: 0.0, ..Recipe::small_pictures() };
//! let spec: Spec = "mobilenet_v1:width=0.25,stem=cifar".parse()?;
//! let graph = sepal::zoo::build(&spec, Some([recipe.size; 2]), data.classes.len())?;
//! let weights = Weights::init(&graph, recipe.seed)?;
//! let mut trainer = Trainer::new(Model::new(graph, weights, Meta::default())?, &data, &recipe)?;
//! let mut losses = Vec::new();
//! let outcome = trainer.fit(&mut Callbacks::new().on_batch(|batch| {
//!     losses.push(batch.loss);
//!     if batch.step < 40 { Continue(()) } else { Break(()) } // enough for an example
//! }))?;
//! # assert!(outcome.stopped);
//! println!("loss {} → {}, a model of {:?}", losses[0], losses[39], trainer.model()?.meta.classes);
//! # assert!(losses[39] < losses[0], "{losses:?}");
//! # Ok(())
//! # }
//! ```
//!
//! `trainer.fit(&mut ())` trains to the end. [`Trainer::with_options`](train::Trainer::with_options) takes workers and a run
//! folder, too, with checkpoints from which [`Trainer::resume`](train::Trainer::resume) goes on;
//! [`train::evaluate`] measures a model.

mod domains;

use std::path::Path;
use std::sync::Arc;

pub mod study;

pub use domains::{DomainPlans, DomainsError};
pub use sepal_data as data;
pub use sepal_formats as formats;
pub use sepal_graph as graph;
pub use sepal_kernels as kernels;
pub use sepal_report as report;
pub use sepal_runtime as runtime;
pub use sepal_train as train;
pub use sepal_zoo as zoo;

pub use sepal_formats::bundle::Bundle;
pub use sepal_formats::open;
pub use sepal_graph::{Builder, Graph, Meta, Model, Shape, Tensor, Weights};
pub use sepal_runtime::{CompileOptions, Plan, Session, compile, session};
pub use sepal_train::{Callbacks, Recipe, Trainer};
pub use sepal_zoo::Spec;

/// From a file to a plan, as methods of [`Model`].
pub trait Open: Sized {
    /// Opens a model file, whatever its format, or the folder of a training run: [`formats::open`].
    ///
    /// # Errors
    /// What [`formats::open`] says.
    fn open(path: impl AsRef<Path>) -> Result<Self, formats::FormatError>;

    /// Compiles it for this processor; of its weights only the packed ones are kept: [`runtime::compile_owned`].
    /// [`compile`] is for a model that is needed afterwards.
    ///
    /// # Errors
    /// What [`runtime::compile_owned`] says.
    fn compile(self, options: &CompileOptions) -> Result<Arc<Plan>, runtime::RuntimeError>;
}

impl Open for Model {
    fn open(path: impl AsRef<Path>) -> Result<Self, formats::FormatError> {
        formats::open(path)
    }

    fn compile(self, options: &CompileOptions) -> Result<Arc<Plan>, runtime::RuntimeError> {
        runtime::compile_owned(self, options).map(Arc::new)
    }
}
