//! What is written.

use sepal_formats::onnx::{self, ExportOptions};
use sepal_formats::{FormatError, native};

use crate::models::{kinds, models};

#[test]
fn every_operator_is_written_with_names_batch_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = kinds(&models());
    assert_eq!(kinds.len(), 26, "the models use every operator there is: {kinds:?}");
    for model in models() {
        let path = folder.path().join("m.onnx");
        onnx::write(&model, &path, &ExportOptions::default()).unwrap();
        let file = onnx::describe(&path).unwrap();
        assert_eq!((file.ir_version, file.opsets["ai.onnx"], file.opsets.len()), (8, 17, 1));
        assert_eq!(file.name, model.graph.name);
        assert_eq!(file.inputs[0].dims, ["N", "3", "8", "8"]);
        assert_eq!(file.outputs[0].dims, ["N", &model.graph.output_shape().unwrap().to_string()]);
        let stored: Vec<&str> = file.tensors.iter().map(|t| t.name.as_str()).collect();
        let missing: Vec<_> =
            model.weights.iter().filter(|(p, _)| !stored.contains(p) && !p.starts_with("scale")).collect();
        assert!(missing.is_empty(), "parameters keep their names: {missing:?}");
        assert!(file.operators.keys().all(|op| !op.contains('.')), "{:?}", file.operators);
        assert_eq!(file.metadata["task"], "classify");
        assert!(file.metadata["names"].starts_with(r#"{0: "class \"0'\n鸟", 1: "#), "{}", file.metadata["names"]);
        assert_eq!(file.metadata["mean"], "[0.1, 0.485, 0.33333334]");
        assert_eq!((file.metadata["crop_pct"].as_str(), file.metadata["author"].as_str()), ("0.875", "somebody"));
    }
}

#[test]
fn equal_models_are_equal_bytes() {
    for model in models() {
        let again = native::from_bytes(&native::to_bytes(&model).unwrap(), "m", &Default::default()).unwrap();
        let bytes = |model| onnx::to_bytes(model, &ExportOptions::default()).unwrap();
        assert_eq!(bytes(&model), bytes(&again));
    }
}

#[test]
fn options_are_met_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let [maps, tokens] = [&models()[0], &models()[1]];
    onnx::write(maps, &path, &ExportOptions { opset: 15, batch: Some(4) }).unwrap();
    let file = onnx::describe(&path).unwrap();
    assert_eq!(
        (file.opsets["ai.onnx"], file.inputs[0].dims[0].as_str(), file.outputs[0].dims[0].as_str()),
        (15, "4", "4")
    );
    for (model, options, words) in [
        (maps, ExportOptions { opset: 7, ..Default::default() }, "15 to 17"),
        (maps, ExportOptions { batch: Some(0), ..Default::default() }, "at least one image"),
        (tokens, ExportOptions { opset: 16, ..Default::default() }, "node `norm`: LayerNormalization needs opset 17"),
    ] {
        let error = onnx::write(model, &path, &options).unwrap_err();
        assert!(matches!(error, FormatError::Onnx { .. }) && error.to_string().contains(words), "{error}");
    }
    assert_eq!(onnx::describe(&path).unwrap(), file, "a refused export leaves the file alone");
}
