//! Making one batch, in whichever thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::Plan;
use super::{Batch, LoaderOptions, Skipped};
use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::masks::{LabelMap, decode_pair};
use crate::picture::Picture;
use crate::preprocess::Scratch;
use crate::transforms::Pipeline;

/// More buffers than this waiting for reuse would only be memory.
const MAX_SPARE: usize = 8;

/// What every thread shares.
pub(super) struct Maker {
    dataset: Arc<dyn Dataset>,
    order: Vec<u32>,
    /// How often the picture at each place came before; empty where none comes twice.
    turns: Vec<u32>,
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
        let turns = turns(&order, dataset.len());
        Ok(Self { dataset, order, turns, pipeline, options, plan, spare: Mutex::new(Vec::new()) })
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
        let range = self.plan.range(number);
        let first = range.start;
        let places = self.order.get(range).unwrap_or_default();
        let each = self.pipeline.preprocess().output_len();
        // Labels a picture.
        let labels = if self.dataset.mask_classes().is_some() { each / 3 } else { 1 };
        batch.labels.clear();
        batch.others.clear();
        batch.shares.clear();
        batch.indices.clear();
        batch.skipped.clear();
        // Old numbers may stay: every picture that counts overwrites its part.
        batch.images.resize(places.len() * each, 0.0);
        batch.labels.resize(places.len() * labels, 0);
        let (mut picture, mut mask) = (std::mem::take(&mut scratch.decoded), std::mem::take(&mut scratch.mask));
        for (at, &index) in (first..).zip(places) {
            // A picture that comes again is augmented in another way.
            let turn = self.turns.get(at).map_or(0, |&turn| u64::from(turn));
            let at = batch.indices.len();
            let (out, target) = (&mut batch.images[at * each..][..each], &mut batch.labels[at * labels..][..labels]);
            let source = (self.options.seed, self.options.epoch, turn << 32 | u64::from(index));
            match self.fill_one(index as usize, source, scratch, (&mut picture, &mut mask), out, target) {
                Ok(()) => batch.indices.push(index),
                Err(error) if self.options.strict => return Err(error),
                Err(error) => batch.skipped.push(Skipped::new(self.dataset.as_ref(), index as usize, &error)),
            }
        }
        (scratch.decoded, scratch.mask) = (picture, mask);
        batch.images.truncate(batch.indices.len() * each);
        batch.labels.truncate(batch.indices.len() * labels);
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

    /// Writes one picture and its label, or labels.
    fn fill_one(
        &self,
        index: usize,
        source: (u64, u64, u64),
        scratch: &mut Scratch,
        (picture, mask): (&mut Picture, &mut LabelMap),
        out: &mut [f32],
        target: &mut [u32],
    ) -> Result<()> {
        if self.dataset.mask_classes().is_none() {
            self.dataset.decode_into(index, picture)?;
            target.fill(self.dataset.label(index));
        } else {
            decode_pair(self.dataset.as_ref(), index, picture, mask)?;
            self.pipeline.apply_mask(mask, source, scratch, target)?;
        }
        self.pipeline.apply(picture, source, scratch, out)
    }
}

/// For each place of `order`, how often its picture came before; empty where none comes twice.
fn turns(order: &[u32], pictures: usize) -> Vec<u32> {
    let mut seen = vec![0; pictures];
    let turn = |&index: &u32| seen.get_mut(index as usize).map_or(0, |seen| std::mem::replace(seen, *seen + 1));
    let turns: Vec<u32> = order.iter().map(turn).collect();
    if turns.iter().all(|&turn| turn == 0) { Vec::new() } else { turns }
}

/// The words of a panic.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}
