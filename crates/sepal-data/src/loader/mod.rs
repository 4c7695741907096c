//! Batches, prefetched by worker threads in a fixed order.

use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::preprocess::Scratch;
use crate::transforms::Pipeline;

mod make;
mod plan;
mod workers;

use make::Maker;
pub use plan::LastBatch;
use workers::Workers;

const MAX_WORKERS: usize = 256;

/// A picture that was left out of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its index in the data set.
    pub index: u32,
    /// Its path, or `file[index]`.
    pub path: String,
    /// Why it could not be read.
    pub cause: String,
}

impl Skipped {
    /// Picture `index` of `dataset`, which `error` kept from being read.
    pub fn new(dataset: &dyn Dataset, index: usize, error: &DataError) -> Self {
        let index_u32 = u32::try_from(index).unwrap_or(u32::MAX);
        Self { index: index_u32, path: dataset.describe(index), cause: error.cause() }
    }
}

/// Pictures as the network takes them. A picture that cannot be read is missing from `images`, `labels`
/// and `indices`, so a batch can have fewer pictures than planned, even one or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// N, C, H, W: normalised, three planes a picture.
    pub images: Vec<f32>,
    /// A class index a picture; of data with masks one a pixel, N, H, W, [`IGNORED`](crate::IGNORED) where there is no class.
    pub labels: Vec<u32>,
    /// The class of the picture that each one was mixed with; empty where none was.
    pub others: Vec<u32>,
    /// That class's share of each picture, in [0, 1]; empty where none was mixed.
    pub shares: Vec<f32>,
    /// The pictures' indices in the data set.
    pub indices: Vec<u32>,
    /// The pictures that were left out.
    pub skipped: Vec<Skipped>,
}

impl Batch {
    /// The number of pictures, N.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether no picture is left.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// How a [`Loader`] cuts an epoch into batches and who makes them.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Pictures a batch.
    pub batch_size: usize,
    /// What becomes of the last ones.
    pub last: LastBatch,
    /// Threads that make batches ahead; 0 makes them in the calling thread when they are asked for. The
    /// batches are the same either way.
    pub workers: usize,
    /// Batches ready or in the making beyond the one asked for; at least one for each worker. Bounds memory.
    pub prefetch: usize,
    /// The first batch to yield, to go on in the middle of an epoch.
    pub start_batch: usize,
    /// Whether a picture that cannot be read is an error instead of being skipped.
    pub strict: bool,
    /// Seed of the augmentation.
    pub seed: u64,
    /// Epoch, for the augmentation.
    pub epoch: u64,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            batch_size: 64,
            last: LastBatch::Keep,
            workers: 1,
            prefetch: 4,
            start_batch: 0,
            strict: false,
            seed: 0,
            epoch: 0,
        }
    }
}

/// An iterator over the batches of one epoch.
///
/// The batches depend on the data set, the order, the pipeline, the batch size, the seed and the epoch;
/// not on the number of workers, nor on `start_batch`, which leaves out the first ones and changes none.
/// After an error the iterator ends. Dropping it stops the workers.
pub struct Loader {
    maker: Arc<Maker>,
    workers: Option<Workers>,
    scratch: Scratch,
    next: usize,
    ended: bool,
}

impl Loader {
    /// Starts the workers. `order` lists the pictures to visit, as [`order`](crate::order) makes it; it may
    /// leave some out.
    ///
    /// # Errors
    /// [`DataError::Option`] for a batch size of 0, more than 256 workers, a `start_batch` beyond the
    /// number of batches, an index in `order` that the data set does not have;
    /// [`DataError::TooFewPictures`] if no batch can be made of `order` under [`LoaderOptions::last`];
    /// [`DataError::Worker`] if no thread can be started.
    pub fn new(dataset: Arc<dyn Dataset>, order: Vec<u32>, pipeline: Pipeline, options: LoaderOptions) -> Result<Self> {
        let bad = |name, value: usize, expected| DataError::Option { name, value: value.to_string(), expected };
        if options.workers > MAX_WORKERS {
            return Err(bad("workers", options.workers, "at most 256"));
        }
        if let Some(&index) = order.iter().find(|&&i| i as usize >= dataset.len()) {
            return Err(bad("order", index as usize, "indices below the number of pictures"));
        }
        if dataset.mask_classes().is_some() && pipeline.mix().is_some() {
            let expected = "none: pictures with masks are not mixed";
            return Err(DataError::Option { name: "mix", value: "on".into(), expected });
        }
        let next = options.start_batch;
        let count = options.workers;
        let ahead = options.prefetch.max(count);
        let maker = Arc::new(Maker::new(dataset, order, pipeline, options)?);
        if next > maker.plan.count {
            return Err(bad("start_batch", next, "at most the number of batches"));
        }
        let workers = match count {
            0 => None,
            _ => Some(Workers::start(&maker, count, next, ahead)?),
        };
        Ok(Self { maker, workers, scratch: Scratch::new(), next, ended: false })
    }

    /// The number of batches of the whole epoch, those before `start_batch` included.
    pub fn batches(&self) -> usize {
        self.maker.plan.count
    }

    /// The most pictures a batch can have: `batch_size`, or one more with [`LastBatch::Merge`].
    pub fn max_batch_len(&self) -> usize {
        self.maker.plan.max_len()
    }

    /// The number of the batch that [`next`](Iterator::next) will yield; to be saved as a later loader's
    /// `start_batch`.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Gives a batch's buffers back for a later one.
    pub fn recycle(&self, batch: Batch) {
        self.maker.recycle(batch);
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.next >= self.maker.plan.count {
            return None;
        }
        let made = match &self.workers {
            Some(workers) => workers.take(),
            None => self.maker.make(self.next, &mut self.scratch),
        };
        self.next += 1;
        if made.is_err() {
            self.ended = true;
            self.workers = None;
        }
        Some(made)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = if self.ended { 0 } else { self.maker.plan.count - self.next };
        (usize::from(left > 0), Some(left))
    }
}
