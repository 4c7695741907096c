//! The gradient of several batches as one.

use sepal_kernels::{Buffer, Exec, update};

use crate::params::Params;

/// The mean gradient of the batches since the last update, weighted by their pictures.
pub(crate) struct Accumulator {
    /// Batches per update.
    every: usize,
    /// Laid out as [`Params::grads`]; empty where every batch is an update. Without meaning where no pictures are in it.
    pub(crate) mean: Buffer,
}

impl Accumulator {
    /// For updates every `every` batches.
    pub(crate) fn new(every: usize, params: &Params) -> Self {
        Self { every, mean: Buffer::zeroed(if every > 1 { params.grads.len() } else { 0 }) }
    }

    /// Whether the update is due after `batch` of `batches`, counted from 1 in each epoch.
    pub(crate) fn is_due(&self, batch: usize, batches: usize) -> bool {
        batch.is_multiple_of(self.every) || batch == batches
    }

    /// Takes in the gradient of a batch of `images` after those of `before` pictures.
    pub(crate) fn add(&mut self, exec: Exec<'_>, params: &Params, images: u64, before: u64) {
        match (self.every, before) {
            (1, _) => {}
            (_, 0) => self.mean.copy_from_slice(&params.grads),
            (_, _) => {
                let kept = before as f64 / (before + images) as f64;
                update::ema(exec, kept as f32, &mut self.mean, &params.grads);
            }
        }
    }

    /// Makes the mean the gradient of the update.
    pub(crate) fn take(&mut self, params: &mut Params) {
        if self.every > 1 {
            // The next batch's gradient overwrites all of what is left here.
            std::mem::swap(&mut self.mean, &mut params.grads);
        }
    }

    /// Bytes of the mean.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.mean)
    }
}
