//! Making one batch, in whichever thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::Plan;
use super::{Batch, LoaderOptions, Skipped};
use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::preprocess::Scratch;
use crate::transforms::Pipeline;

/// More buffers than this waiting for reuse would only be memory.
const MAX_SPARE: usize = 8;

/// What every thread shares.
pub(super) struct Maker {
    dataset: Arc<dyn Dataset>,
    order: Vec<u32>,
    pipeline: Pipeline,
    options: LoaderOptions,
    pub(super) plan: Plan,
    spare: Mutex<Vec<Batch>>,
}

impl Maker {
    pub(super) fn new(
        dataset: Arc<dyn Dataset>,
        order: Vec<u32>,
        pipeline: Pipeline,
        options: LoaderOptions,
    ) -> Result<Self> {
        let plan = Plan::new(order.len(), options.batch_size, options.last)?;
        Ok(Self { dataset, order, pipeline, options, plan, spare: Mutex::new(Vec::new()) })
    }

    pub(super) fn recycle(&self, batch: Batch) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(batch);
        }
    }

    /// Batch `number`. A panic on the way (in a data set or a transform of the caller's own) is an error.
    pub(super) fn make(&self, number: usize, scratch: &mut Scratch) -> Result<Batch> {
        let recycled = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut batch = recycled.unwrap_or_default();
        catch_unwind(AssertUnwindSafe(|| self.fill(number, scratch, &mut batch)))
            .unwrap_or_else(|panic| Err(DataError::Worker { cause: message(panic.as_ref()) }))?;
        Ok(batch)
    }

    fn fill(&self, number: usize, scratch: &mut Scratch, batch: &mut Batch) -> Result<()> {
        let places = self.order.get(self.plan.range(number)).unwrap_or_default();
        let each = self.pipeline.preprocess().output_len();
        batch.labels.clear();
        batch.others.clear();
        batch.shares.clear();
        batch.indices.clear();
        batch.skipped.clear();
        // Old numbers may stay: every picture that counts overwrites its part.
        batch.images.resize(places.len() * each, 0.0);
        let mut picture = std::mem::take(&mut scratch.decoded);
        for &index in places {
            let at = batch.labels.len() * each;
            let out = &mut batch.images[at..at + each];
            let source = (self.options.seed, self.options.epoch, u64::from(index));
            let done = self
                .dataset
                .decode_into(index as usize, &mut picture)
                .and_then(|()| self.pipeline.apply(&picture, source, scratch, out));
            match done {
                Ok(()) => {
                    batch.labels.push(self.dataset.label(index as usize));
                    batch.indices.push(index);
                }
                Err(error) if self.options.strict => return Err(error),
                Err(error) => batch.skipped.push(Skipped::new(self.dataset.as_ref(), index as usize, &error)),
            }
        }
        scratch.decoded = picture;
        batch.images.truncate(batch.labels.len() * each);
        if let Some(mix) = self.pipeline.mix() {
            let source = (self.options.seed, self.options.epoch, number as u64);
            let share = mix.apply(source, &mut batch.images, self.pipeline.preprocess().size);
            if share > 0.0 {
                batch.others.extend(batch.labels.iter().rev());
                batch.shares.resize(batch.labels.len(), share);
            }
        }
        Ok(())
    }
}

/// The words of a panic.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}
