//! A run leaves its host alone: no thread that was not asked for, and the processor's mode as it was.
//!
//! A program with a single test, because threads of other tests would be counted.
#![cfg(not(target_family = "wasm"))]

use std::hint::black_box;
use std::sync::Arc;

use sepal_graph::{Meta, Model, Weights};
use sepal_runtime::{CompileOptions, compile_owned};

/// Whether this thread's arithmetic keeps denormal numbers.
fn denormals() -> bool {
    black_box(f32::MIN_POSITIVE) * black_box(0.25) != 0.0
}

/// Threads of this process, where the system tells.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

#[test]
fn a_session_leaves_the_host_alone() {
    let spec: sepal_zoo::Spec = "mobilenet_v1:width=0.25".parse().unwrap();
    let graph = sepal_zoo::build(&spec, Some([64, 64]), 10).unwrap();
    let weights = Weights::init(&graph, 1).unwrap();
    let model = Model::new(graph, weights, Meta::default()).unwrap();
    let before = threads();
    assert!(denormals());

    let plan = Arc::new(compile_owned(model, &CompileOptions::default()).unwrap());
    let input = vec![0.5; plan.input_shape().elements()];
    let mut output = vec![0.0; 10];
    let mut alone = plan.session();
    alone.run(&input, &mut output).unwrap();
    assert_eq!(threads(), before, "compiling and running started a thread");
    assert!(denormals(), "a run on the caller's thread changed its mode");

    // Denormal inputs, which the kernels take for zero, and a run that fails, leave the mode as it was, too.
    alone.run(&vec![1e-40; input.len()], &mut output).unwrap();
    assert!(alone.run(&input[1..], &mut output).is_err());
    assert!(denormals());

    let mut wide = plan.session_on(3).unwrap();
    assert_eq!(threads(), before.map(|threads| threads + 2), "three workers are the caller and two threads");
    let mut same = vec![0.0; 10];
    alone.run(&input, &mut output).unwrap();
    wide.run(&input, &mut same).unwrap();
    assert_eq!(same, output);
    assert!(denormals(), "a run with workers changed the caller's mode");
    drop(wide);
    // A thread that was joined may be in the list for a moment.
    let ended = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        threads() == before
    });
    assert!(ended, "workers outlive their session");
}
