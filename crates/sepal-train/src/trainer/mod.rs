//! Fits a model to data by a recipe.

mod checkpoint;
mod epoch;
mod find_lr;
mod finish;
mod targets;

pub use find_lr::{FindLr, LrCurve, LrPoint};

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use sepal_data::{Batch, LastBatch, Loader, LoaderOptions, Pipeline, Splits, Stream};
use sepal_graph::{Graph, Meta, Model, Weights};
use sepal_kernels::pool::{Pool, Serial};
use sepal_kernels::{Exec, Level};

use crate::accumulate::Accumulator;
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, Result};
use crate::evaluate::{self, EvalOptions};
use crate::frozen;
use crate::history::{Best, EpochRow};
use crate::metric::Metrics;
use crate::observer::{Observer, Start};
use crate::optim::{Ema, Optim};
use crate::ortho::Regulariser;
use crate::params::Params;
use crate::preprocess;
use crate::recipe::Recipe;
use crate::run::RunFolder;
use crate::schedule::LearningRate;
use crate::state::{Progress, State};

/// Batches ready ahead of the one trained on, beyond one a worker.
const PREFETCH: usize = 4;

/// Where and how a run is carried out. Nothing here has an influence on the weights, but for rounding
/// on `level`.
pub struct TrainOptions {
    /// The workers that compute.
    pub pool: Arc<dyn Pool>,
    /// The instruction set.
    pub level: Level,
    /// The folder to write to; `None` keeps everything in memory.
    pub run: Option<RunFolder>,
    /// When the training state is written, besides the end of every epoch.
    pub checkpoint: CheckpointEvery,
}

impl Default for TrainOptions {
    /// The calling thread, the best instruction set, no folder, a state at least every five minutes.
    fn default() -> Self {
        Self { pool: Arc::new(Serial), level: Level::best(), run: None, checkpoint: CheckpointEvery::default() }
    }
}

/// When the training state is written, besides the end of every epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointEvery {
    /// At no other time.
    Epoch,
    /// After so many steps.
    Steps(u64),
    /// After so long.
    Time(Duration),
}

impl Default for CheckpointEvery {
    /// Every five minutes.
    fn default() -> Self {
        Self::Time(Duration::from_secs(300))
    }
}

/// Memory of a training run in bytes, all of it allocated before the first batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainMemory {
    /// Parameters and running statistics.
    pub parameters: usize,
    /// Gradients of the parameters, with those that wait for an update.
    pub gradients: usize,
    /// State of the optimizer, and working memory of the regulariser.
    pub optimizer: usize,
    /// Moving averages of parameters and statistics.
    pub ema: usize,
    /// Activations, their gradients and working memory of a step.
    pub activations: usize,
    /// Batches of pictures, ready and in the making.
    pub batches: usize,
}

impl TrainMemory {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> usize {
        self.parameters + self.gradients + self.optimizer + self.ema + self.activations + self.batches
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Complete epochs.
    pub epochs: usize,
    /// Whether it was stopped before its end; it can be resumed.
    pub stopped: bool,
    /// Seconds of training and validation, interruptions left out.
    pub seconds: f64,
    /// Training pictures a second since this process started training, validation left out.
    pub images_per_second: f64,
    /// Share of that time that steps waited for pictures, 0 to 1.
    pub waited: f64,
    /// The set of `metrics`: `test`, else `val`; `None` if there is neither or the run was stopped.
    pub set: Option<&'static str>,
    /// How the best weights (the last ones where there is no validation set to choose by) do on that set.
    pub metrics: Option<Metrics>,
    /// The epoch that was best on the validation set.
    pub best: Option<Best>,
    /// Complete epochs' figures.
    pub history: Vec<EpochRow>,
    /// Different pictures that could not be read.
    pub skipped: usize,
    /// The run folder.
    pub run: Option<PathBuf>,
}

/// A training run: network, data and recipe, and how far it is.
///
/// The weights it comes to depend on these, and not on the number of threads or workers, nor on
/// interruptions.
pub struct Trainer {
    recipe: Recipe,
    graph: Graph,
    meta: Meta,
    data: Splits,
    options: TrainOptions,
    params: Params,
    engine: Engine,
    optim: Optim,
    accumulator: Accumulator,
    ortho: Option<Regulariser>,
    ema: Option<Ema>,
    schedule: LearningRate,
    progress: Progress,
    resumed: bool,
    /// Batches of an epoch.
    batches: usize,
    /// Pictures of the largest batch.
    max_batch: usize,
    /// The best weights, where there is no folder to keep them in.
    best: Option<Model>,
    /// Metrics of the epoch they belong to, to be reported without measuring again.
    measured: Option<(usize, Metrics)>,
    reported: HashSet<String>,
    /// Height and width of the network's output, where pictures have masks and these are larger.
    shrunk: Option<[usize; 2]>,
    /// A batch's labels at that size.
    labels: Vec<u32>,
    clock: Clock,
}

/// Times of this process's share of the run.
#[derive(Default)]
struct Clock {
    /// Start, and the seconds that the run had taken by then.
    start: Option<(Instant, f64)>,
    last_state: Option<Instant>,
    images: u64,
    training: Duration,
    /// Of it, for pictures.
    waited: Duration,
}

impl Trainer {
    /// A new run from the weights of `model`, on the calling thread and in memory; see [`Trainer::with_options`].
    ///
    /// # Errors
    /// As [`Trainer::with_options`].
    pub fn new(model: Model, data: &Splits, recipe: &Recipe) -> Result<Self> {
        Self::with_options(model, data, recipe, TrainOptions::default())
    }

    /// A new run from the weights of `model`. Class names and preprocessing come from data and recipe.
    ///
    /// # Errors
    /// [`Error::Recipe`], [`Error::Glob`]; [`Error::Mismatch`] if network, recipe and data do not fit each other;
    /// [`Error::Data`] if no batch can be made or no picture be read; what the engine refuses.
    pub fn with_options(model: Model, data: &Splits, recipe: &Recipe, options: TrainOptions) -> Result<Self> {
        recipe.check()?;
        let mut meta = model.meta;
        meta.classes = data.classes.clone();
        meta.colors = data.train.mask_classes().map_or(Vec::new(), |classes| classes.colors().to_vec());
        meta.preprocessing = Some(preprocess::from_recipe(recipe, data)?);
        let mut trainer = Self::build(model.graph, model.weights, meta, data, recipe.resolved(), options)?;
        trainer.progress.class_weights = targets::class_weights(recipe, data)?;
        Ok(trainer)
    }

    /// The run that `state` was written by, as if it had never been interrupted.
    ///
    /// # Errors
    /// [`Error::Finished`], [`Error::DataMismatch`], [`Error::State`], and those of [`Trainer::with_options`].
    pub fn resume(mut state: State, data: &Splits, options: TrainOptions) -> Result<Self> {
        let recipe = state.recipe.clone();
        if is_over(&recipe, &state.progress) {
            return Err(Error::Finished { run: state.run().to_owned(), epochs: state.progress.epoch });
        }
        check_data(&state, data)?;
        // Every value is replaced below.
        let weights = Weights::init(&state.graph, recipe.seed)?;
        let (graph, meta) = (state.graph.clone(), state.meta.clone());
        let mut trainer = Self::build(graph, weights, meta, data, recipe, options)?;
        let ema = trainer.ema.as_mut();
        state.restore(&mut trainer.params, &mut trainer.optim, &mut trainer.accumulator, ema)?;
        if state.progress.batch >= trainer.batches {
            let problem = format!("{} batches are done of {}", state.progress.batch, trainer.batches);
            return Err(Error::State { file: state.run().to_owned(), problem });
        }
        trainer.progress = state.progress;
        trainer.resumed = true;
        Ok(trainer)
    }

    fn build(
        graph: Graph,
        weights: Weights,
        meta: Meta,
        data: &Splits,
        recipe: Recipe,
        options: TrainOptions,
    ) -> Result<Self> {
        evaluate::check_fit(&graph, &meta, data.train.as_ref())?;
        if recipe.early_stopping.is_some() && data.val.is_none() {
            let text =
                "early stopping goes by the validation set, and there is none: hold some pictures out (val_split)";
            return Err(Error::Mismatch(text.into()));
        }
        let mut shrunk = None;
        if data.train.mask_classes().is_some() {
            targets::check_masks(&recipe, &graph)?;
            let places = graph.output_shape()?.as_chw().map(|[_, height, width]| [height, width]);
            shrunk = places.filter(|places| *places != [recipe.size; 2]);
        }
        let Model { graph, weights, meta } = Model::new(graph, weights, meta)?;
        let mut params = Params::new(&graph, &weights)?;
        frozen::freeze(&mut params, &graph, &recipe)?;
        let optim = Optim::new(&recipe, &params)?;
        let accumulator = Accumulator::new(recipe.accumulate, &params);
        let ortho =
            recipe.ortho.as_ref().map(|ortho| Regulariser::new(ortho, &params, options.pool.threads())).transpose()?;
        let ema = Ema::new(recipe.ema_decay, &params);
        let pictures = [Some(&data.train), data.val.as_ref(), data.test.as_ref()].map(|set| set.map_or(0, |s| s.len()));
        let progress = Progress { pictures, ..Progress::default() };
        let (batches, max_batch) = {
            let loader = loader(&recipe, data, &meta, 0, 0, 0)?;
            (loader.batches(), loader.max_batch_len())
        };
        let engine_options = EngineOptions { level: options.level };
        let engine = Engine::new(&graph, &params, max_batch, Arc::clone(&options.pool), engine_options)?;
        let schedule = LearningRate::new(&recipe, batches as u64);
        Ok(Self {
            recipe,
            graph,
            meta,
            data: data.clone(),
            options,
            params,
            engine,
            optim,
            accumulator,
            ortho,
            ema,
            schedule,
            progress,
            resumed: false,
            batches,
            max_batch,
            best: None,
            measured: None,
            reported: HashSet::new(),
            shrunk,
            labels: Vec::new(),
            clock: Clock::default(),
        })
    }

    /// Trains to the end of the recipe, or until `observer` stops it; see [`Trainer::run`].
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn fit(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        self.run(observer, &AtomicBool::new(false))
    }

    /// Trains to the end of the recipe, or until `stop` is set or [`Observer::stops`] says so: then the batch under way is finished
    /// and a checkpoint written, from which the run can be resumed.
    ///
    /// # Errors
    /// [`Error::Diverged`], [`Error::Checkpoint`], [`Error::NoPictures`]; in strict mode the first picture that
    /// cannot be read. The last complete checkpoint is intact.
    pub fn run(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        self.clock = Clock { start: Some((Instant::now(), self.progress.seconds)), ..Clock::default() };
        if !self.resumed {
            // Shows before the first epoch that the folder can be written, and makes that one resumable.
            self.write_state(observer)?;
        }
        self.clock.last_state = Some(Instant::now());
        observer.start(&Start {
            epoch: self.progress.epoch,
            batch: self.progress.batch,
            epochs: self.recipe.epochs,
            batches: self.batches,
            pictures: self.data.train.len(),
        });
        while !is_over(&self.recipe, &self.progress) {
            if !self.epoch(observer, stop)? {
                return self.stopped(observer);
            }
        }
        self.finish(observer)
    }

    /// The recipe, resolved.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Complete epochs' figures.
    #[must_use]
    pub fn history(&self) -> &[EpochRow] {
        &self.progress.history
    }

    /// The network with its present weights: their moving average where the recipe keeps one.
    ///
    /// # Errors
    /// [`Error::Graph`] if a weight is not finite.
    pub fn model(&self) -> Result<Model> {
        let weights = match &self.ema {
            Some(ema) => self.params.to_weights_from(&ema.values, &ema.buffers)?,
            None => self.params.to_weights()?,
        };
        let mut meta = self.meta.clone();
        meta.provenance.insert("epochs".into(), self.progress.epoch.to_string());
        meta.provenance.insert("steps".into(), self.progress.step.to_string());
        Ok(Model::new(self.graph.clone(), weights, meta)?)
    }

    /// What the run needs.
    #[must_use]
    pub fn memory(&self) -> TrainMemory {
        let engine = self.engine.memory(&self.params);
        let workers = evaluate::workers(self.recipe.workers, self.options.pool.threads());
        let picture = 3 * self.recipe.size * self.recipe.size * size_of::<f32>();
        TrainMemory {
            parameters: engine.parameters,
            gradients: engine.gradients + self.accumulator.bytes(),
            optimizer: self.optim.bytes() + self.ortho.as_ref().map_or(0, Regulariser::bytes),
            ema: self.ema.as_ref().map_or(0, Ema::bytes),
            activations: engine.arena,
            batches: (PREFETCH.max(workers) + 1) * self.max_batch * picture,
        }
    }

    /// The set that is measured after every epoch, and its name.
    fn monitored(&self) -> Option<(&'static str, &Arc<dyn sepal_data::Dataset>)> {
        let val = self.data.val.as_ref().map(|set| ("val", set));
        val.or(self.data.test.as_ref().map(|set| ("test", set)))
    }

    fn exec(pool: &Arc<dyn Pool>, level: Level) -> Exec<'_> {
        Exec { level, pool: pool.as_ref() }
    }

    fn eval_options(&self) -> EvalOptions {
        EvalOptions {
            batch: self.recipe.batch,
            workers: self.recipe.workers,
            strict: self.recipe.strict,
            level: self.options.level,
        }
    }

    /// Seconds since the start of the run, interruptions left out.
    fn seconds(&self) -> f64 {
        self.clock.start.map_or(self.progress.seconds, |(start, before)| before + start.elapsed().as_secs_f64())
    }
}

/// Whether nothing is left to train.
pub(crate) fn is_over(recipe: &Recipe, progress: &Progress) -> bool {
    progress.epoch >= recipe.epochs || recipe.early_stopping.is_some_and(|stop| stop.is_over(&progress.history))
}

/// The batches of `epoch` from `first` on, made by `workers` threads.
fn loader(recipe: &Recipe, data: &Splits, meta: &Meta, workers: usize, epoch: usize, first: usize) -> Result<Loader> {
    let pipeline = Pipeline::train(preprocess::of_meta(meta)?, &recipe.augment)?;
    let order = recipe.sampling.order(data.train.as_ref(), recipe.seed, epoch as u64);
    let options = LoaderOptions {
        batch_size: recipe.batch,
        last: LastBatch::Merge,
        workers,
        prefetch: PREFETCH,
        start_batch: first,
        strict: recipe.strict,
        seed: recipe.seed,
        epoch: epoch as u64,
    };
    Ok(Loader::new(Arc::clone(&data.train), order, pipeline, options)?)
}

/// Whether a batch can be trained on. What skipping left of it may be nothing, or one picture, of which batch
/// normalisation can make nothing.
fn usable(batch: &Batch) -> bool {
    !batch.is_empty() && (batch.len() > 1 || batch.skipped.is_empty())
}

/// The seed of a step's dropout.
fn dropout_seed(seed: u64, step: u64) -> u64 {
    let mut stream = Stream::new(seed, step, 0, "dropout");
    u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32())
}

/// A run goes on only with the pictures it was started with, as far as their counts and classes show.
fn check_data(state: &State, data: &Splits) -> Result<()> {
    let differ =
        |what, before: String, now: String| Err(Error::DataMismatch { run: state.run().to_owned(), what, before, now });
    let len = |set: Option<&Arc<dyn sepal_data::Dataset>>| set.map_or(0, |set| set.len());
    let now = [data.train.len(), len(data.val.as_ref()), len(data.test.as_ref())];
    let names = ["the number of training pictures", "the number of validation pictures", "the number of test pictures"];
    for ((what, before), now) in names.into_iter().zip(state.progress.pictures).zip(now) {
        if before != now {
            return differ(what, before.to_string(), now.to_string());
        }
    }
    if state.meta.classes != data.classes {
        return differ("the list of classes", state.meta.classes.join(", "), data.classes.join(", "));
    }
    Ok(())
}
