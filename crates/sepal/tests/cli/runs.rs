//! `sepal runs`, and what a run leaves behind for it.

use serde_json::json;
use tempfile::TempDir;

use crate::support::{SIZE, TINY, assert_fields, photos, sepal, sepal_in};

#[test]
fn runs_are_listed_and_compared() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let train = format!("train --model {TINY} --size {SIZE} --epochs 2 --batch 8 --threads 1 --progress none --json");
    for (name, lr) in [("a", "0.05"), ("b", "0.1")] {
        let words = format!("{train} --lr {lr} --tensorboard --out runs/{name} --");
        let report = sepal_in(dir.path(), &words, &[photos.path()]).ok().json();
        assert_fields(&report, &["waited", "macro", "classes", "confusion"]);
        assert_eq!(report["confusion"].as_array().unwrap().len(), report["classes"].as_array().unwrap().len());
        let run = dir.path().join("runs").join(name);
        let classes = std::fs::read_to_string(run.join("classes.csv")).unwrap();
        assert!(classes.starts_with("class,images,correct,precision,recall,f1\nblue,"), "{classes}");
        let confusion = std::fs::read_to_string(run.join("confusion.csv")).unwrap();
        assert!(confusion.starts_with("true/predicted,blue,red\nblue,"), "{confusion}");
        let names = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with("events.out.tfevents.")).count(), 1);
        let results = std::fs::read_to_string(run.join("results.csv")).unwrap();
        assert!(results.lines().next().unwrap().contains(",images_per_second,waited") && results.lines().count() == 3);
        assert!(run.join("results.svg").is_file() && run.join("confusion_matrix.svg").is_file());
    }
    // One that has only begun, and something that is no run.
    std::fs::create_dir_all(dir.path().join("runs/c")).unwrap();
    std::fs::copy(dir.path().join("runs/a/recipe.toml"), dir.path().join("runs/c/recipe.toml")).unwrap();
    std::fs::create_dir_all(dir.path().join("runs/notes")).unwrap();

    let list = sepal_in(dir.path(), "runs --sort top1 --json", &[]).ok().json();
    let rows = list["runs"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[2]["state"], &rows[2]["run"]), (3, &json!("failed"), &json!("runs/c")));
    assert!(rows[0]["top1"].as_f64() >= rows[1]["top1"].as_f64());
    for row in &rows[..2] {
        assert_fields(row, &["network", "data", "params", "macs", "seconds", "loss", "images_per_second"]);
        assert_eq!((&row["state"], &row["epochs_done"]), (&json!("done"), &json!(2)));
    }
    let text = sepal_in(dir.path(), "runs", &[]).ok().out;
    assert!(text.contains("runs/a") && text.contains("2/2") && text.contains("done"), "{text}");

    let both = sepal_in(dir.path(), "runs runs/a runs/b --json", &[]).ok().json();
    assert_eq!(both["differences"], json!([{"field": "lr", "values": ["0.05", "0.1"]}]));
    let both = sepal_in(dir.path(), "runs runs/a runs/b -o both.svg", &[]).ok().out;
    assert!(both.contains("best top-1") && both.contains("recipe") && both.contains("0.05"), "{both}");
    let svg = std::fs::read_to_string(dir.path().join("both.svg")).unwrap();
    assert!(svg.contains("runs/a") && svg.contains("runs/b"));
    assert!(sepal_in(dir.path(), "runs runs/a runs/a", &[]).ok().out.contains("the recipes are the same"));
    let empty = TempDir::new().unwrap();
    sepal("runs", &[empty.path()]).fails(1, &["no run under", "hint"]);
    sepal("runs", &[&dir.path().join("runs/a"), empty.path()]).fails(1, &["is no run"]);
}
