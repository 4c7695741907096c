//! `sepal eval`: how well does a model do on a set of pictures?

use std::path::{Path, PathBuf};
use std::time::Instant;

use sepal_data::{Dataset, EvalSet, OpenOptions, SAMPLE_CLASSES, Skipped};
use sepal_formats::atomic;
use sepal_graph::Model;
use sepal_report::{Table, confusion_svg, grouped, percent};
use sepal_train::{EvalOptions, Metrics, Observer, evaluate};
use serde::Serialize;

use crate::args;
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::progress::Progress;
use crate::target::{ModelFile, expect_classifier};
use crate::threads::Threads;

/// Measure a model on labelled pictures: accuracy, loss, a row for each class, confusion matrix
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
    /// Folder to write confusion_matrix.svg and metrics.json to
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
    skipped: u64,
    set: &'a str,
    seconds: f64,
    images_per_second: f64,
    classes: Vec<Class<'a>>,
    /// A row for each true class, a column for each predicted one.
    confusion: Option<Vec<&'a [u64]>>,
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    images: u64,
    correct: u64,
    accuracy: f64,
    precision: f64,
    f1: f64,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.file.open()?;
    expect_classifier(&model).map_err(|f| f.context(args.file.path().display()))?;
    let set = open(args.data.as_deref(), &model)?;
    for note in &set.notes {
        log(format!("note: {note}"));
    }
    let pool = args.threads.pool()?;
    let options =
        EvalOptions { batch: args.batch, workers: args.workers, strict: args.strict, ..EvalOptions::default() };
    let mut watch = Watch { bar: Progress::bar(set.dataset.len() as u64, set.name) };
    let start = Instant::now();
    let metrics = evaluate(&model, &set.dataset, &pool, &options, &mut watch)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(watch);
    if metrics.skipped > 0 {
        log(format!("{} pictures could not be read and are not counted", metrics.skipped));
    }

    let names = names(&model, set.dataset.as_ref());
    let report = Report {
        top1: metrics.top1,
        top5: metrics.top5,
        loss: metrics.loss,
        images: metrics.images,
        skipped: metrics.skipped,
        set: set.name,
        seconds,
        images_per_second: metrics.images as f64 / seconds.max(1e-9),
        classes: classes(&names, &metrics),
        confusion: metrics.confusion.as_ref().map(|c| c.counts().chunks(c.classes().max(1)).collect()),
    };
    show(&report, out)?;
    if let Some(folder) = &args.out {
        write(folder, &names, &metrics, &report)?;
        out.text(format!("\nwrote confusion_matrix.svg and metrics.json to {}", folder.display()))?;
    }
    Ok(out.result(&report)?)
}

/// The set to measure on.
fn open(data: Option<&Path>, model: &Model) -> Result<EvalSet> {
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

fn classes<'a>(names: &'a [String], metrics: &Metrics) -> Vec<Class<'a>> {
    let class = |(name, class): (&'a String, &sepal_train::ClassMetrics)| Class {
        name,
        images: class.images,
        correct: class.correct,
        accuracy: class.accuracy(),
        precision: class.precision(),
        f1: class.f1(),
    };
    names.iter().zip(&metrics.classes).map(class).collect()
}

fn show(report: &Report<'_>, out: Output) -> Result {
    let mut table = Table::new().left("class").right("images").right("accuracy").right("precision").right("F1");
    for class in &report.classes {
        let shares = [class.accuracy, class.precision, class.f1].map(|share| format!("{share:.4}"));
        table.row([class.name.to_owned(), grouped(class.images)].into_iter().chain(shares));
    }
    out.text(format!(
        "{table}\n\ntop-1 {:.4} ({}), top-5 {:.4}, loss {:.4} on {} {} pictures in {:.1} s ({:.0} images/s)",
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

fn write(folder: &Path, names: &[String], metrics: &Metrics, report: &Report<'_>) -> Result {
    std::fs::create_dir_all(folder).map_err(|error| Failure::from(error).context(folder.display()))?;
    if let Some(confusion) = &metrics.confusion {
        let svg = confusion_svg(names, confusion.counts());
        atomic::write(folder.join("confusion_matrix.svg"), |w| w.write_all(svg.as_bytes()))?;
    }
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
