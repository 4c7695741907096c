//! Weights, and runs of them.

use std::sync::Arc;

use sepal_graph::{Graph, Meta, Model, Role, Tensor, Weights};
use sepal_kernels::Level;
use sepal_kernels::pool::{Pool, ThreadPool};
use sepal_runtime::{CompileOptions, Plan, compile, session};
use sepal_testing::Filler;

/// Random weights that keep values near 1, running statistics included.
pub(crate) fn random(graph: Graph, seed: u64) -> Model {
    let mut filler = Filler::new(seed);
    let mut weights = Weights::new();
    for spec in graph.params().unwrap() {
        let spread = (6.0 / spec.fan_in as f32).sqrt();
        let (low, high) = match spec.role {
            Role::ConvWeight | Role::DepthwiseWeight | Role::PointwiseWeight | Role::LinearWeight => (-spread, spread),
            Role::Bias | Role::NormShift | Role::NormMean => (-0.5, 0.5),
            Role::NormScale | Role::NormVar => (0.5, 1.5),
            Role::Slope => (-0.2, 0.5),
            Role::Value | Role::Constant => (-1.0, 1.0),
        };
        let data = filler.vec(spec.elements(), low, high);
        weights.insert(spec.path, Tensor::new(spec.shape, data).unwrap());
    }
    Model::new(graph, weights, Meta::default()).unwrap()
}

/// A network of the registry.
pub(crate) fn network(spec: &str, size: usize, classes: usize) -> Model {
    let parsed: sepal_zoo::Spec = spec.parse().unwrap();
    random(sepal_zoo::build(&parsed, Some([size, size]), classes).unwrap(), spec.len() as u64)
}

/// A batch of inputs from −1 to 1.
pub(crate) fn images(model: &Model, batch: usize, seed: u64) -> Vec<f32> {
    let each = model.graph.input_shape().unwrap().elements();
    Filler::new(seed).vec(batch * each, -1.0, 1.0)
}

pub(crate) fn plan(model: &Model, batch: usize, level: Level) -> Arc<Plan> {
    Arc::new(compile(model, &CompileOptions { batch, level }).unwrap())
}

pub(crate) fn pool(threads: usize) -> Arc<dyn Pool> {
    Arc::new(ThreadPool::new(threads).unwrap())
}

/// The output for `batch` images.
pub(crate) fn run(plan: &Arc<Plan>, pool: &Arc<dyn Pool>, input: &[f32], batch: usize) -> Vec<f32> {
    let mut output = vec![f32::NAN; batch * plan.output_shape().elements()];
    session(Arc::clone(plan), Arc::clone(pool)).run(input, &mut output).unwrap();
    output
}
