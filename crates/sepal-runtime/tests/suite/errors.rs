//! What cannot be compiled or run, and what it says.

use std::sync::Arc;

use sepal_graph::{Activation, Builder, Conv2d, NodeId, Shape};
use sepal_kernels::Level;
use sepal_runtime::{CompileOptions, RuntimeError, compile, session};

use crate::tools::{images, plan, pool, random, run};

/// A network on 3×5×4 pictures with these outputs.
fn model(build: impl FnOnce(&mut Builder, NodeId) -> Vec<NodeId>) -> sepal_graph::Model {
    let mut b = Builder::new("test");
    let x = b.input("picture", Shape::chw(3, 5, 4).unwrap()).unwrap();
    let outputs = build(&mut b, x);
    random(b.finish(&outputs).unwrap(), 1)
}

fn small() -> sepal_graph::Model {
    model(|b, x| vec![b.conv("conv", x, Conv2d::pointwise(2)).unwrap()])
}

fn options(batch: usize) -> CompileOptions {
    CompileOptions { batch, ..CompileOptions::default() }
}

#[test]
fn inputs_and_outputs_of_the_wrong_length_are_named() {
    let plan = plan(&small(), 2, Level::best());
    let mut session = session(Arc::clone(&plan), pool(1));
    for len in [0, 59, 61, 180] {
        let error = session.run(&vec![0.0; len], &mut [0.0; 40]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, RuntimeError::InputLength { actual, .. } if actual == len));
        assert!(text.contains("`picture`") && text.contains("3×5×4") && text.contains("1 to 2 images"), "{text}");
    }
    for len in [0, 39, 41, 80] {
        let error = session.run(&[0.0; 60], &mut vec![0.0; len]).unwrap_err();
        assert!(matches!(error, RuntimeError::OutputLength { batch: 1, .. }));
        assert!(error.to_string().contains("`conv`") && error.to_string().contains("2×5×4"), "{error}");
    }
    session.run(&[0.0; 120], &mut [0.0; 80]).unwrap();
}

#[test]
fn memory_does_not_grow_with_the_batch_forever() {
    assert_eq!(compile(&small(), &options(0)).err(), Some(RuntimeError::EmptyBatch));
    let memory = |batch| compile(&small(), &options(batch)).unwrap().memory(2);
    assert!(memory(usize::MAX).total() < 16 << 20);
    assert!(memory(4).arena > 2 * memory(1).arena);
}

#[test]
fn a_network_with_two_outputs_names_them() {
    let model = model(|b, x| {
        let y = b.conv("first", x, Conv2d::pointwise(2)).unwrap();
        let z = b.activation("second", y, Activation::Relu).unwrap();
        vec![y, z]
    });
    let text = compile(&model, &options(1)).err().unwrap().to_string();
    assert!(text.contains("2 outputs (first, second)"), "{text}");
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let mut model = small();
    model.weights.remove("conv.weight");
    let error = compile(&model, &options(1)).err().unwrap();
    assert!(matches!(error, RuntimeError::Model(_)) && error.to_string().contains("conv.weight"), "{error}");
}

#[test]
fn the_input_may_be_the_output() {
    let model = model(|b, x| {
        let x = b.dropout("drop", x, 0.5).unwrap();
        vec![b.flatten("flat", x).unwrap()]
    });
    let plan = plan(&model, 2, Level::best());
    assert_eq!(plan.output_shape().dims(), [60]);
    let input = images(&model, 2, 9);
    assert_eq!(run(&plan, &pool(1), &input, 2), input);
}

#[test]
fn weights_that_are_not_finite_run() {
    let mut model = small();
    model.weights.get_mut("conv.weight").unwrap().data_mut()[0] = f32::NAN;
    let output = run(&plan(&model, 1, Level::best()), &pool(1), &[1.0; 60], 1);
    assert!(output[..20].iter().all(|value| value.is_nan()) && output[20..].iter().all(|value| value.is_finite()));
}
