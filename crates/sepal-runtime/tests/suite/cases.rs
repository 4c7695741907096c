//! Every operator with every attribute: the cases that every executor runs.

use sepal_graph::{Graph, Meta, Model, Op};
use sepal_kernels::Level;
use sepal_runtime::{CompileOptions, RuntimeError, compile};
use sepal_testing::{Naive, assert_close, cases};

use crate::tools::{plan, pool, random, run};

/// What there is no kernel for: refused by name.
const REFUSED: [&str; 21] = [
    "subtract",
    "multiply",
    "divide",
    "constant",
    "concat",
    "slice",
    "pad",
    "conv_transpose2d",
    "interpolate",
    "reshape",
    "transpose",
    "softmax",
    "mean",
    "layer_norm",
    "gated_sum",
    "tanh",
    "leaky_relu",
    "gelu",
    "gelu_tanh",
    "mish",
    "clip",
];

/// Whether the graph has what is refused; sums of shapes that differ and linear layers on maps are, too.
fn is_refused(graph: &Graph) -> bool {
    let shapes = graph.shapes().unwrap();
    graph.nodes.iter().any(|node| {
        let shape = |i: usize| &shapes[node.inputs[i].index()];
        match &node.op {
            Op::Activation(act) => REFUSED.contains(&act.name()),
            Op::Add(_) => shape(0) != shape(1),
            Op::Linear(_) => shape(0).rank() > 1,
            op => REFUSED.contains(&op.kind()),
        }
    })
}

#[test]
fn what_has_no_kernel_is_refused_by_name() {
    let named =
        |op: &Op| matches!(op, Op::Activation(act) if REFUSED.contains(&act.name())) || REFUSED.contains(&op.kind());
    for case in cases().iter().filter(|case| case.graph.nodes.iter().any(|node| named(&node.op))) {
        let model = Model::new(case.graph.clone(), case.weights(), Meta::default()).unwrap();
        let Err(RuntimeError::Unsupported { path, .. }) = compile(&model, &CompileOptions::default()) else {
            panic!("{} is not refused", case.name);
        };
        assert!(case.graph.nodes.iter().any(|node| node.path == path), "{}: {path}", case.name);
    }
}

#[test]
fn every_case_computes_what_the_oracle_does() {
    let pools = [pool(1), pool(3)];
    for case in cases().into_iter().filter(|case| !is_refused(&case.graph)) {
        let models =
            [Model::new(case.graph.clone(), case.weights(), Meta::default()).unwrap(), random(case.graph.clone(), 11)];
        for model in models {
            let oracle = Naive::new(&model.graph, &model.weights).unwrap();
            let input = case.input(3);
            let expected = oracle.forward_f32(&input, 3);
            let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
            for level in Level::available() {
                let plan = plan(&model, 4, level);
                let what = format!("{} on {}", case.name, level.name());
                let output = run(&plan, &pools[0], &input, 3);
                assert_close(&output, &expected, 1e-4, 1e-5 * scale, &what);
                assert_eq!(run(&plan, &pools[1], &input, 3), output, "{what}, 3 threads");
            }
        }
    }
}
