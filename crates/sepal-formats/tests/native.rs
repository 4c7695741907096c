//! The native model file: round trips, and one test per way of lying.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::model;
use sepal_formats::native::{self, ReadOptions};
use sepal_formats::tensors::{self, Contents};
use sepal_formats::{FormatError, open};
use sepal_graph::{Error, Meta, Model, Weights};

/// The file of [`model`] with its content changed.
fn changed(change: impl FnOnce(&mut Contents)) -> Vec<u8> {
    let mut contents = tensors::from_bytes(&native::to_bytes(&model()).unwrap(), "m").unwrap();
    change(&mut contents);
    let list: Vec<(&str, &[usize], &[f32])> =
        contents.tensors.iter().map(|(n, t)| (n.as_str(), &t.shape[..], &t.data[..])).collect();
    let mut bytes = Vec::new();
    tensors::to_writer(&mut bytes, &list, &contents.metadata).unwrap();
    bytes
}

fn lie(change: impl FnOnce(&mut Contents)) -> (FormatError, String) {
    let error = native::from_bytes(&changed(change), "m.safetensors", &ReadOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("m.safetensors: "), "{text}");
    (error, text)
}

fn insert(key: &'static str, value: &'static str) -> impl FnOnce(&mut Contents) {
    move |c| {
        c.metadata.insert(key.into(), value.into());
    }
}

#[test]
fn round_trip_by_file_and_bytes() {
    let model = model();
    let bytes = native::to_bytes(&model).unwrap();
    assert_eq!(native::from_bytes(&bytes, "m", &ReadOptions::default()).unwrap(), model);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    native::write(&model, &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes, "equal models are equal bytes");
    assert_eq!(native::read(&path).unwrap(), model);
    assert_eq!(open(&path).unwrap(), model);
    let bare = Model { meta: Meta::default(), ..model };
    native::write(&bare, &path).unwrap();
    assert_eq!(native::read(&path).unwrap(), bare);
}

#[test]
fn every_network_of_the_registry_round_trips() {
    for row in sepal_zoo::networks() {
        let spec: sepal_zoo::Spec = row.name.parse().unwrap();
        let graph = sepal_zoo::build(&spec, None, 10).unwrap();
        let weights = Weights::formula(&graph).unwrap();
        let model = Model::new(graph, weights, Meta::default()).unwrap();
        let bytes = native::to_bytes(&model).unwrap();
        assert!(native::from_bytes(&bytes, row.name, &ReadOptions::default()).unwrap() == model, "{}", row.name);
    }
}

#[test]
fn any_safetensors_reader_finds_tensors_and_metadata() {
    let bytes = native::to_bytes(&model()).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.tensor("stem.conv.weight").unwrap().shape(), [4, 3, 3, 3]);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["format"], "pt");
    assert_eq!(metadata["sepal.version"], "1");
    assert!(metadata.contains_key("sepal.graph") && metadata.contains_key("sepal.meta"));
}

#[test]
fn tensors_without_a_network() {
    let bytes = changed(|c| c.metadata.clear());
    let error = native::from_bytes(&bytes, "m", &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, FormatError::NoNetwork { key: "sepal.version", tensors: 8, .. }), "{error}");
    let (error, _) = lie(|c| drop(c.metadata.remove("sepal.graph")));
    assert!(matches!(error, FormatError::NoNetwork { key: "sepal.graph", .. }), "{error}");
}

#[test]
fn a_later_layout() {
    for version in ["2", "4294967295"] {
        let (error, text) = lie(insert("sepal.version", version));
        assert!(matches!(error, FormatError::Version { known: 1, .. }) && text.contains(version), "{text}");
    }
    let (error, _) = lie(insert("sepal.version", "new"));
    assert!(matches!(error, FormatError::Metadata { key: "sepal.version", .. }), "{error}");
}

#[test]
fn graph_or_meta_that_is_not_one() {
    for (key, text) in [
        ("sepal.graph", "{"),
        ("sepal.graph", "{\"name\":\"x\",\"nodes\":[],\"inputs\":[],\"outputs\":[]}"),
        ("sepal.graph", "{\"name\":\"x\",\"nodes\":[],\"inputs\":[],\"outputs\":[0]}"),
        ("sepal.meta", "1"),
        ("sepal.meta", "{\"task\":\"juggle\"}"),
        ("sepal.meta", "{\"colour\":\"red\"}"),
    ] {
        let (error, message) = lie(insert(key, text));
        assert!(matches!(error, FormatError::Metadata { key: k, .. } if k == key), "{message}");
        assert!(message.contains(key), "{message}");
    }
    let (_, text) = lie(|c| {
        let graph = c.metadata.get_mut("sepal.graph").unwrap();
        *graph = graph.replacen("[0]", "[9]", 1);
    });
    assert!(text.contains("stem.conv"), "names the node: {text}");
}

#[test]
fn a_tensor_missing_unexpected_or_misshapen() {
    let (error, text) = lie(|c| {
        let moved = c.tensors.remove("sep.pointwise.weight").unwrap();
        c.tensors.insert("sep.pointwize.weight".into(), moved);
        let bias = c.tensors.get_mut("classifier.weight").unwrap();
        bias.shape.reverse();
    });
    assert!(matches!(error, FormatError::Model { source: Error::Mismatch { .. }, .. }));
    for part in [
        "missing: `sep.pointwise.weight` (nearest: `sep.pointwize.weight`)",
        "unexpected: `sep.pointwize.weight`",
        "wrong shape: `classifier.weight`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_empty_tensor_is_named() {
    let (error, text) = lie(|c| {
        let t = c.tensors.get_mut("stem.bn.bias").unwrap();
        t.shape = vec![0];
        t.data.clear();
    });
    assert!(matches!(error, FormatError::Model { .. }) && text.contains("stem.bn.bias"), "{text}");
}

#[test]
fn weights_that_are_not_finite() {
    for value in [f32::NAN, f32::INFINITY] {
        let change = |c: &mut Contents| c.tensors.get_mut("sep.pointwise.weight").unwrap().data[5] = value;
        let (error, text) = lie(change);
        assert!(matches!(error, FormatError::Model { source: Error::NotFinite { index: 5, .. }, .. }));
        assert!(text.contains("`sep.pointwise.weight`") && error.hint().is_some(), "{text}");
        let options = ReadOptions { allow_not_finite: true };
        let read = native::from_bytes(&changed(change), "m", &options).unwrap();
        assert!(!read.weights.get("sep.pointwise.weight").unwrap().data()[5].is_finite());
    }
    let (error, _) = lie(|c| c.tensors.get_mut("stem.bn.running_var").unwrap().data[0] = -1.0);
    assert!(matches!(error, FormatError::Model { source: Error::NegativeVariance { .. }, .. }), "{error}");
}

#[test]
fn metadata_that_contradicts_the_graph() {
    let (error, text) = lie(insert("sepal.meta", "{\"classes\":[\"one\"]}"));
    assert!(matches!(error, FormatError::Model { source: Error::Meta(_), .. }) && text.contains("1 class"), "{text}");
}

#[test]
fn a_model_that_could_not_be_read_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    native::write(&model(), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let mut broken = model();
    broken.weights.get_mut("stem.bn.weight").unwrap().data_mut()[0] = f32::NAN;
    let error = native::write(&broken, &path).unwrap_err();
    assert!(error.to_string().contains("stem.bn.weight"), "{error}");
    assert!(native::to_bytes(&broken).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn every_cut_is_an_error() {
    let bytes = native::to_bytes(&model()).unwrap();
    for cut in 0..bytes.len() {
        native::from_bytes(&bytes[..cut], "m", &ReadOptions::default()).unwrap_err();
    }
}

#[test]
fn unknown_metadata_is_no_error() {
    let bytes = changed(|c| c.metadata.extend(BTreeMap::from([("author".to_owned(), "x".to_owned())])));
    assert_eq!(native::from_bytes(&bytes, "m", &ReadOptions::default()).unwrap(), model());
}
