//! A bundle while it is added to: by a process that is killed, and by two.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use sepal::formats::bundle::Bundle;

use crate::domains::{QUICK, begun};
use crate::support::{Run, command, photos, sepal, sepal_in};

fn adding(dir: &Path, bundle: &Path, data: &Path, words: &str) -> Command {
    let mut add = command();
    let line = format!("domains add {words} --");
    add.current_dir(dir).args(line.split_whitespace()).args([bundle, data]);
    add.stdout(Stdio::piped()).stderr(Stdio::piped());
    add
}

#[test]
fn a_killed_addition_leaves_the_bundle_and_can_be_completed() {
    let photos = photos();
    let (dir, bundle) = begun(photos.path());
    let before = std::fs::read(&bundle).unwrap();
    let words = "--name second --batch 8 --threads 1 --epochs 30 --progress json";
    let mut child = adding(dir.path(), &bundle, photos.path(), words).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"event\":\"epoch\"")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(std::fs::read(&bundle).unwrap() == before);

    let run = dir.path().join("runs/second");
    let from = format!("domains add --name second --json --from {} --", run.display());
    sepal(&from, &[&bundle]).fails(1, &["is not finished", "train --resume"]);
    sepal_in(dir.path(), "train --threads 1 --progress none --resume", &[&run]).ok();
    let report = sepal(&from, &[&bundle]).ok().json();
    assert_eq!((&report["protocol"], &report["set"]), (&"share-pointwise".into(), &"val".into()));
    assert_eq!(Bundle::read(&bundle).unwrap().domains().len(), 2);
}

#[test]
fn two_additions_at_once_are_both_there() {
    let photos = photos();
    let (dir, bundle) = begun(photos.path());
    let add =
        |name: &str| adding(dir.path(), &bundle, photos.path(), &format!("{QUICK} --name {name}")).spawn().unwrap();
    let children = ["one", "two", "three"].map(add);
    for child in children {
        Run::from(child.wait_with_output().unwrap()).ok();
    }
    let mut names: Vec<_> = Bundle::read(&bundle).unwrap().domains().iter().map(|domain| domain.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["first", "one", "three", "two"]);
}
