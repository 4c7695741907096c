//! What is written comes back: the same graph, weights and metadata.

use sepal_formats::onnx::{self, ExportOptions};
use sepal_graph::{Meta, Model, Weights};
use sepal_zoo::{Spec, networks};

use crate::models::models;

fn round_trip(model: &Model) -> Model {
    let bytes = onnx::to_bytes(model, &ExportOptions::default()).unwrap();
    let name = &model.graph.name;
    onnx::from_bytes(bytes, name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Compares node by node, for a message that can be read.
fn assert_same(actual: &Model, expected: &Model) {
    let name = &expected.graph.name;
    for (a, e) in actual.graph.nodes.iter().zip(&expected.graph.nodes) {
        assert_eq!(a, e, "{name}");
    }
    assert!(actual.graph == expected.graph, "{name}: graph");
    assert!(actual.weights == expected.weights, "{name}: weights");
    assert_eq!(actual.meta, expected.meta, "{name}");
}

#[test]
fn every_operator_comes_back() {
    for model in models() {
        assert_same(&round_trip(&model), &model);
    }
}

#[test]
fn every_network_comes_back() {
    for row in networks() {
        let spec = Spec::from(row);
        let graph = sepal_zoo::build(&spec, None, 3).unwrap();
        let weights = Weights::formula(&graph).unwrap();
        let model = Model::new(graph, weights, Meta::default()).unwrap();
        assert_same(&round_trip(&model), &model);
    }
}

#[test]
fn a_fixed_batch_and_an_older_opset_come_back() {
    let model = &models()[0];
    for options in [ExportOptions { batch: Some(4), ..Default::default() }, ExportOptions { opset: 15, batch: None }] {
        let bytes = onnx::to_bytes(model, &options).unwrap();
        assert_same(&onnx::from_bytes(bytes, "m").unwrap(), model);
    }
}
