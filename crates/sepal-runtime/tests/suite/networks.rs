//! Every network, and MobileNet V1 in all its forms, against the oracle.

use sepal_graph::Activation;
use sepal_kernels::Level;
use sepal_testing::{Naive, assert_close};

use crate::tools::{images, network, plan, pool, run};

/// Relative to the largest logit: single logits may cancel to nothing.
fn check(spec: &str, size: usize) {
    check_batches(spec, size, &[1, 3]);
}

/// For each of these batches, of which the last is the largest.
fn check_batches(spec: &str, size: usize, batches: &[usize]) {
    let model = network(spec, size, 10);
    let most = batches[batches.len() - 1];
    let input = images(&model, most, 5);
    let oracle = Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, most);
    let plan = plan(&model, most, Level::best());
    for &batch in batches {
        let each = input.len() / most;
        let expected = &oracle[..oracle.len() / most * batch];
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

/// Those that the oracle computes in a second or two.
#[test]
fn every_small_network() {
    let mut checked = 0;
    for row in sepal_zoo::networks() {
        // Inception's convolutions are not padded.
        let size = if row.name == "inception_v3" { 75 } else { 33 };
        if network(row.name, size, 10).graph.cost().unwrap().macs < 100_000_000 {
            check_batches(row.name, size, &[1]);
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked}");
}
