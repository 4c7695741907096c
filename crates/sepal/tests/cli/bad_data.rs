//! Data that are not what they should be: an error that names the file, or a picture left out and counted.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{SIZE, TINY, bomb, jpeg, model_file, photos, sepal};

/// The words of a short training run into `out`, on data that follow.
fn train(out: &Path) -> String {
    format!("train --model {TINY} --size {SIZE} --epochs 1 --batch 8 --threads 1 --json --out {} --", out.display())
}

#[test]
fn folders_without_pictures() {
    let dir = TempDir::new().unwrap();
    let (empty, out) = (dir.path().join("empty"), dir.path().join("run"));
    fs::create_dir(&empty).unwrap();
    sepal(&train(&out), &[&empty]).fails(1, &["the folder is empty", "train/CLASS"]);

    let photos = photos();
    fs::create_dir(photos.path().join("train/green")).unwrap();
    sepal(&train(&out), &[photos.path()]).fails(1, &["green", "holds no picture"]);
    assert!(!out.exists(), "a run that cannot start leaves nothing behind");
    sepal(&train(&out), &[&dir.path().join("none")]).fails(1, &["none"]);
}

#[test]
fn one_class_is_not_enough() {
    let dir = TempDir::new().unwrap();
    let class = dir.path().join("data/train/a");
    fs::create_dir_all(&class).unwrap();
    fs::write(class.join("x.jpg"), "not a picture").unwrap();
    sepal(&train(&dir.path().join("run")), &[&dir.path().join("data")]).fails(1, &["1 class", "at least 2"]);
}

#[test]
fn unreadable_pictures_are_left_out_and_counted_or_end_the_run() {
    let photos = photos();
    let red = photos.path().join("train/red");
    let jpeg = jpeg();
    fs::write(red.join("cut.jpg"), &jpeg[..jpeg.len() / 2]).unwrap();
    fs::write(red.join("text.jpg"), "this is no picture").unwrap();
    fs::write(red.join("bomb.png"), bomb()).unwrap();

    let dir = TempDir::new().unwrap();
    let run = sepal(&train(&dir.path().join("run")), &[photos.path()]).ok();
    assert_eq!(run.json()["skipped"], 3, "{}", run.err);
    for name in ["cut.jpg", "text.jpg", "bomb.png"] {
        assert!(run.err.contains(&format!("skipped: {}", red.join(name).display())), "{}", run.err);
    }
    assert!(run.err.contains("30000×30000"), "{}", run.err);

    let strict = format!("train --strict {}", &train(&dir.path().join("strict"))["train ".len()..]);
    sepal(&strict, &[photos.path()]).fails(1, &["red"]);

    let check = sepal("data check --json", &[photos.path()]).fails(1, &["3 of 43 pictures cannot be read", "hint: "]);
    assert_eq!(check.json()["bad"].as_array().unwrap().len(), 3);
}

#[test]
fn predicting_goes_on_after_an_unreadable_picture() {
    let dir = TempDir::new().unwrap();
    let file = model_file(dir.path());
    let jpeg = jpeg();
    let at = |name: &str, bytes: &[u8]| {
        fs::write(dir.path().join(name), bytes).unwrap();
        dir.path().join(name)
    };
    let paths = [at("cut.jpg", &jpeg[..jpeg.len() - 40]), at("text.jpg", b"hello"), at("bomb.png", &bomb())];
    let (good, none) = (at("good.jpg", &jpeg), dir.path().join("none.jpg"));
    let run = sepal("predict --json", &[&file, &paths[0], &paths[1], &paths[2], &none, &good]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(run.json()["predictions"].as_array().unwrap().len(), 1);
    assert_eq!(run.json()["errors"].as_array().unwrap().len(), 4);
    for path in paths.iter().chain([&none]) {
        assert!(run.err.contains(&format!("error: {}", path.display())), "{}", run.err);
    }
    assert!(run.err.contains("4 of 5 pictures"), "{}", run.err);
}

#[test]
fn idx_files_that_contradict_themselves() {
    let idx = |magic: u32, dims: &[u32], bytes: usize| {
        let head: Vec<u8> = std::iter::once(&magic).chain(dims).flat_map(|n| n.to_be_bytes()).collect();
        [head, vec![0; bytes]].concat()
    };
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    let write = |images: Vec<u8>, labels: Vec<u8>| {
        let data = dir.path().join("idx");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("train-images-idx3-ubyte"), images).unwrap();
        fs::write(data.join("train-labels-idx1-ubyte"), labels).unwrap();
        data
    };
    let data = write(idx(0x0807, &[2, 4, 4], 32), idx(0x0801, &[2], 2));
    sepal(&train(&out), &[&data]).fails(1, &["train-images-idx3-ubyte", "byte"]);
    let data = write(idx(0x0803, &[2, 4, 4], 32), idx(0x0801, &[3], 3));
    sepal(&train(&out), &[&data]).fails(1, &["2 pictures", "3 labels"]);
    let data = write(idx(0x0803, &[2, 4, 4], 31), idx(0x0801, &[2], 2));
    sepal(&train(&out), &[&data]).fails(1, &["train-images-idx3-ubyte"]);
    let data = write(idx(0x0803, &[4_000_000_000, 60_000, 60_000], 32), idx(0x0801, &[2], 2));
    sepal(&train(&out), &[&data]).fails(1, &["train-images-idx3-ubyte"]);
}

#[test]
fn recipes_that_cannot_be_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("r.toml");
    let words = |path: &Path| format!("train --recipe {}", path.display());
    sepal(&words(&dir.path().join("none.toml")), &[]).fails(1, &["none.toml"]);
    fs::write(&path, "epochs = 3\nepoch = 4\n").unwrap();
    sepal(&words(&path), &[]).fails(1, &["r.toml", "epoch", "line 2"]);
    fs::write(&path, "epochs = 0\n").unwrap();
    sepal(&words(&path), &[]).fails(2, &["epochs is 0"]);
}

#[test]
fn a_folder_in_use_is_not_written_to() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    sepal(&train(dir.path()), &[photos.path()]).fails(1, &["not empty", "--out"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
