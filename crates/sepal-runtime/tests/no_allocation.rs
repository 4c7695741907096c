//! A run allocates nothing, on the calling thread and on the workers.
//!
//! A program of its own, because the usual test harness allocates on its main thread meanwhile.

use std::alloc::System;
use std::sync::Arc;

use sepal_graph::{Graph, Meta, Model, Weights};
use sepal_kernels::pool::ThreadPool;
use sepal_runtime::{CompileOptions, compile, session};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    for (spec, size) in [("mobilenet_v1:width=0.25,activation=prelu", 64), ("resnet20", 32)] {
        let spec: sepal_zoo::Spec = spec.parse().unwrap();
        check(sepal_zoo::build(&spec, Some([size, size]), 10).unwrap());
    }
    // Between them, every kind of step.
    let names = [
        "encoder and decoder",
        "bilinear decoder",
        "ConvNeXt block",
        "squeeze and excite, hard_sigmoid",
        "depthwise kernels shared by a gate",
        "halves, one filtered, shuffled",
        "shortcut of pooled pixels and added channels",
        "self-attention without heads",
    ];
    let cases: Vec<_> = sepal_testing::cases().into_iter().filter(|case| names.contains(&&*case.name)).collect();
    assert_eq!(cases.len(), names.len());
    cases.into_iter().for_each(|case| check(case.graph));
}

fn check(graph: Graph) {
    let weights = Weights::init(&graph, 3).unwrap();
    let model = Model::new(graph, weights, Meta::default()).unwrap();
    let plan = Arc::new(compile(&model, &CompileOptions { batch: 2, ..CompileOptions::default() }).unwrap());
    for threads in [1, 2, 3] {
        let mut session = session(Arc::clone(&plan), Arc::new(ThreadPool::new(threads).unwrap()));
        let input = vec![0.25; 2 * plan.input_shape().elements()];
        let mut output = vec![0.0; 2 * plan.output_shape().elements()];
        // Threads allocate when they start; they all have after a first run.
        session.run(&input, &mut output).unwrap();
        let region = Region::new(ALLOCATOR);
        for n in [2, 1, 2] {
            let (images, logits) = (input.len() / 2 * n, output.len() / 2 * n);
            session.run(&input[..images], &mut output[..logits]).unwrap();
        }
        let change = region.change();
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{change:?}");
        assert!(output.iter().all(|value| value.is_finite()));
    }
}
