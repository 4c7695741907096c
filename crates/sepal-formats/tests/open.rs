//! Opening by content, by extension, and by run folder.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::model;
use sepal_formats::{FormatError, Inspection, inspect, native, npy, onnx, open, read_state, run_weights};
use sepal_graph::{Meta, Model, Tensor};

#[test]
fn a_run_folder_gives_its_best_weights_else_its_last() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, FormatError::NotARun { .. }), "{error}");
    assert!(error.to_string().contains("weights/best.safetensors nor weights/last.safetensors"), "{error}");
    let weights = dir.path().join("weights");
    fs::create_dir(&weights).unwrap();
    let last = model();
    native::write(&last, weights.join("last.safetensors")).unwrap();
    assert_eq!(open(dir.path()).unwrap(), last);
    let best = Model { meta: Meta::default(), ..model() };
    native::write(&best, weights.join("best.safetensors")).unwrap();
    assert_eq!(open(dir.path()).unwrap(), best);
    assert!(run_weights(dir.path()).unwrap().ends_with("weights/best.safetensors"));
}

#[test]
fn content_decides_and_the_name_only_helps() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("model.onnx");
    native::write(&model(), &odd).unwrap();
    assert_eq!(open(&odd).unwrap(), model());
    for (name, content, what) in [
        ("a.safetensors", &b"PK\x03\x04 a zip"[..], "PyTorch"),
        ("b", b"\x80\x02\x8a\x0al\xfc\x9cF", "PyTorch"),
        ("c", b"\x89HDF\r\n\x1a\n\0\0\0\0", "Keras"),
        ("d.keras", b"PK\x03\x04", "Keras"),
        ("f.PTH", b"", "PyTorch"),
        ("g.keras", b"?", "Keras"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = open(&path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, FormatError::WeightsOnly { .. }) && text.contains(what), "{name}: {text}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--model")), "{text}");
    }
    onnx::write(&model(), &odd, &Default::default()).unwrap();
    assert_eq!(open(&odd).unwrap(), model());
    fs::write(&odd, b"?").unwrap();
    assert!(matches!(open(&odd).unwrap_err(), FormatError::Protobuf { .. }));
    let path = dir.path().join("x.npy");
    npy::write(&path, &Tensor::full(vec![2], 1.0).unwrap()).unwrap();
    let text = open(&path).unwrap_err().to_string();
    assert!(text.contains("NumPy") && text.contains(".safetensors") && text.contains("training run"), "{text}");
    assert!(matches!(read_state(&path).unwrap_err(), FormatError::NotRead { .. }));
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn states_are_read_from_every_kind_of_weights() {
    let bias = |path: &Path| read_state(path).unwrap().get("a.bias").unwrap().data().to_vec();
    for file in ["pth/wrapped_zip.pth", "pth/wrapped_legacy.pth"] {
        assert_eq!(bias(&fixture(file)), [1.25, 1.375]);
    }
    assert!(read_state(fixture("keras/old.h5")).unwrap().get("stem.bias").is_some());

    // A folder as timm publishes weights.
    let dir = tempfile::tempdir().unwrap();
    let state = read_state(fixture("pth/wrapped_zip.pth")).unwrap();
    state.write(dir.path().join("model.safetensors")).unwrap();
    assert_eq!(bias(dir.path()), [1.25, 1.375]);
    assert!(matches!(open(dir.path()).unwrap_err(), FormatError::WeightsOnly { .. }));
    let config = dir.path().join("config.json");
    fs::write(&config, r#"{"architecture":"resnet18","num_classes":7,"pretrained_cfg":{"mean":[0.5]},"x":1}"#).unwrap();
    let metadata = read_state(dir.path()).unwrap().metadata;
    assert_eq!((metadata["architecture"].as_str(), metadata["num_classes"].as_str()), ("resnet18", "7"));
    assert_eq!(metadata["pretrained_cfg"], r#"{"mean":[0.5]}"#);
    assert!(!metadata.contains_key("x"));
    for broken in ["{".to_owned(), " ".repeat((1 << 20) + 1), "[".repeat(100_000)] {
        fs::write(&config, broken).unwrap();
        assert!(matches!(read_state(dir.path()).unwrap_err(), FormatError::Metadata { .. }));
    }
}

#[test]
fn inspection_needs_no_network() {
    let dir = tempfile::tempdir().unwrap();
    let native = dir.path().join("m.safetensors");
    native::write(&model(), &native).unwrap();
    let onnx = dir.path().join("m.onnx");
    onnx::write(&model(), &onnx, &Default::default()).unwrap();
    let array = dir.path().join("x.npy");
    npy::write(&array, &Tensor::new(vec![2, 1], vec![-1.0, f32::NAN]).unwrap()).unwrap();
    let of = |path: &Path| inspect(path).unwrap();
    let first = |found: &Inspection| {
        let info = found.tensors.first().unwrap().clone();
        (info.name, info.dtype, info.shape)
    };

    let found = of(&native);
    assert!(found.kind.contains("safetensors") && found.metadata.contains_key("sepal.graph"));
    assert_eq!(found.tensors.len(), model().weights.len());
    assert_eq!(found.elements(), model().weights.iter().map(|(_, t)| t.len() as u64).sum::<u64>());

    let found = of(&onnx);
    assert!(found.kind.contains("ONNX") && found.notes.iter().any(|note| note.contains("Conv")), "{:?}", found.notes);

    let found = of(&array);
    assert_eq!(first(&found), (String::new(), "<f4".into(), vec![2, 1]));
    assert_eq!(found.notes, ["values from -1 to -1", "1 values are not finite"]);

    let found = of(&fixture("pth/state_zip.pth"));
    assert!(found.kind.contains("PyTorch") && found.metadata["layout"] == "zip");
    assert_eq!(first(&found), ("plain.weight".into(), "F32".into(), vec![2, 3]));
    assert_eq!(found.notes, ["`empty` is a tensor of shape [0, 3], which has no elements"]);

    let found = of(&fixture("keras/three.weights.h5"));
    assert!(found.kind.contains("Keras") && found.tensors.iter().any(|t| t.name == "stem.weight"));
    assert!(serde_json::to_string(&found).unwrap().contains("stem.weight"));
}

#[test]
fn unknown_cut_and_absent_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "hello").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, FormatError::Unknown { .. }) && error.to_string().contains("notes.txt"), "{error}");
    let cut = dir.path().join("m.safetensors");
    fs::write(&cut, b"12").unwrap();
    assert!(matches!(open(&cut).unwrap_err(), FormatError::TooShort { .. }));
    let error = open(dir.path().join("absent")).unwrap_err();
    assert!(matches!(error, FormatError::Read { .. }), "{error}");
}
