//! Who watches a run.

use std::ops::ControlFlow;
use std::path::Path;

use sepal_data::Skipped;

use crate::history::EpochRow;
use crate::metric::{Metrics, Running};

/// Is told what happens in a run, in the thread that trains. Every method does nothing by default.
pub trait Observer {
    /// The run starts, or goes on.
    fn start(&mut self, start: &Start) {
        let _ = start;
    }

    /// A batch was trained on.
    fn batch(&mut self, batch: &BatchReport<'_>) {
        let _ = batch;
    }

    /// A picture could not be read; said once for each picture and run.
    fn skipped(&mut self, skipped: &Skipped) {
        let _ = skipped;
    }

    /// `done` of `total` pictures of a validation or test set were measured.
    fn measured(&mut self, done: usize, total: usize) {
        let _ = (done, total);
    }

    /// An epoch is complete, its checkpoint written.
    fn epoch(&mut self, epoch: &EpochReport<'_>) {
        let _ = epoch;
    }

    /// A training state was written to `file`.
    fn checkpoint(&mut self, file: &Path) {
        let _ = file;
    }

    /// Whether the run is to end where it can be resumed. Asked after every batch and every epoch.
    fn stops(&self) -> bool {
        false
    }
}

/// Nobody.
impl Observer for () {}

/// Closures that are called in a run. One that returns [`ControlFlow::Break`] ends it where it can be resumed; the outcome
/// then says that it was stopped.
///
/// ```
/// use std::ops::ControlFlow;
///
/// let mut losses = Vec::new();
/// let mut callbacks = sepal_train::Callbacks::new()
///     .on_batch(|batch| {
///         losses.push(batch.loss);
///         if batch.loss < 0.01 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
///     })
///     .on_epoch(|epoch| {
///         println!("{} {:?}", epoch.row.epoch, epoch.row.top1);
///         ControlFlow::Continue(())
///     });
/// # let _: &mut dyn sepal_train::Observer = &mut callbacks;
/// ```
#[derive(Default)]
pub struct Callbacks<'a> {
    batch: Option<BatchCallback<'a>>,
    epoch: Option<EpochCallback<'a>>,
    stop: bool,
}

type BatchCallback<'a> = Box<dyn FnMut(&BatchReport<'_>) -> ControlFlow<()> + 'a>;
type EpochCallback<'a> = Box<dyn FnMut(&EpochReport<'_>) -> ControlFlow<()> + 'a>;

impl<'a> Callbacks<'a> {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `callback` after every batch.
    #[must_use]
    pub fn on_batch(self, callback: impl FnMut(&BatchReport<'_>) -> ControlFlow<()> + 'a) -> Self {
        Self { batch: Some(Box::new(callback)), ..self }
    }

    /// Calls `callback` after every epoch, when it is measured and its checkpoint written.
    #[must_use]
    pub fn on_epoch(self, callback: impl FnMut(&EpochReport<'_>) -> ControlFlow<()> + 'a) -> Self {
        Self { epoch: Some(Box::new(callback)), ..self }
    }
}

impl Observer for Callbacks<'_> {
    fn start(&mut self, _: &Start) {
        self.stop = false;
    }

    fn batch(&mut self, batch: &BatchReport<'_>) {
        self.stop |= self.batch.as_mut().is_some_and(|callback| callback(batch).is_break());
    }

    fn epoch(&mut self, epoch: &EpochReport<'_>) {
        self.stop |= self.epoch.as_mut().is_some_and(|callback| callback(epoch).is_break());
    }

    fn stops(&self) -> bool {
        self.stop
    }
}

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Complete epochs, above 0 for a resumed run.
    pub epoch: usize,
    /// Batches done of the epoch under way.
    pub batch: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Training pictures.
    pub pictures: usize,
}

/// A batch that was trained on.
#[derive(Debug, Clone, Copy)]
pub struct BatchReport<'a> {
    /// Its epoch, counted from 1.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Its number in the epoch, counted from 1.
    pub batch: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Its number in the run, counted from 1.
    pub step: u64,
    /// Its pictures.
    pub images: usize,
    /// Its mean loss.
    pub loss: f64,
    /// The learning rate of its update.
    pub lr: f64,
    /// Norm of its gradient before clipping, where the recipe clips.
    pub grad_norm: Option<f64>,
    /// The epoch so far.
    pub running: &'a Running,
    /// Seconds this step waited for its batch to be decoded.
    pub waited: f64,
    /// Seconds since the start of the run, interruptions left out.
    pub seconds: f64,
}

/// A complete epoch.
#[derive(Debug, Clone, Copy)]
pub struct EpochReport<'a> {
    /// Its figures.
    pub row: &'a EpochRow,
    /// All complete epochs, this one included.
    pub history: &'a [EpochRow],
    /// Epochs of the run.
    pub epochs: usize,
    /// The set that was measured after it: `val`, or `test` where there is no validation set.
    pub set: Option<&'static str>,
    /// What was measured.
    pub metrics: Option<&'a Metrics>,
    /// Whether it is the best so far; nothing is the best without a validation set.
    pub best: bool,
    /// Training pictures a second, validation left out.
    pub images_per_second: f64,
    /// Share of the training time spent waiting for pictures, 0 to 1.
    pub waited: f64,
}
