//! Opening by content, by extension, and by run folder.

mod common;

use std::fs;

use common::model;
use sepal_formats::{FormatError, native, npy, onnx, open, run_weights};
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
        ("c", b"\x89HDF\r\n\x1a\n\0\0\0\0", "HDF5"),
        ("f.PTH", b"", "PyTorch"),
        ("g.keras", b"?", "Keras"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = open(&path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, FormatError::NotRead { .. }) && text.contains(what), "{name}: {text}");
        assert!(text.contains(".safetensors") && text.contains("training run"), "{text}");
    }
    onnx::write(&model(), &odd, &Default::default()).unwrap();
    assert_eq!(open(&odd).unwrap(), model());
    fs::write(&odd, b"?").unwrap();
    assert!(matches!(open(&odd).unwrap_err(), FormatError::Protobuf { .. }));
    let path = dir.path().join("x.npy");
    npy::write(&path, &Tensor::full(vec![2], 1.0).unwrap()).unwrap();
    assert!(open(&path).unwrap_err().to_string().contains("NumPy"));
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
