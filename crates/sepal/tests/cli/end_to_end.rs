//! From pictures to a model to what is in a picture.

use std::io::Write;
use std::process::Stdio;

use sepal::formats::npy;
use sepal::{Recipe, Tensor};
use tempfile::TempDir;

use crate::support::{Run, SIZE, TINY, assert_fields, command, photos, sepal, sepal_in};

#[test]
fn train_eval_predict_run() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let data = photos.path();
    let train = format!(
        "train --model {TINY} --size {SIZE} --epochs 25 --batch 8 --lr 0.05 --no-aug --seed 3 --ema 0.5 --threads 2 --json --"
    );
    let trained = sepal_in(dir.path(), &train, &[data]).ok();
    let report = trained.json();
    assert_fields(&report, &["run", "epochs", "top1", "top5", "loss", "seconds", "images_per_second", "model"]);
    assert_eq!(
        (&report["run"], &report["epochs"], &report["set"]),
        (&"runs/mobilenet_v1".into(), &25.into(), &"test".into())
    );
    assert!(report["top1"].as_f64().unwrap() >= 0.75, "{report}");
    for text in [
        "params",
        "24 training pictures, 8 val, 8 test, 2 classes",
        "at the peak of a step: activations",
        "epoch 25/25",
        "images/s",
    ] {
        assert!(trained.err.contains(text), "no {text} in {}", trained.err);
    }

    let run = dir.path().join("runs/mobilenet_v1");
    for name in ["recipe.toml", "results.csv", "results.svg", "confusion_matrix.svg", "state.safetensors"] {
        assert!(run.join(name).is_file(), "{name}");
    }
    assert!(run.join("weights/best.safetensors").is_file() && run.join("weights/last.safetensors").is_file());
    let csv = std::fs::read_to_string(run.join("results.csv")).unwrap();
    assert!(csv.starts_with("epoch,time,train/loss,") && csv.lines().count() == 26, "{csv}");
    let recipe = Recipe::read(&run.join("recipe.toml")).unwrap();
    assert_eq!((recipe.epochs, recipe.seed, recipe.ema_decay), (25, 3, 0.5));

    // The example is a file of the test set, named as the command to try says.
    let example = &report["example"];
    assert_eq!(example["label"], "blue");
    let image = data.join("test/blue/0.png");
    assert_eq!(example["image"], image.display().to_string());
    let predicted = sepal("predict --json --topk 1", &[&run, &image]).ok().json();
    let class = &predicted["predictions"][0]["classes"][0];
    assert_eq!(class["name"], example["classes"][0]["name"]);
    assert!((class["p"].as_f64().unwrap() - example["classes"][0]["p"].as_f64().unwrap()).abs() < 1e-9);

    let out = dir.path().join("report");
    let eval = sepal(&format!("eval --json --out {} --", out.display()), &[&run, data]).ok().json();
    assert_fields(&eval, &["top1", "top5", "loss", "images", "confusion"]);
    assert_eq!((&eval["top1"], &eval["images"], &eval["set"]), (&report["top1"], &8.into(), &"test".into()));
    assert_eq!(eval["classes"].as_array().unwrap().len(), 2);
    assert!(out.join("confusion_matrix.svg").is_file() && out.join("metrics.json").is_file());

    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    npy::write(&x, &Tensor::full(vec![3, 3, SIZE, SIZE], 0.25).unwrap()).unwrap();
    let words = format!("run --json --input {} --output {}", x.display(), y.display());
    let ran = sepal(&words, &[&run]).ok().json();
    assert_fields(&ran, &["shape", "ms"]);
    let logits = npy::read(&y).unwrap();
    assert_eq!((logits.shape(), logits.data()[..2] == logits.data()[4..]), (&[3, 2][..], true));

    // What is done cannot be resumed, but built upon.
    sepal("train --resume", &[&run]).fails(1, &["finished", "--init"]);
    let init = format!("train --init {} --epochs 1 --batch 8 --threads 1 --json --", run.display());
    let tuned = sepal_in(dir.path(), &init, &[data]).ok();
    assert_eq!(tuned.json()["run"], "runs/mobilenet_v1-2");
    assert!(tuned.err.contains("took") && !tuned.err.contains("starting anew"), "{}", tuned.err);
    assert_eq!(tuned.json()["network"], report["network"]);
}

#[test]
fn a_named_recipe_under_many_options_and_a_rate_for_it() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let network = format!("--model {TINY} --size {SIZE} --batch 8 --recipe bsconv_u --epochs 2 --accumulate 2");
    let train = format!(
        "train {network} --policy rand --color-jitter 0.4 --erasing 0.5 --mixup 0.2 --cutmix 1 --balanced --repeats 2 \
         --patience 2 --lr-factor classifier*=2 --opt adam --sched one_cycle --json --"
    );
    let report = sepal_in(dir.path(), &train, &[photos.path()]).ok().json();
    assert_eq!(report["epochs"], 2);
    let recipe = Recipe::read(&dir.path().join("runs/mobilenet_v1/recipe.toml")).unwrap();
    assert_eq!((recipe.batch, recipe.accumulate, recipe.label_smoothing, recipe.ema_decay), (8, 2, 0.0, 0.0));
    assert!(recipe.augment.mix.is_some() && recipe.augment.crop_padding == Some(4) && recipe.sampling.balanced);

    let other = TempDir::new().unwrap();
    let find = sepal_in(other.path(), &format!("train {network} --find-lr=rates.svg --json --"), &[photos.path()]).ok();
    let curve = find.json();
    assert_fields(&curve, &["network", "points", "diverged", "suggestion", "lowest"]);
    let points = curve["points"].as_array().unwrap();
    assert!(points.len() > 10 && points[0]["lr"] == 5e-5, "{curve}");
    assert!(std::fs::read_to_string(other.path().join("rates.svg")).unwrap().contains("<svg"));
    assert!(!other.path().join("runs").exists());
}

#[test]
fn predictions_in_every_form() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let file = crate::support::model_file(dir.path());
    let folder = photos.path().join("test");
    let csv = sepal("predict --topk 2 --format csv", &[&file, &folder]).ok().out;
    assert_eq!((csv.lines().next(), csv.lines().count()), (Some("image,rank,class,p"), 1 + 2 * 8));
    let lines = sepal("predict --topk 1 --format jsonl", &[&file, &folder.join("*/1.png")]).ok().out;
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_fields(&value, &["image", "classes"]);
    }
    let table = sepal("predict", &[&file, &folder.join("red/0.png")]).ok().out;
    assert!(table.contains("red") && table.contains("blue"), "{table}");

    let mut child = command()
        .args(["predict", "--json"])
        .args([&file, std::path::Path::new("-")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let list = format!("{}\n\n{}\n", folder.join("red/0.png").display(), folder.join("blue/0.png").display());
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).ok();
    assert_eq!(run.json()["predictions"].as_array().unwrap().len(), 2);
}

#[test]
fn a_flat_folder_is_split_and_checked() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let flat = photos.path().join("train");
    let check = sepal("data check --json", &[&flat]).ok().json();
    assert_eq!((&check["pictures"], &check["classes"]), (&24.into(), &serde_json::json!(["blue", "red"])));
    let words = format!(
        "train --model {TINY} --size {SIZE} --epochs 1 --batch 8 --threads 1 --val-split 0.25 --progress json --json --out {} --",
        dir.path().join("run").display()
    );
    let run = sepal(&words, &[&flat]).ok();
    let report = run.json();
    assert_eq!((&report["set"], &report["images"]), (&"val".into(), &6.into()));
    let events: Vec<serde_json::Value> = run.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(events[0]["event"], "start");
    assert!(events.iter().any(|event| event["event"] == "epoch" && event["set"] == "val"), "{}", run.err);
}
