//! Who watches a run.

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
}

/// Nobody.
impl Observer for () {}

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
