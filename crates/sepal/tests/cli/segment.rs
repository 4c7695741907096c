//! Segmentation from scenes to overlays.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{assert_fields, sepal, sepal_in};

const NET: &str = "espnet:p=1,q=1";

fn scenes(dir: &Path) -> std::path::PathBuf {
    let data = dir.join("scenes");
    let made = sepal("data scenes --count 10 --size 32 --seed 3 --json", &[&data]).ok().json();
    assert_eq!((&made["scenes"], &made["classes"]), (&10.into(), &11.into()));
    data
}

#[test]
fn from_scenes_to_overlays() {
    let dir = TempDir::new().unwrap();
    let data = scenes(dir.path());
    sepal("data scenes", &[&data]).fails(1, &["not empty"]);
    let checked = sepal("data check --json", &[&data]).ok().json();
    let counted: u64 = checked["sets"][0]["class_counts"].as_array().unwrap().iter().filter_map(|n| n.as_u64()).sum();
    assert_eq!((counted, &checked["sets"][0]["ignored"]), (8 * 32 * 32, &0.into()));
    assert!(sepal("data check", &[&data]).ok().out.contains("class (pixels)"));

    let train = format!("train --model {NET} --epochs 1 --batch 4 --threads 2 --json --out run --");
    let trained = sepal_in(dir.path(), &train, &[&data]).ok();
    let report = trained.json();
    assert_fields(&report, &["miou", "iou", "top1", "loss", "model"]);
    assert!(trained.err.contains("mIoU"), "{}", trained.err);
    let run = dir.path().join("run");
    let eval = sepal("eval --json", &[&run, &data]).ok().json();
    assert_eq!((&eval["miou"], &eval["set"], &eval["pixels"]), (&report["miou"], &"val".into(), &(2 * 32 * 32).into()));
    assert_eq!(eval["iou"].as_object().unwrap().len(), 11);
    assert!(sepal("eval", &[&run, &data]).ok().out.contains("mIoU"));

    // Pictures of one name, of a size that cannot be halved, and of one pixel.
    let odd = image::RgbImage::from_fn(37, 21, |x, y| image::Rgb([(x * 6) as u8, (y * 12) as u8, 90]));
    let files: Vec<_> = ["a", "b"].map(|folder| dir.path().join(folder).join("odd.png")).into();
    for file in &files {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        odd.save(file).unwrap();
    }
    let pixel = dir.path().join("pixel.png");
    image::RgbImage::new(1, 1).save(&pixel).unwrap();
    let found = sepal("predict --json", &[&run, &files[0], &files[1], &pixel]).ok().json();
    let predictions = found["predictions"].as_array().unwrap();
    assert_eq!((predictions.len(), &predictions[0]["width"]), (3, &37.into()));
    let shares: f64 = predictions[0]["classes"].as_array().unwrap().iter().filter_map(|c| c["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{found}");
    for (name, size) in [("odd", (37, 21)), ("odd-2", (37, 21)), ("pixel", (1, 1))] {
        let open = |kind: &str| image::open(run.join(format!("predictions/{name}.{kind}.png"))).unwrap().to_rgb8();
        assert_eq!((open("labels").dimensions(), open("mask").dimensions()), (size, size));
        // The labels' palette is the mask.
        assert_eq!(open("labels"), open("mask"));
        assert!(open("overlay").height() > size.1);
    }
    let out = dir.path().join("out");
    let words = format!("predict --format csv --tile 64 --upsample nearest --out {} --", out.display());
    assert!(sepal(&words, &[&run, &pixel]).ok().out.starts_with("image,class,share\n"));
    let missing = dir.path().join("none.png");
    let some = sepal("predict", &[&run, &missing, &pixel]);
    assert!(some.code == Some(1) && some.out.contains("pixel.png") && some.err.contains("none.png"), "{}", some.err);

    // What does not belong together.
    sepal("eval", &[&run, &dir.path().join("a")]).fails(1, &[]);
    sepal_in(dir.path(), "train --model mobilenet_v1 --epochs 1 --", &[&data]).fails(1, &["a class for each pixel"]);
    let bench =
        sepal(&format!("bench {NET} --train --size 32 --batch 2 --niter 1 --threads 1 --json"), &[]).ok().json();
    assert!(bench["median_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_recipe_trains_the_encoder_and_then_the_whole() {
    let dir = TempDir::new().unwrap();
    let data = scenes(dir.path());
    let words =
        format!("train --recipe espnet --model {NET} --size 32 --epochs 1 --batch 4 --threads 2 --json --out run --");
    let trained = sepal_in(dir.path(), &words, &[&data]).ok();
    for text in
        ["step 1 of 2: recipe espnet_c", "espnet_c:p=1,q=1 on 3×32×32", "step 2 of 2", "took", "espnet:p=1,q=1 on"]
    {
        assert!(trained.err.contains(text), "no {text} in {}", trained.err);
    }
    assert!(dir.path().join("run-first/weights/best.safetensors").is_file());
    assert_eq!(trained.json()["network"], "espnet:p=1,q=1");
    // Weights that are given are not trained first; those of the encoder alone run on pictures, too.
    let words =
        format!("train --recipe espnet --model {NET} --size 32 --epochs 1 --batch 4 --init run-first --out again --");
    let again = sepal_in(dir.path(), &words, &[&data]).ok();
    assert!(!again.err.contains("step 1"), "{}", again.err);
    let picture = data.join("images/val/00000.png");
    let found = sepal("predict --json", &[&dir.path().join("run-first"), &picture]).ok().json();
    assert_eq!(found["predictions"][0]["height"], 32);
}

#[test]
fn studies_are_listed_and_drawn() {
    let dir = TempDir::new().unwrap();
    assert!(sepal("study", &[]).ok().out.contains("gridding"));
    let found = sepal(&format!("study gridding --json --out {}", dir.path().display()), &[]).ok().json();
    assert_eq!(found["holds"], true);
    assert!(dir.path().join("gridding.svg").is_file());
    sepal("study girdding", &[]).fails(2, &["gridding"]);
}
