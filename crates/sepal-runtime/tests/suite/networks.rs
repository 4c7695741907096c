//! MobileNet V1 in all its forms, against the oracle.

use sepal_graph::Activation;
use sepal_kernels::Level;
use sepal_testing::{Naive, assert_close};

use crate::tools::{images, network, plan, pool, run};

/// Relative to the largest logit: single logits may cancel to nothing.
fn check(spec: &str, size: usize) {
    let model = network(spec, size, 10);
    let input = images(&model, 3, 5);
    let oracle = Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 3);
    let plan = plan(&model, 3, Level::best());
    for batch in [1, 3] {
        let each = input.len() / 3;
        let expected = &oracle[..batch * 10];
        let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        let output = run(&plan, &pool(2), &input[..batch * each], batch);
        assert_close(&output, expected, 0.0, 1e-4 * scale, &format!("{spec} at {size}, batch {batch}"));
    }
}

#[test]
fn every_activation() {
    for activation in Activation::NAMES {
        check(&format!("mobilenet_v1:width=0.25,activation={activation}"), 40);
    }
}

#[test]
fn everything_between() {
    for between in ["none", "bn", "bn_relu", "relu", "elu"] {
        check(&format!("mobilenet_v1:width=0.25,between={between}"), 33);
    }
}

#[test]
fn stems_and_widths() {
    check("mobilenet_v1:width=0.25,stem=cifar", 16);
    check("mobilenet_v1:width=0.5", 32);
    check("mobilenet_v1:width=0.3", 47);
}
