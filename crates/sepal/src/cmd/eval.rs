//! `sepal eval`: how well does a model do on a set of pictures?

use std::path::{Path, PathBuf};
use std::time::Instant;

use sepal_data::{Dataset, EvalSet, OpenOptions, SAMPLE_CLASSES, Skipped};
use sepal_formats::atomic;
use sepal_graph::Model;
use sepal_report::{grouped, percent};
use sepal_train::{EvalOptions, Observer, evaluate};
use serde::Serialize;

use crate::args;
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::progress::Progress;
use crate::scores::Scores;
use crate::target::{ModelFile, expect_classifier};
use crate::threads::Threads;

/// Measure a model on labelled pictures: accuracy, loss, precision, recall and F1 of each class, confusion matrix
///
/// A segmenter is measured on pictures with masks, pixel by pixel at their own sizes: mean and each class's intersection over
/// union, too.
///
/// Pictures are prepared exactly as in training. Of a data set with several sets the test set is measured, else the
/// validation set, else all. Its classes are mapped to the model's by name.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal eval runs/mobilenet_v1                          on the embedded sample it was trained on
  sepal eval runs/mobilenet_v1 photos --out report
  sepal eval net.safetensors photos/test --json")]
pub(crate) struct Args {
    #[command(flatten)]
    file: ModelFile,
    #[command(flatten)]
    measure: Measure,
}

/// What to measure on, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Measure {
    /// Folder of the data [default: the test pictures of the embedded sample]
    data: Option<PathBuf>,
    /// Pictures at a time
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = args::count, visible_alias = "batch-size")]
    batch: usize,
    /// Threads that read pictures [default: as many as compute]
    #[arg(
        short = 'j',
        long,
        value_name = "N",
        env = "SEPAL_WORKERS",
        hide_env = true,
        default_value_t = 0,
        hide_default_value = true
    )]
    workers: usize,
    /// Stop at the first picture that cannot be read instead of skipping it
    #[arg(long)]
    strict: bool,
    /// Folder to write confusion_matrix.svg, confusion.csv, classes.csv and metrics.json to
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Serialize)]
struct Report<'a> {
    top1: f64,
    top5: f64,
    loss: f64,
    images: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels: Option<u64>,
    skipped: u64,
    set: &'a str,
    seconds: f64,
    images_per_second: f64,
    #[serde(flatten)]
    scores: Scores,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.file.open()?;
    measure(&model, args.file.path(), &args.measure, out)
}

/// Measures the classifier or segmenter of `file`.
pub(crate) fn measure(model: &Model, file: &Path, args: &Measure, out: Output) -> Result {
    let set = open(args.data.as_deref(), model)?;
    if set.dataset.mask_classes().is_none() {
        expect_classifier(model).map_err(|f| f.context(file.display()))?;
    }
    for note in &set.notes {
        log(format!("note: {note}"));
    }
    let pool = args.threads.pool()?;
    let options =
        EvalOptions { batch: args.batch, workers: args.workers, strict: args.strict, ..EvalOptions::default() };
    let mut watch = Watch { bar: Progress::bar(set.dataset.len() as u64, set.name) };
    let start = Instant::now();
    let metrics = evaluate(model, &set.dataset, &pool, &options, &mut watch)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(watch);
    if metrics.skipped > 0 {
        log(format!("{} pictures could not be read and are not counted", metrics.skipped));
    }

    let names = names(model, set.dataset.as_ref());
    let report = Report {
        top1: metrics.top1,
        top5: metrics.top5,
        loss: metrics.loss,
        images: metrics.images,
        pixels: metrics.pixels,
        skipped: metrics.skipped,
        set: set.name,
        seconds,
        images_per_second: metrics.images as f64 / seconds.max(1e-9),
        scores: Scores::new(&names, &metrics),
    };
    show(&report, out)?;
    if let Some(folder) = &args.out {
        write(folder, &report)?;
        out.text(format!(
            "\nwrote confusion_matrix.svg, confusion.csv, classes.csv and metrics.json to {}",
            folder.display()
        ))?;
    }
    Ok(out.result(&report)?)
}

/// The set to measure on.
pub(crate) fn open(data: Option<&Path>, model: &Model) -> Result<EvalSet> {
    let classes = &model.meta.classes;
    let Some(path) = data else {
        if !classes.iter().map(String::as_str).eq(SAMPLE_CLASSES) {
            return Err(Failure::usage(
                "the model's classes are not those of the embedded sample: name the DATA to measure on",
            ));
        }
        let sample = sepal_data::sample()?;
        let dataset = sample.test.unwrap_or(sample.train);
        return Ok(EvalSet { dataset, name: "test", notes: Vec::new() });
    };
    let classes = (!classes.is_empty()).then(|| classes.clone());
    Ok(sepal_data::open_eval(path, &OpenOptions { classes, ..OpenOptions::default() })?)
}

fn names(model: &Model, dataset: &dyn Dataset) -> Vec<String> {
    match model.meta.classes.as_slice() {
        [] => dataset.classes().to_vec(),
        names => names.to_vec(),
    }
}

fn show(report: &Report<'_>, out: Output) -> Result {
    if let Some(miou) = report.scores.miou {
        out.text(format!(
            "{}\n\nmIoU {miou:.4}, pixel accuracy {:.4} ({}), loss {:.4} on {} {} pictures in {:.1} s ({:.0} images/s)",
            report.scores.table(),
            report.top1,
            percent(report.top1),
            report.loss,
            grouped(report.images),
            report.set,
            report.seconds,
            report.images_per_second,
        ))?;
        return Ok(());
    }
    out.text(format!(
        "{}\n\ntop-1 {:.4} ({}), top-5 {:.4}, loss {:.4} on {} {} pictures in {:.1} s ({:.0} images/s)",
        report.scores.table(),
        report.top1,
        percent(report.top1),
        report.top5,
        report.loss,
        grouped(report.images),
        report.set,
        report.seconds,
        report.images_per_second,
    ))?;
    Ok(())
}

fn write(folder: &Path, report: &Report<'_>) -> Result {
    std::fs::create_dir_all(folder).map_err(|error| Failure::from(error).context(folder.display()))?;
    report.scores.write(folder)?;
    atomic::write(folder.join("metrics.json"), |w| Ok(serde_json::to_writer_pretty(w, report)?))?;
    Ok(())
}

struct Watch {
    bar: Progress,
}

impl Observer for Watch {
    fn skipped(&mut self, skipped: &Skipped) {
        self.bar.line(&format!("skipped: {}: {}", skipped.path, skipped.cause));
    }

    fn measured(&mut self, done: usize, _: usize) {
        self.bar.at(done as u64);
    }
}
