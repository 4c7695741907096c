//! One epoch: steps, then measuring, then a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sepal_data::Batch;
use sepal_kernels::loss::Mixed;

use super::{Trainer, dropout_seed, is_over, loader, targets, usable};
use crate::engine::{self, StepOutput};
use crate::error::{Error, Result};
use crate::evaluate::{evaluate, workers};
use crate::history::{Best, EpochRow};
use crate::metric::{Metrics, Running};
use crate::observer::{BatchReport, EpochReport, Observer};

impl Trainer {
    /// Trains the rest of the epoch under way. `false` if `stop` was set before its end.
    pub(super) fn epoch(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<bool> {
        let begin = Instant::now();
        let (images_before, mut waited) = (self.clock.images, Duration::ZERO);
        let workers = workers(self.recipe.workers, self.options.pool.threads());
        let (epoch, first) = (self.progress.epoch, self.progress.batch);
        let mut loader = loader(&self.recipe, &self.data, &self.meta, workers, epoch, first)?;
        let mut first_failure = None;
        loop {
            let asked = Instant::now();
            let Some(batch) = loader.next() else { break };
            let batch = batch?;
            let wait = asked.elapsed();
            waited += wait;
            for picture in &batch.skipped {
                self.progress.skipped += 1;
                first_failure.get_or_insert_with(|| format!("{}: {}", picture.path, picture.cause));
                if self.reported.insert(picture.path.clone()) {
                    observer.skipped(picture);
                }
            }
            self.step(&batch, wait, observer)?;
            loader.recycle(batch);
            if self.progress.batch < self.batches {
                if stop.load(Ordering::SeqCst) || observer.stops() {
                    self.clock.training += begin.elapsed();
                    self.clock.waited += waited;
                    return Ok(false);
                }
                if self.state_is_due() {
                    self.write_state(observer)?;
                }
            }
        }
        if self.progress.running.images == 0 {
            let first = first_failure.unwrap_or_else(|| "unknown".into());
            return Err(Error::NoPictures { pictures: self.data.train.len(), first });
        }
        if self.data.train.mask_classes().is_some() && self.progress.running.pixels == 0 {
            return Err(sepal_data::DataError::AllIgnored.into());
        }
        let trained = begin.elapsed();
        self.clock.training += trained;
        self.clock.waited += waited;
        let rate = (self.clock.images - images_before) as f64 / trained.as_secs_f64().max(1e-9);
        let share = waited.as_secs_f64() / trained.as_secs_f64().max(1e-9);
        self.close_epoch(observer, rate, share)?;
        Ok(!(stop.load(Ordering::SeqCst) || observer.stops()) || is_over(&self.recipe, &self.progress))
    }

    /// One batch: gradient, update where it is due, figures.
    fn step(&mut self, batch: &Batch, wait: Duration, observer: &mut dyn Observer) -> Result<()> {
        let step = self.progress.step;
        self.progress.batch += 1;
        self.progress.step += 1;
        let lr = self.schedule.at(step);
        let output = if usable(batch) { Some(self.gradient(batch, step, lr)?) } else { None };
        let due = self.accumulator.is_due(self.progress.batch, self.batches) && self.progress.accumulated > 0;
        let grad_norm = if due { self.update(lr)? } else { None };
        let Some(output) = output else { return Ok(()) };
        self.progress.running.add(output.loss, output.top1, output.top5, batch.len());
        if self.data.train.mask_classes().is_some() {
            self.progress.running.pixels += output.labels as u64;
        }
        self.clock.images += batch.len() as u64;
        observer.batch(&BatchReport {
            epoch: self.progress.epoch + 1,
            epochs: self.recipe.epochs,
            batch: self.progress.batch,
            batches: self.batches,
            step: self.progress.step,
            images: batch.len(),
            loss: output.loss,
            lr,
            grad_norm,
            running: &self.progress.running,
            waited: wait.as_secs_f64(),
            seconds: self.seconds(),
        });
        Ok(())
    }

    /// Adds a batch's gradient to those that wait for the next update.
    pub(super) fn gradient(&mut self, batch: &Batch, step: u64, lr: f64) -> Result<StepOutput> {
        let mut labels = &batch.labels;
        if let Some(to) = self.shrunk {
            targets::shrink_labels(&batch.labels, [self.recipe.size; 2], to, &mut self.labels);
            labels = &self.labels;
        }
        let weights = &self.progress.class_weights;
        let input = engine::Batch {
            images: &batch.images,
            labels,
            weights: (!weights.is_empty()).then_some(weights),
            mixed: (!batch.others.is_empty()).then_some(Mixed { labels: &batch.others, shares: &batch.shares }),
            smoothing: self.recipe.label_smoothing,
            seed: dropout_seed(self.recipe.seed, step),
        };
        let output = self.engine.step(&mut self.params, &input)?;
        self.check_finite("loss", output.loss, lr)?;
        let (images, before) = (batch.len() as u64, self.progress.accumulated);
        let exec = Self::exec(&self.options.pool, self.options.level);
        self.accumulator.add(exec, &self.params, images, before);
        self.progress.accumulated += images;
        Ok(output)
    }

    /// Moves weights and their average by the gradient that waits. Returns its norm where the recipe clips.
    pub(super) fn update(&mut self, lr: f64) -> Result<Option<f64>> {
        self.accumulator.take(&mut self.params);
        let images = std::mem::take(&mut self.progress.accumulated);
        let update = self.progress.updates + 1;
        if let Some(regulariser) = &mut self.ortho {
            let value = regulariser.step(Self::exec(&self.options.pool, self.options.level), &mut self.params);
            self.check_finite("regulariser", value, lr)?;
            self.progress.running.add_ortho(value, images as usize);
        }
        let exec = Self::exec(&self.options.pool, self.options.level);
        let grad_norm = self.optim.step(exec, &mut self.params, lr, update);
        if let Some(ema) = &mut self.ema {
            ema.step(exec, &self.params, update);
        }
        if let Some(norm) = grad_norm {
            self.check_finite("gradient's norm", norm, lr)?;
        }
        self.progress.updates = update;
        Ok(grad_norm)
    }

    /// Measures, records and writes what the epoch came to.
    fn close_epoch(&mut self, observer: &mut dyn Observer, rate: f64, waited: f64) -> Result<()> {
        let lr = self.schedule.at(self.progress.step.saturating_sub(1));
        let mut model = self.model().map_err(|error| self.diverged_or(error, lr))?;
        let epoch = self.progress.epoch + 1;
        model.meta.provenance.insert("epochs".into(), epoch.to_string());
        let metrics = match self.monitored() {
            Some((_, set)) => {
                let set = Arc::clone(set);
                let mut watch = Reported { trainer: self, observer };
                Some(evaluate(&model, &set, &watch.pool(), &watch.trainer.eval_options(), &mut watch)?)
            }
            None => None,
        };
        if let Some(metrics) = &metrics {
            self.check_finite("validation loss", metrics.loss, lr)?;
        }
        let best = self.note_best(epoch, metrics.as_ref());
        let progress = &mut self.progress;
        progress.seconds = self.clock.start.map_or(0.0, |(start, before)| before + start.elapsed().as_secs_f64());
        let (seconds, skipped) = (progress.seconds, progress.skipped);
        let ortho = self.ortho.is_some();
        let row = EpochRow {
            images_per_second: rate,
            waited,
            ..EpochRow::new(epoch, seconds, &progress.running, ortho, metrics.as_ref(), lr, skipped)
        };
        progress.history.push(row);
        progress.epoch = epoch;
        progress.batch = 0;
        progress.skipped = 0;
        progress.running = Running::default();
        // Without a set to choose by, the best is the last.
        let chosen = best || (self.data.val.is_none() && epoch == self.recipe.epochs);
        self.write_epoch(&model, chosen, observer)?;
        observer.epoch(&EpochReport {
            row: &row,
            history: &self.progress.history,
            epochs: self.recipe.epochs,
            set: self.monitored().map(|(name, _)| name),
            metrics: metrics.as_ref(),
            best,
            images_per_second: rate,
            waited,
        });
        if let Some(metrics) = metrics.filter(|_| best || self.data.val.is_none()) {
            self.measured = Some((epoch, metrics));
        }
        if chosen && self.options.run.is_none() {
            self.best = Some(model);
        }
        Ok(())
    }

    /// Whether the epoch is the best so far on the validation set, which is noted.
    fn note_best(&mut self, epoch: usize, metrics: Option<&Metrics>) -> bool {
        let Some(metrics) = metrics.filter(|_| self.data.val.is_some()) else { return false };
        let better = self.progress.best.is_none_or(|best| best.yields_to(metrics));
        if better {
            self.progress.best = Some(Best::new(epoch, metrics));
        }
        better
    }

    fn check_finite(&self, what: &'static str, value: f64, lr: f64) -> Result<()> {
        match value.is_finite() {
            true => Ok(()),
            false => Err(self.diverged(what, value, lr)),
        }
    }

    pub(super) fn diverged(&self, what: &'static str, value: f64, lr: f64) -> Error {
        Error::Diverged { epoch: self.progress.epoch + 1, step: self.progress.step, what, value, lr }
    }

    /// Weights that are not finite are the learning rate's fault, not the model's.
    fn diverged_or(&self, error: Error, lr: f64) -> Error {
        match error {
            Error::Graph(sepal_graph::Error::NotFinite { value, .. }) => {
                self.diverged("largest weight", value.into(), lr)
            }
            other => other,
        }
    }
}

/// Passes on what happens while measuring; a picture that was reported already is not again.
pub(super) struct Reported<'a> {
    pub(super) trainer: &'a mut Trainer,
    pub(super) observer: &'a mut dyn Observer,
}

impl Reported<'_> {
    pub(super) fn pool(&self) -> Arc<dyn sepal_kernels::pool::Pool> {
        Arc::clone(&self.trainer.options.pool)
    }
}

impl Observer for Reported<'_> {
    fn skipped(&mut self, skipped: &sepal_data::Skipped) {
        if self.trainer.reported.insert(skipped.path.clone()) {
            self.observer.skipped(skipped);
        }
    }

    fn measured(&mut self, done: usize, total: usize) {
        self.observer.measured(done, total);
    }
}
