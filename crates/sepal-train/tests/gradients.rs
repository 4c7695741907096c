//! Every operator's gradients, in every case of the shared suite, against finite differences in f64.

use std::sync::Arc;

use sepal_graph::{Activation, Conv2d, Flatten, Graph, Linear, Node, NodeId, Op, Weights};
use sepal_kernels::Level;
use sepal_kernels::pool::ThreadPool;
use sepal_testing::{Case, Filler, Mode, Naive, cases, softmax_cross_entropy};
use sepal_train::{Batch, Engine, EngineOptions, Params};

const BATCH: usize = 3;
const CLASSES: usize = 5;

/// The case between a pointwise convolution, whose gradient needs that of the case's input, and a
/// classifier that weighs every output differently.
fn trainable(case: &Case) -> Graph {
    let graph = &case.graph;
    let channels = graph.input_shape().unwrap().channels();
    let mut nodes = Vec::new();
    let mut moved = Vec::new();
    for node in &graph.nodes {
        let inputs = node.inputs.iter().map(|input: &NodeId| moved[input.index()]).collect();
        nodes.push(Node { inputs, ..node.clone() });
        if matches!(node.op, Op::Input(_)) {
            let op = Conv2d::pointwise(channels).into();
            nodes.push(Node { path: "before".into(), op, inputs: vec![NodeId::new(nodes.len() - 1)] });
        }
        moved.push(NodeId::new(nodes.len() - 1));
    }
    let mut last = moved[graph.outputs[0].index()];
    for (path, op) in [
        ("after.act", Activation::Silu.into()),
        ("after.flatten", Flatten {}.into()),
        ("after.classifier", Linear::new(CLASSES).into()),
    ] {
        nodes.push(Node { path: path.into(), op, inputs: vec![last] });
        last = NodeId::new(nodes.len() - 1);
    }
    Graph::new(case.name.clone(), nodes, vec![NodeId::new(0)], vec![last]).unwrap()
}

/// Whether training refuses something in the graph; see the tests of what it refuses.
fn is_refused(case: &Case) -> bool {
    let new = |node: &Node| {
        !matches!(
            &node.op,
            Op::Input(_)
                | Op::Conv2d(_)
                | Op::BatchNorm(_)
                | Op::Activation(
                    Activation::Relu
                        | Activation::Relu6
                        | Activation::Elu { .. }
                        | Activation::Prelu
                        | Activation::Silu
                        | Activation::HardSwish
                        | Activation::HardSigmoid
                        | Activation::Sigmoid
                )
                | Op::Add(_)
                | Op::MaxPool(_)
                | Op::AvgPool(_)
                | Op::GlobalAvgPool(_)
                | Op::Linear(_)
                | Op::Dropout(_)
                | Op::Flatten(_)
        )
    };
    case.inference_only || case.graph.nodes.iter().any(new)
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for case in cases().into_iter().filter(|case| !is_refused(case)) {
        let graph = trainable(&case);
        let weights = Weights::formula(&graph).unwrap();
        let input = case.input(BATCH);
        let labels = Filler::new(3).labels(BATCH, CLASSES);
        let wide: Vec<f64> = input.iter().map(|&value| f64::from(value)).collect();
        let mut naive = Naive::new(&graph, &weights).unwrap();
        let pass = naive.run(&wide, BATCH, Mode::Train);
        let expected_loss = softmax_cross_entropy(pass.output(), &labels, 0.1);

        for level in Level::available() {
            let mut params = Params::new(&graph, &weights).unwrap();
            let pool = Arc::new(ThreadPool::new(2).unwrap());
            let mut engine = Engine::new(&graph, &params, BATCH, pool, EngineOptions { level }).unwrap();
            let batch = Batch { images: &input, labels: &labels, smoothing: 0.1, seed: 1 };
            let dropout = graph.nodes.iter().any(|node| matches!(&node.op, Op::Dropout(drop) if drop.p > 0.0));
            let output = engine.step(&mut params, &batch).unwrap();
            if dropout {
                assert!(output.loss.is_finite());
                continue; // The oracle drops nothing; the kernel's own tests cover it.
            }
            let name = format!("{} on {}", case.name, level.name());
            let off = (output.loss - expected_loss).abs();
            assert!(off <= 1e-4 * expected_loss, "{name}: loss {} for {expected_loss}", output.loss);
            for slot in &params.buffer_slots {
                sepal_testing::assert_close(
                    &params.buffers[slot.range.clone()],
                    &pass.running[&slot.path],
                    1e-4,
                    1e-5,
                    &format!("{name}: {}", slot.path),
                );
            }
            check(&name, &params, &mut naive, &wide, &labels);
        }
    }
}

/// Compares a few elements of every gradient.
fn check(name: &str, params: &Params, naive: &mut Naive, input: &[f64], labels: &[u32]) {
    let mut filler = Filler::new(11);
    for slot in &params.slots {
        let grads = &params.grads[slot.range.clone()];
        let largest = grads.iter().fold(0.0_f64, |most, &g| most.max(f64::from(g).abs()));
        for _ in 0..3 {
            let at = filler.below(grads.len());
            let mut loss = |step: f64| {
                let value = &mut naive.params.get_mut(&slot.path).unwrap()[at];
                let before = *value;
                *value = before + step;
                let pass = naive.run(input, BATCH, Mode::Train);
                naive.params.get_mut(&slot.path).unwrap()[at] = before;
                softmax_cross_entropy(pass.output(), labels, 0.1)
            };
            let step = 1e-6;
            let expected = (loss(step) - loss(-step)) / (2.0 * step);
            let got = f64::from(grads[at]);
            let error = (got - expected).abs();
            // Relative to the tensor's gradient: single elements may be differences of large numbers.
            assert!(error <= 2e-4 * largest.max(1e-3), "{name}: {}[{at}] is {got}, should be {expected}", slot.path);
        }
    }
}
