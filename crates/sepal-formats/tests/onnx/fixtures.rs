//! Files by other tools, and outputs by ONNX Runtime; `tools/golden/onnx_files.py` makes both.

use std::path::PathBuf;

use sepal_formats::onnx::{self, ExportOptions};
use sepal_formats::{npy, open};
use sepal_graph::Model;
use sepal_testing::{Naive, max_relative_error};

use crate::models::models;

pub(crate) fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/onnx", name].iter().collect()
}

/// The largest difference from ONNX Runtime, as a share of the largest output.
fn difference(name: &str, model: &Model) -> f64 {
    let elements = 2 * model.graph.input_shape().unwrap().elements();
    let input: Vec<f32> = (0..elements).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    let output = Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 2);
    let expected = npy::read(fixture(&format!("{name}.npy"))).unwrap();
    max_relative_error(&output, expected.data())
}

#[test]
fn our_files_mean_to_others_what_they_mean_here() {
    for model in models() {
        let name = &model.graph.name;
        let path = fixture(&format!("{name}.onnx"));
        let bytes = onnx::to_bytes(&model, &ExportOptions::default()).unwrap();
        if std::env::var_os("SEPAL_WRITE_FIXTURES").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}: SEPAL_WRITE_FIXTURES=1 writes the file anew");
        let difference = difference(name, &model);
        assert!(difference < 1e-5, "{name}: {difference:e}");
    }
}

#[test]
fn files_of_other_tools_compute_the_same() {
    for name in ["upsample_9", "odd_11", "odd_18", "torch_13", "torch_17"] {
        let model = open(fixture(&format!("{name}.onnx"))).unwrap_or_else(|e| panic!("{e}"));
        let difference = difference(name, &model);
        assert!(difference < 1e-5, "{name}: {difference:e}");
    }
}

#[test]
fn patterns_become_operators_and_modules_keep_their_paths() {
    let model = open(fixture("odd_18.onnx")).unwrap();
    let kinds: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.kind()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
    // Mish, GELU twice and hard swish; a layer norm and a layer with its bias, all from small pieces.
    assert_eq!((count("activation"), count("layer_norm"), count("linear"), count("multiply")), (4, 1, 1, 0));
    assert!(model.graph.find("token").is_some() && model.weights.contains("fc.weight"), "{:?}", model.graph.nodes);

    let model = open(fixture("torch_17.onnx")).unwrap();
    for path in ["se.fc1", "se.fc2", "mix.0", "norm", "head", "gamma", "mix.1", "mix.3"] {
        assert!(model.graph.find(path).is_some(), "{path}: {:#?}", model.graph.nodes);
    }
}
