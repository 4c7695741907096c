//! Every network of the registry can be trained.

use std::sync::Arc;

use sepal_graph::{Graph, Weights};
use sepal_kernels::pool::ThreadPool;
use sepal_testing::Filler;
use sepal_train::{Batch, Engine, EngineOptions, Params};

const BATCH: usize = 2;
const CLASSES: usize = 7;

fn graph(spec: &str, size: usize) -> Graph {
    sepal_zoo::build(&spec.parse().unwrap(), Some([size, size]), CLASSES).unwrap()
}

fn engine(spec: &str, graph: &Graph) -> (Engine, Params) {
    let params = Params::new(graph, &Weights::init(graph, 1).unwrap()).unwrap();
    let pool = Arc::new(ThreadPool::new(2).unwrap());
    let engine = Engine::new(graph, &params, BATCH, pool, EngineOptions::default());
    (engine.unwrap_or_else(|error| panic!("{spec}: {error}")), params)
}

#[test]
fn every_network_compiles() {
    for network in sepal_zoo::networks() {
        let graph = graph(network.name, 96);
        engine(network.name, &graph);
    }
}

#[test]
fn a_step_reaches_every_parameter() {
    for (spec, size) in [
        ("mobilenet_v3_small", 64),
        ("densenet121", 64),
        ("pydmobilenet:merge=concat", 16),
        ("resnet20:block=bsconv_s", 16),
        ("resnet20:block=esp", 16),
        ("resnet20:block=soft_sharing", 16),
    ] {
        let graph = graph(spec, size);
        let (mut engine, mut params) = engine(spec, &graph);
        let images = Filler::new(2).vec(BATCH * graph.input_shape().unwrap().elements(), -1.0, 1.0);
        let labels = Filler::new(3).labels(BATCH, CLASSES);
        let batch = Batch { images: &images, labels: &labels, weights: None, mixed: None, smoothing: 0.0, seed: 1 };
        let output = engine.step(&mut params, &batch).unwrap();
        assert!(output.loss.is_finite(), "{spec}: {}", output.loss);
        for slot in &params.slots {
            let gradient = &params.grads[slot.range.clone()];
            assert!(gradient.iter().all(|value| value.is_finite()), "{spec}: {}", slot.path);
            assert!(gradient.iter().any(|value| *value != 0.0), "{spec}: {} gets no gradient", slot.path);
        }
    }
}
