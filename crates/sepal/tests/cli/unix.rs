//! Signals and full disks, which tests can bring about on Unix.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Run, SIZE, TINY, command, photos, sepal};

/// Epochs of a run that is interrupted after the first: long enough to be under way when the signal comes.
const EPOCHS: usize = 40;

fn train(out: &Path, data: &Path) -> Vec<String> {
    let line = format!(
        "train --model {TINY} --size {SIZE} --epochs {EPOCHS} --batch 8 --seed 5 --threads 1 --progress json --out {} {}",
        out.display(),
        data.display()
    );
    line.split_whitespace().map(str::to_owned).collect()
}

/// Starts a run and interrupts it after its first epoch.
fn interrupted(out: &Path, data: &Path) -> Run {
    let mut child = command().args(train(out, data)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut err: Vec<String> = Vec::new();
    for line in lines.by_ref() {
        let done = line.contains("\"event\":\"epoch\"");
        err.push(line);
        if done {
            break;
        }
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    err.extend(lines);
    let output = child.wait_with_output().unwrap();
    Run { err: err.join("\n"), ..Run::from(output) }
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_does() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let out = dir.path().join("run");
    let run = interrupted(&out, photos.path());
    assert_eq!(run.code, Some(130), "{}", run.err);
    assert!(run.err.contains(&format!("train --resume {}", out.display())), "{}", run.err);

    // Under another recipe it must not go on.
    let resume = format!("train --resume {} --threads 2 --progress none --json", out.display());
    sepal(&format!("{resume} --lr 0.3 --batch 4"), &[]).fails(2, &["another recipe", "lr: ", "0.3 now", "batch: 8"]);

    // With room for no checkpoint it ends, and what was written stays whole.
    let state = fs::read(out.join("state.safetensors")).unwrap();
    let limited = "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"";
    let sepal_path = command().get_program().to_owned();
    let words = format!("{resume} --checkpoint-every 1");
    let full: Run = Command::new("sh")
        .args(["-c", limited])
        .arg(sepal_path)
        .args(words.split_whitespace())
        .output()
        .unwrap()
        .into();
    let full = full.fails(1, &["cannot write the checkpoint", "checkpoint is intact", "--resume"]);
    assert!(full.err.contains("large"), "{}", full.err);
    assert_eq!(fs::read(out.join("state.safetensors")).unwrap(), state);

    // And the interruptions leave no trace in the weights.
    assert_eq!(sepal(&resume, &[]).ok().json()["epochs"], EPOCHS);
    let whole = dir.path().join("whole");
    let words = train(&whole, photos.path());
    assert!(command().args(words).output().unwrap().status.success());
    let last = |run: &Path| sepal::open(run.join("weights/last.safetensors")).unwrap().weights;
    assert!(last(&out) == last(&whole));
}

#[test]
fn a_killed_run_ends_with_the_same_bits_on_other_threads() {
    let (dir, photos) = (TempDir::new().unwrap(), photos());
    let (out, whole) = (dir.path().join("run"), dir.path().join("whole"));
    let words = |out: &Path| {
        let mut words = train(out, photos.path());
        words.splice(1..1, ["--checkpoint-every".to_owned(), "1".to_owned()]);
        words
    };
    let mut child = command().args(words(&out)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.contains("\"event\":\"epoch\"")));
    // With a state after every step, most moments are in the middle of an epoch.
    std::thread::sleep(std::time::Duration::from_millis(20));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was killed");
    let epochs = sepal("runs --json", &[&out]).ok().json()["runs"][0].clone();
    assert_eq!(epochs["state"], "stopped", "{epochs}");

    let resume = format!("train --resume {} --threads 2 --progress none --json", out.display());
    assert_eq!(sepal(&resume, &[]).ok().json()["epochs"], EPOCHS);
    assert!(command().args(words(&whole)).output().unwrap().status.success());
    let last = |run: &Path| sepal::open(run.join("weights/last.safetensors")).unwrap().weights;
    assert!(last(&out) == last(&whole));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        command().arg("summary").arg("mobilenet_v1").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
