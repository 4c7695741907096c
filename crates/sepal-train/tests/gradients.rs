//! Every operator's gradients, in every case of the shared suite, against finite differences in f64.

use std::sync::Arc;

use sepal_graph::{Activation, Conv2d, Flatten, Graph, Linear, Node, NodeId, Op, Weights};
use sepal_kernels::Level;
use sepal_kernels::pool::{Serial, ThreadPool};
use sepal_testing::{Case, Filler, Mode, Naive, cases, softmax_cross_entropy};
use sepal_train::{Batch, Engine, EngineOptions, Error, Mixed, Params};

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

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let mut refused = 0;
    for case in cases().iter().filter(|case| case.inference_only) {
        let params = Params::new(&case.graph, &case.weights()).unwrap();
        let pool = Arc::new(ThreadPool::new(1).unwrap());
        match Engine::new(&case.graph, &params, BATCH, pool, EngineOptions::default()) {
            Err(Error::Unsupported { path, what }) => {
                assert!(case.graph.nodes.iter().any(|node| node.path == path), "{}: {path}", case.name);
                assert!(what.contains("cannot be trained"), "{}: {what}", case.name);
            }
            Err(error) => panic!("{}: {error}", case.name),
            Ok(_) => panic!("{} can be trained", case.name),
        }
        refused += 1;
    }
    assert!(refused > 0);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for case in cases().into_iter().filter(|case| !case.inference_only) {
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
            let batch = Batch { images: &input, labels: &labels, weights: None, mixed: None, smoothing: 0.1, seed: 1 };
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
            let loss =
                |naive: &Naive| softmax_cross_entropy(naive.run(&wide, BATCH, Mode::Train).output(), &labels, 0.1);
            check(&name, &params, &mut naive, &loss);
        }
    }
}

#[test]
fn two_labels_are_the_weighted_sum_of_their_losses() {
    let case = cases().into_iter().find(|case| !case.inference_only).unwrap();
    let graph = trainable(&case);
    let weights = Weights::formula(&graph).unwrap();
    let input = case.input(BATCH);
    let (labels, others) = (Filler::new(3).labels(BATCH, CLASSES), Filler::new(8).labels(BATCH, CLASSES));
    assert_ne!(labels, others);
    let wide: Vec<f64> = input.iter().map(|&value| f64::from(value)).collect();
    let mut naive = Naive::new(&graph, &weights).unwrap();
    let loss = |naive: &Naive| {
        let pass = naive.run(&wide, BATCH, Mode::Train);
        let of = |labels: &[u32]| softmax_cross_entropy(pass.output(), labels, 0.1);
        0.75 * of(&labels) + 0.25 * of(&others)
    };
    let mut params = Params::new(&graph, &weights).unwrap();
    let mut engine = Engine::new(&graph, &params, BATCH, Arc::new(Serial), EngineOptions::default()).unwrap();
    let shares = vec![0.25; labels.len()];
    let mixed = Mixed { labels: &others, shares: &shares };
    let batch = Batch { images: &input, labels: &labels, weights: None, mixed: Some(mixed), smoothing: 0.1, seed: 1 };
    let output = engine.step(&mut params, &batch).unwrap();
    let expected = loss(&naive);
    assert!((output.loss - expected).abs() < 1e-4 * expected, "{} for {expected}", output.loss);
    check("two labels", &params, &mut naive, &loss);

    let wide = vec![CLASSES as u32; labels.len()];
    for (mixed, words) in [
        (Mixed { labels: &others[1..], ..mixed }, "others"),
        (Mixed { shares: &shares[1..], ..mixed }, "shares"),
        (Mixed { shares: &vec![1.5; labels.len()], ..mixed }, "1.5, must be from 0 to 1"),
        (Mixed { labels: &wide, ..mixed }, "is no class"),
    ] {
        let error = engine.step(&mut params, &Batch { mixed: Some(mixed), ..batch }).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A norm whose statistics stay uses them; what else stays has no gradient, and changes nobody's.
#[test]
fn frozen_norms_use_and_keep_their_statistics() {
    let has_norm = |case: &Case| case.graph.nodes.iter().any(|node| matches!(node.op, Op::BatchNorm(_)));
    let drops = |case: &Case| case.graph.nodes.iter().any(|node| matches!(node.op, Op::Dropout(_)));
    let cases: Vec<Case> = cases().into_iter().filter(|c| !c.inference_only && has_norm(c) && !drops(c)).collect();
    assert!(cases.len() > 10);
    let ends = |path: &str| path.starts_with("before.") || path.starts_with("after.");
    type Stays<'a> = &'a dyn Fn(&str, bool) -> bool;
    let all: [(&str, Stays<'_>); 3] = [
        ("statistics", &|path, _| path.contains(".running_")),
        ("norms", &|_, is_norm| is_norm),
        ("everything within", &|path, _| !ends(path)),
    ];
    for (case, (what, stays)) in cases.iter().flat_map(|case| all.map(|variant| (case, variant))) {
        let graph = trainable(case);
        let weights = Weights::formula(&graph).unwrap();
        let is_norm = |path: &str| {
            let node = graph.find(path.rsplit_once('.').unwrap().0).unwrap().1;
            matches!(node.op, Op::BatchNorm(_))
        };
        let input = case.input(BATCH);
        let labels = Filler::new(3).labels(BATCH, CLASSES);
        let wide: Vec<f64> = input.iter().map(|&value| f64::from(value)).collect();
        let mut naive = Naive::new(&graph, &weights).unwrap();
        let loss = |naive: &Naive| naive.loss(&wide, &labels, 0.1, Mode::Eval);
        let mut params = Params::new(&graph, &weights).unwrap();
        params.freeze(|path| stays(path, is_norm(path)));
        let before = params.buffers.to_vec();
        let mut engine = Engine::new(&graph, &params, BATCH, Arc::new(Serial), EngineOptions::default()).unwrap();
        let batch = Batch { images: &input, labels: &labels, mixed: None, weights: None, smoothing: 0.1, seed: 1 };
        let output = engine.step(&mut params, &batch).unwrap();
        let name = format!("{}, frozen {what}", case.name);
        let expected = loss(&naive);
        assert!((output.loss - expected).abs() < 1e-4 * expected, "{name}: loss {} for {expected}", output.loss);
        assert_eq!(params.buffers.to_vec(), before, "{name}");
        check(&name, &params, &mut naive, &loss);
    }
}

/// Compares a few elements of every gradient of what is trained.
fn check(name: &str, params: &Params, naive: &mut Naive, loss: &dyn Fn(&Naive) -> f64) {
    let mut filler = Filler::new(11);
    for slot in params.slots.iter().filter(|slot| !slot.frozen) {
        let grads = &params.grads[slot.range.clone()];
        let largest = grads.iter().fold(0.0_f64, |most, &g| most.max(f64::from(g).abs()));
        for _ in 0..3 {
            let at = filler.below(grads.len());
            let mut moved = |step: f64| {
                let value = &mut naive.params.get_mut(&slot.path).unwrap()[at];
                let before = *value;
                *value = before + step;
                let moved = loss(naive);
                naive.params.get_mut(&slot.path).unwrap()[at] = before;
                moved
            };
            let step = 1e-6;
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            let got = f64::from(grads[at]);
            let error = (got - expected).abs();
            // Relative to the tensor's gradient: single elements may be differences of large numbers.
            assert!(error <= 2e-4 * largest.max(1e-3), "{name}: {}[{at}] is {got}, should be {expected}", slot.path);
        }
    }
}
