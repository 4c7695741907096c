//! Model files and tensors that are not what they should be.

use std::fs;
use std::path::{Path, PathBuf};

use sepal::formats::{npy, tensors};
use sepal::{Meta, Model, Tensor, Weights};
use tempfile::TempDir;

use crate::support::{SIZE, model_file, photos, sepal};

/// A copy of the model file whose tensors `change` has changed.
fn changed(file: &Path, name: &str, change: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) -> PathBuf {
    let contents = tensors::read(file).unwrap();
    let list = contents.tensors.into_iter().map(|(name, tensor)| (name, tensor.shape, tensor.data));
    let mut list: Vec<_> = list.collect();
    change(&mut list);
    let path = file.with_file_name(name);
    let views: Vec<_> = list.iter().map(|(name, shape, data)| (name.as_str(), &shape[..], &data[..])).collect();
    tensors::write(&path, &views, &contents.metadata).unwrap();
    path
}

#[test]
fn damaged_model_files() {
    let dir = TempDir::new().unwrap();
    let good = model_file(dir.path());
    let bytes = fs::read(&good).unwrap();
    let cut = |name: &str, len: usize| {
        let path = dir.path().join(name);
        fs::write(&path, &bytes[..len]).unwrap();
        path
    };
    let words = "summary";
    sepal(words, &[&cut("short.safetensors", 5)]).fails(1, &["short.safetensors", "cut short"]);
    sepal(words, &[&cut("header.safetensors", 200)]).fails(1, &["header.safetensors", "cut short"]);
    sepal(words, &[&cut("tensor.safetensors", bytes.len() - 9)]).fails(1, &["tensor.safetensors", "cut short"]);
    fs::write(dir.path().join("ff.safetensors"), [0xff; 9]).unwrap();
    sepal(words, &[&dir.path().join("ff.safetensors")]).fails(1, &["ff.safetensors"]);
    fs::write(dir.path().join("cut.onnx"), b"\x08\x07\x12").unwrap();
    sepal(words, &[&dir.path().join("cut.onnx")]).fails(1, &["cut.onnx"]);
    fs::write(dir.path().join("empty.safetensors"), "").unwrap();
    sepal(words, &[&dir.path().join("empty.safetensors")]).fails(1, &["empty.safetensors"]);
    sepal(words, &[dir.path()]).fails(1, &["weights/best.safetensors"]);
    sepal(words, &[&dir.path().join("none.safetensors")]).fails(1, &["none.safetensors", "hint: "]);
}

#[test]
fn model_files_whose_tensors_do_not_fit() {
    let dir = TempDir::new().unwrap();
    let good = model_file(dir.path());
    let missing = changed(&good, "missing.safetensors", |list| drop(list.remove(0)));
    sepal("summary", &[&missing]).fails(1, &["missing.safetensors", "block1"]);
    let shape = changed(&good, "shape.safetensors", |list| {
        let bias = list.iter_mut().find(|(name, ..)| name == "classifier.bias").unwrap();
        (bias.1, bias.2) = (vec![3], vec![0.0; 3]);
    });
    sepal("summary", &[&shape]).fails(1, &["shape.safetensors", "classifier.bias", "3"]);
    let nan = changed(&good, "nan.safetensors", |list| list[0].2[0] = f32::NAN);
    sepal("eval", &[&nan, dir.path()]).fails(1, &["nan.safetensors", "NaN", "finite"]);
    let extra = changed(&good, "extra.safetensors", |list| list.push(("zzz".into(), vec![1], vec![0.0])));
    sepal("summary", &[&extra]).fails(1, &["extra.safetensors", "zzz"]);
}

#[test]
fn tensors_that_do_not_fit_the_network() {
    let dir = TempDir::new().unwrap();
    let file = model_file(dir.path());
    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    let run = |shape: &[usize]| {
        let tensor = Tensor::new(shape.to_vec(), vec![0.5; shape.iter().product()]).unwrap();
        npy::write(&x, &tensor).unwrap();
        sepal(&format!("run --input {} --output {} --json", x.display(), y.display()), &[&file])
    };
    run(&[1, 1, SIZE, SIZE]).fails(1, &["x.npy", "1×1×16×16", "N×3×16×16"]);
    run(&[3, 5]).fails(1, &["3×5"]);
    assert!(!y.exists());
    fs::write(&x, "no array").unwrap();
    let words = format!("run --input {} --output {}", x.display(), y.display());
    sepal(&words, &[&file]).fails(1, &["x.npy", "NumPy"]);
    assert!(!y.exists());
    // Another size is fine where the network can take it.
    assert_eq!(run(&[2, 3, 24, 20]).ok().json()["shape"], serde_json::json!([2, 2]));
}

#[test]
fn pictures_that_do_not_match_anything() {
    let dir = TempDir::new().unwrap();
    let file = model_file(dir.path());
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    sepal("predict", &[&file, &empty]).fails(1, &["holds no picture"]);
    sepal("predict", &[&file, &empty.join("*.jpg")]).fails(1, &["no file matches"]);
    sepal("eval", &[&file]).fails(2, &["embedded sample"]);
    sepal("eval", &[&file, &empty]).fails(1, &["the folder is empty"]);
}

#[test]
fn segmenters_are_no_classifiers() {
    let dir = TempDir::new().unwrap();
    let graph = sepal::zoo::build(&"espnet_c:p=1,q=1".parse().unwrap(), Some([SIZE; 2]), 2).unwrap();
    let weights = Weights::init(&graph, 0).unwrap();
    let meta = Meta { task: sepal::graph::Task::Segment, ..Meta::default() };
    let file = dir.path().join("scenes.safetensors");
    sepal::formats::native::write(&Model::new(graph, weights, meta).unwrap(), &file).unwrap();
    let photos = photos();
    let says: &[&str] = &["scenes.safetensors", "is no classifier", "2×2×2", "`sepal run`"];
    let unprepared: &[&str] = &["scenes.safetensors", "does not state its preprocessing"];
    sepal("predict", &[&file, &photos.path().join("test/red/0.png")]).fails(1, unprepared);
    sepal("eval", &[&file, photos.path()]).fails(1, says);
    let out = dir.path().join("run");
    sepal("train --model espnet_c:p=1,q=1 --size 16 --epochs 1 --out", &[&out, photos.path()])
        .fails(1, &["a score per class for every place"]);
    assert!(!out.exists());
}
