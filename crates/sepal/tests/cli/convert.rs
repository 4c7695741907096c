//! Models to and from other forms.

use std::fs;
use std::path::Path;

use sepal::formats::{npy, open};
use sepal::{Model, Tensor};
use tempfile::TempDir;

use crate::support::{SIZE, TINY, assert_fields, model_file, photos, sepal, sepal_in};

/// What the model makes of a fixed input, by `sepal run` with more `words`.
fn output(dir: &Path, file: &Path, words: &str) -> Vec<f32> {
    let values = (0..2 * 3 * SIZE * SIZE).map(|i| (i % 37) as f32 / 18.0 - 1.0).collect();
    npy::write(dir.join("x.npy"), &Tensor::new(vec![2, 3, SIZE, SIZE], values).unwrap()).unwrap();
    sepal_in(dir, &format!("run --input x.npy --output y.npy {words}"), &[file]).ok();
    npy::read(dir.join("y.npy")).unwrap().into_data()
}

#[track_caller]
fn assert_near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    let greatest = b.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-5 * greatest, "{a} {b}");
    }
}

/// Out to ONNX and back: classes, preprocessing and outputs stay.
#[test]
fn a_model_goes_to_onnx_and_comes_back() {
    let dir = TempDir::new().unwrap();
    let net = model_file(dir.path());
    let (onnx, back) = (dir.path().join("net.onnx"), dir.path().join("back.safetensors"));
    let json = sepal("export --json -o", &[&onnx, &net]).ok().json();
    assert_fields(&json, &["output", "nodes", "params"]);
    sepal("import -o", &[&back, &onnx]).ok();
    let (Model { meta: before, .. }, Model { meta: after, .. }) = (open(&net).unwrap(), open(&back).unwrap());
    assert_eq!((before.classes, before.preprocessing), (after.classes, after.preprocessing));
    let expected = output(dir.path(), &net, "");
    assert_near(&output(dir.path(), &onnx, ""), &expected);
    assert_near(&output(dir.path(), &back, ""), &expected);
    let summary = sepal("summary --json", &[&onnx]).ok().json();
    assert_eq!(summary["params"], json["params"]);

    let data = photos();
    let top1 = |file: &Path| sepal("eval --json", &[file, data.path()]).ok().json()["top1"].clone();
    assert_eq!(top1(&onnx), top1(&net));
    sepal("bench --time 0.05 --json", &[&onnx]).ok();
}

/// Under PyTorch's names without the network, and back into it.
#[test]
fn weights_alone_need_the_networks_name() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let spec = "mobilenet_v2:width=0.1,stem=cifar";
    let random = format!("export {spec} --size {SIZE} --classes 2 --seed 3 -o");
    sepal(&random, &[&path("net.safetensors")]).ok();
    sepal("export --names timm -o", &[&path("timm.safetensors"), &path("net.safetensors")])
        .fails(1, &["timm", "mobilenet_v2"]);
    let random = format!("export mobilenet_v2:width=0.1 --size {SIZE} --classes 2 --seed 3 -o");
    sepal(&random, &[&path("net.safetensors")]).ok();
    sepal("export --names timm -o", &[&path("timm.safetensors"), &path("net.safetensors")]).ok();

    let inspection = sepal("inspect --json", &[&path("timm.safetensors")]).ok().json();
    let names: Vec<&str> =
        inspection["tensors"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
    assert!(names.contains(&"conv_stem.weight") && names.contains(&"bn1.num_batches_tracked"), "{names:?}");
    sepal("summary", &[&path("timm.safetensors")]).fails(1, &["--model"]);
    let words = format!("--model mobilenet_v2:width=0.1 --size {SIZE} --classes 2");
    let expected = output(dir.path(), &path("net.safetensors"), "");
    assert_near(&output(dir.path(), &path("timm.safetensors"), &words), &expected);

    // Another number of classes resets the classifier and says so; without being asked to, it is refused.
    let import = "import --model mobilenet_v2:width=0.1";
    let three =
        sepal(&format!("{import} --classes 3 -o"), &[&path("three.safetensors"), &path("timm.safetensors")]).ok();
    assert!(three.err.contains("starting anew: classifier.weight, classifier.bias"), "{}", three.err);
    sepal(&format!("{import} -o"), &[&path("x.safetensors"), &path("timm.safetensors")]).fails(1, &["classifier"]);
    sepal("import --model mobilenet_v1 --classes 2 -o", &[&path("x.safetensors"), &path("timm.safetensors")])
        .fails(1, &["missing", "unexpected"]);
    assert!(!path("x.safetensors").exists());
}

/// Training starts from weights of any form.
#[test]
fn training_starts_from_imported_weights() {
    let (dir, data) = (TempDir::new().unwrap(), photos());
    let path = |name: &str| dir.path().join(name);
    sepal(&format!("export {TINY} --size {SIZE} --classes 7 -o"), &[&path("seven.safetensors")]).ok();
    sepal("export --names timm -o", &[&path("timm.safetensors"), &path("seven.safetensors")]).ok();
    let train = format!("train --model {TINY} --size {SIZE} --epochs 1 --batch 8 --out");
    let from = format!("{train} {} --init", path("run").display());
    let run = sepal(&from, &[&path("timm.safetensors"), data.path()]).ok();
    assert!(run.err.contains("took") && run.err.contains("starting anew: classifier"), "{}", run.err);
}

#[test]
fn how_pictures_are_prepared_is_said_on_import() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    sepal(&format!("export {TINY} --size {SIZE} --classes 2 -o"), &[&path("plain.onnx")]).ok();
    fs::write(path("names.txt"), "blue\nred\n").unwrap();
    let words = "import --mean 0.485,0.456,0.406 --std 0.25 --interpolation bicubic --crop-pct 0.9 --class-map";
    sepal(words, &[&path("names.txt"), &path("plain.onnx"), Path::new("-o"), &path("net.safetensors")]).ok();
    let meta = open(path("net.safetensors")).unwrap().meta;
    let preprocessing = meta.preprocessing.unwrap();
    assert_eq!((preprocessing.mean, preprocessing.std), ([0.485, 0.456, 0.406], [0.25; 3]));
    assert_eq!((meta.classes, preprocessing.size), (vec!["blue".to_owned(), "red".to_owned()], [SIZE; 2]));

    fs::write(path("three.txt"), "a\nb\nc\n").unwrap();
    sepal("import -o x.safetensors --class-map", &[&path("three.txt"), &path("plain.onnx")])
        .fails(2, &["3 class names for 2 outputs"]);
    sepal("import --mean 0.5 -o x.safetensors", &[&path("plain.onnx")]).fails(2, &["--std"]);
    sepal("import --mean 0.5 --std 0 -o x.safetensors", &[&path("plain.onnx")]).fails(2, &["std"]);
    sepal("import --interpolation cubic -o x.safetensors", &[&path("plain.onnx")]).fails(2, &["bicubic"]);
    sepal("import -o x.pth", &[&path("plain.onnx")]).fails(2, &["x.pth", "extension"]);
    sepal("export --names timm -o x.onnx mobilenet_v1", &[]).fails(2, &["--names"]);
    sepal("export --opset 9 -o x.onnx", &[&path("plain.onnx")]).fails(1, &["opset 9"]);
    sepal("export --batch 0 -o x.onnx", &[&path("plain.onnx")]).fails(2, &["dynamic"]);
}

#[test]
fn any_file_can_be_inspected() {
    let dir = TempDir::new().unwrap();
    let net = model_file(dir.path());
    let json = sepal("inspect --json", &[&net]).ok().json();
    assert_fields(&json, &["file", "kind", "metadata", "tensors", "elements"]);
    assert!(sepal("inspect", &[&net]).ok().out.contains("classifier.weight"));
    npy::write(dir.path().join("x.npy"), &Tensor::new(vec![2, 3], vec![0.0; 6]).unwrap()).unwrap();
    let json = sepal("inspect --json", &[&dir.path().join("x.npy")]).ok().json();
    assert_eq!(json["tensors"][0]["shape"], serde_json::json!([2, 3]));
    fs::write(dir.path().join("what"), "neither").unwrap();
    sepal("inspect", &[&dir.path().join("what")]).fails(1, &["what"]);
    sepal("inspect", &[&dir.path().join("none")]).fails(1, &["none"]);
}
