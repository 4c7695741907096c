//! Wrong command lines: exit code 2, and what would be right.

use crate::support::sepal;

#[test]
fn names_and_options_that_are_not_there() {
    sepal("summary mobilenet_v9", &[]).fails(2, &["mobilenet_v9", "did you mean", "mobilenet_v1"]);
    sepal("summary mobilenet_v1:wdith=1", &[]).fails(2, &["wdith", "did you mean `width`?"]);
    sepal("summary mobilenet_v1:width=0", &[]).fails(2, &["width=0", "above 0"]);
    sepal("summary mobilenet_v1:between=nothing", &[]).fails(2, &["bn_relu"]);
    sepal("train --model mobilenet_v1:width=0", &[]).fails(2, &["width=0"]);
    sepal("bench nothing_like_it", &[]).fails(2, &["unknown network"]);
    sepal("frobnicate", &[]).fails(2, &["frobnicate"]);
    sepal("predict", &[]).fails(2, &[]);
    sepal("bench mobilenet_v1 --isa sse9", &[]).fails(2, &["sse9", "hint: it has: scalar"]);
    sepal("train --opt sgdd", &[]).fails(2, &["sgdd", "hint: there are: sgd, adam, adamw, rmsprop"]);
    sepal("completions tcsh", &[]).fails(2, &["tcsh", "zsh"]);
}

#[test]
fn numbers_outside_their_range() {
    sepal("bench mobilenet_v1 --threads 0", &[]).fails(2, &["--threads", "from 1"]);
    sepal("train --epochs -1", &[]).fails(2, &["--epochs", "-1", "at least 1"]);
    sepal("train --epochs 0", &[]).fails(2, &["--epochs"]);
    sepal("train --batch 0", &[]).fails(2, &["--batch"]);
    sepal("train --lr -1", &[]).fails(2, &["lr", "above 0"]);
    sepal("train --smoothing 1.5", &[]).fails(2, &["label_smoothing", "1.5"]);
    sepal("train --mixup -1", &[]).fails(2, &["mix.mixup", "-1"]);
    sepal("train --erasing 2", &[]).fails(2, &["random_erasing.p", "0 to 1"]);
    sepal("train --lr-factor stem=0", &[]).fails(2, &["groups.lr_factor", "above 0"]);
    sepal("train --lr-factor stem", &[]).fails(2, &["stem*=0.1"]);
    sepal("train --accumulate 0", &[]).fails(2, &["--accumulate"]);
    sepal("train --val-split 1", &[]).fails(2, &["val-split"]);
    sepal("summary mobilenet_v1 --classes 0", &[]).fails(2, &["--classes", "at least 2"]);
    sepal("summary mobilenet_v1 --classes 1", &[]).fails(2, &["--classes", "at least 2"]);
    sepal("summary mobilenet_v1 --size 0", &[]).fails(2, &["--size", "pixels"]);
    sepal("summary mobilenet_v1 --size 99999999x99999999", &[]).fails(2, &["99999999"]);
    sepal("bench mobilenet_v1 --time 0", &[]).fails(2, &["--time"]);
}

#[test]
fn options_that_exclude_each_other() {
    sepal("train --resume a --init b", &[]).fails(2, &["--init", "cannot be used with"]);
    sepal("train --find-lr --out x", &[]).fails(2, &["--find-lr", "--out"]);
    sepal("train --no-aug --mixup 0.5", &[]).fails(2, &["--no-aug"]);
    sepal("train --no-aug --hflip 0.5", &[]).fails(2, &["--no-aug"]);
    sepal("train --opt adamw --momentum 0.9", &[]).fails(2, &["--momentum", "adamw"]);
}

#[test]
fn the_environment_is_below_the_command_line_and_checked_like_it() {
    let run = |threads: &str, words: &[&str]| -> crate::support::Run {
        crate::support::command().env("SEPAL_THREADS", threads).args(words).output().unwrap().into()
    };
    run("0", &["bench", "mobilenet_v1"]).fails(2, &["--threads", "from 1"]);
    let bench = ["bench", "mobilenet_v1:width=0.25", "--size", "32", "--niter", "1", "--json"];
    assert_eq!(run("1", &bench).ok().json()["threads"], 1);
    assert_eq!(run("1", &[&bench[..], &["--threads", "2"]].concat()).ok().json()["threads"], 2);
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused_wherever_it_is_named() {
    let run = |name: &str, words: &[&str]| -> crate::support::Run {
        crate::support::command().env("SEPAL_ISA", name).args(words).output().unwrap().into()
    };
    let bench = ["bench", "mobilenet_v1:width=0.25", "--size", "32", "--niter", "1", "--json"];
    for words in [&["train", "--epochs", "1"][..], &["predict", "net.safetensors", "cat.jpg"], &bench] {
        run("sse9", words).fails(2, &["sse9", "hint: it has: scalar"]);
    }
    run("sse9", &["train"]).fails(2, &["SEPAL_ISA"]);
    assert_eq!(run("scalar", &bench).ok().json()["isa"], "scalar");
    assert_eq!(run("sse9", &[&bench[..], &["--isa", "scalar"]].concat()).ok().json()["isa"], "scalar");
}
