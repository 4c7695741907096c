//! How well does a model do on a set of pictures?

use std::sync::Arc;

use sepal_data::{Batch, Dataset, LastBatch, Loader, LoaderOptions, Pipeline};
use sepal_graph::{Graph, Meta, Model, Task};
use sepal_kernels::Level;
use sepal_kernels::pool::Pool;
use sepal_runtime::{CompileOptions, Plan, compile, session};

use crate::error::{Error, Result};
use crate::metric::{Collector, Metrics};
use crate::observer::Observer;
use crate::preprocess;
use crate::segment;

/// How [`evaluate`] runs. The result does not depend on any of it, but for rounding on `level`.
#[derive(Debug, Clone, Copy)]
pub struct EvalOptions {
    /// Pictures a run of the network.
    pub batch: usize,
    /// Threads that decode ahead; 0 for as many as the pool has.
    pub workers: usize,
    /// Whether a picture that cannot be read is an error instead of being skipped.
    pub strict: bool,
    /// The instruction set.
    pub level: Level,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { batch: 32, workers: 0, strict: false, level: Level::best() }
    }
}

/// Measures `model` on every readable picture of `dataset`, prepared as the model's metadata state; where pictures have masks,
/// pixel by pixel at the pictures' own sizes.
///
/// # Errors
/// [`Error::Mismatch`] if the set has another number of classes than the model has outputs, or the model
/// states no preprocessing or one of another size than its input; [`Error::NoPictures`] if no picture can be
/// read; in strict mode the first picture that cannot be read.
pub fn evaluate(
    model: &Model,
    dataset: &Arc<dyn Dataset>,
    pool: &Arc<dyn Pool>,
    options: &EvalOptions,
    observer: &mut dyn Observer,
) -> Result<Metrics> {
    if dataset.mask_classes().is_some() {
        check_classes(&model.graph, dataset.as_ref())?;
        return segment::measure(model, dataset, pool, options, observer);
    }
    let classes = model.graph.output_shape()?.elements();
    check_fit(&model.graph, &model.meta, dataset.as_ref())?;
    let plan = compile(model, &compile_options(dataset.as_ref(), options))?;
    let mut collector = Collector::new(classes);
    let add = |batch: &Batch, logits: &[f32]| collector.add(logits, &batch.labels);
    let [_, skipped] = run_on_all(plan, &model.meta, dataset, pool, options, observer, add)?;
    Ok(collector.finish(skipped as u64))
}

/// How to compile what [`run_on_all`] runs.
pub(crate) fn compile_options(dataset: &dyn Dataset, options: &EvalOptions) -> CompileOptions {
    CompileOptions { batch: options.batch.clamp(1, dataset.len().max(1)), level: options.level }
}

/// Runs `plan` on every readable picture of `dataset`, prepared as `meta` states. `each` gets a batch, which has at least one picture,
/// and the outputs, one picture's after the other. Returns how many pictures there were and how many were skipped.
///
/// # Errors
/// [`Error::NoPictures`] if no picture can be read; in strict mode the first picture that cannot be read.
pub(crate) fn run_on_all(
    plan: Plan,
    meta: &Meta,
    dataset: &Arc<dyn Dataset>,
    pool: &Arc<dyn Pool>,
    options: &EvalOptions,
    observer: &mut dyn Observer,
    mut each: impl FnMut(&Batch, &[f32]),
) -> Result<[usize; 2]> {
    let (batch_size, width) = (plan.max_batch(), plan.output_shape().elements());
    let mut session = session(Arc::new(plan), Arc::clone(pool));
    let mut outputs = vec![0.0; batch_size * width];

    let all = (0..u32::try_from(dataset.len()).unwrap_or(u32::MAX)).collect();
    let loader = LoaderOptions {
        batch_size,
        last: LastBatch::Keep,
        workers: workers(options.workers, pool.threads()),
        strict: options.strict,
        ..LoaderOptions::default()
    };
    let pipeline = Pipeline::eval(preprocess::of_meta(meta)?)?;
    let mut loader = Loader::new(Arc::clone(dataset), all, pipeline, loader)?;
    let (mut images, mut skipped, mut first) = (0, 0, None);
    while let Some(batch) = loader.next() {
        let batch = batch?;
        for picture in &batch.skipped {
            observer.skipped(picture);
            skipped += 1;
            first.get_or_insert_with(|| format!("{}: {}", picture.path, picture.cause));
        }
        if !batch.is_empty() {
            let outputs = &mut outputs[..batch.len() * width];
            session.run(&batch.images, outputs)?;
            each(&batch, outputs);
            images += batch.len();
        }
        observer.measured(images + skipped, dataset.len());
        loader.recycle(batch);
    }
    match images {
        0 => Err(Error::NoPictures { pictures: dataset.len(), first: first.unwrap_or_else(|| "there is none".into()) }),
        _ => Ok([images, skipped]),
    }
}

/// Whether pictures and classes of `dataset` fit the network.
pub(crate) fn check_fit(graph: &Graph, meta: &Meta, dataset: &dyn Dataset) -> Result<()> {
    let output = graph.output_shape()?;
    let masks = dataset.mask_classes().is_some();
    if masks && (meta.task != Task::Segment || output.as_chw().is_none()) {
        return Err(Error::Mismatch(format!(
            "the network's output is {output}, one score per class, but the data have a class for each pixel; a segmenter such as \
             espnet has scores for every place of a map"
        )));
    }
    if !masks && (meta.task == Task::Segment || output.rank() != 1) {
        return Err(Error::Mismatch(format!(
            "the network's output is {output}, a score per class for every place of a map, but the data have one class \
             for each picture; a classifier's output is a score per class"
        )));
    }
    check_classes(graph, dataset)?;
    let [height, width] = preprocess::of_meta(meta)?.size;
    let input = graph.input_shape()?;
    if input.as_chw() != Some([3, height, width]) {
        return Err(Error::Mismatch(format!(
            "the network's input is {input}, but pictures are prepared as 3×{height}×{width}"
        )));
    }
    Ok(())
}

/// Whether there is a score for each class of `dataset`.
fn check_classes(graph: &Graph, dataset: &dyn Dataset) -> Result<()> {
    let (outputs, classes) = (graph.output_shape()?.channels(), dataset.classes().len());
    match outputs == classes {
        true => Ok(()),
        false => {
            Err(Error::Mismatch(format!("the network has {outputs} outputs, but the data have {classes} classes")))
        }
    }
}

/// Threads that decode, where `asked` is 0 as many as compute.
pub(crate) fn workers(asked: usize, threads: usize) -> usize {
    if asked == 0 { threads.min(16) } else { asked }
}
