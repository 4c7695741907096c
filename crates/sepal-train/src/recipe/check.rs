//! Whether every number of a recipe is in its range.

use std::ops::RangeInclusive;

use sepal_data::{Pipeline, Preprocess};
use sepal_graph::limits::MAX_DIM;

use super::{Optimizer, Recipe, Schedule};
use crate::error::{Error, Result};

/// Beyond these a recipe is a slip of the pen.
const EPOCHS: RangeInclusive<usize> = 1..=1_000_000;
const BATCH: RangeInclusive<usize> = 1..=65_536;
const WORKERS: RangeInclusive<usize> = 0..=1024;

impl Recipe {
    /// Checks every number, alone and against the others.
    ///
    /// # Errors
    /// The first field outside its range, with its value and the range.
    pub fn check(&self) -> Result<()> {
        if self.model.trim().is_empty() {
            return Err(Error::recipe("model", "empty", "the name of a network"));
        }
        count("epochs", self.epochs, EPOCHS)?;
        count("batch", self.batch, BATCH)?;
        count("size", self.size, 1..=MAX_DIM)?;
        count("workers", self.workers, WORKERS)?;
        if let Some(split) = self.val_split {
            share("val_split", split.into())?;
        }
        positive("lr", self.lr())?;
        not_negative("weight_decay", self.weight_decay())?;
        not_negative("warmup_epochs", self.warmup_epochs)?;
        if self.warmup_epochs > self.epochs as f64 {
            let expected = format!("at most the number of epochs, {}", self.epochs);
            return Err(Error::recipe("warmup_epochs", self.warmup_epochs, expected));
        }
        share("label_smoothing", self.label_smoothing.into())?;
        share("ema_decay", self.ema_decay)?;
        if let Some(clip) = self.clip_grad {
            positive("clip_grad", clip)?;
        }
        self.check_optimizer()?;
        self.check_schedule()?;
        self.check_preprocessing()?;
        // The transforms know their own ranges.
        Pipeline::train(Preprocess::default(), &self.augment)?;
        crate::groups::Globs::new("freeze", &self.freeze)?;
        if let Some(ortho) = &self.ortho {
            positive("ortho.alpha", ortho.alpha)?;
            crate::groups::Globs::new("ortho.paths", &ortho.globs())?;
        }
        Ok(())
    }

    fn check_optimizer(&self) -> Result<()> {
        match self.optimizer {
            Optimizer::Sgd { momentum, nesterov } => {
                share("optimizer.momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(Error::recipe("optimizer.nesterov", true, "false where momentum is 0"));
                }
            }
            Optimizer::Adamw { betas, eps } => {
                betas.iter().try_for_each(|&beta| share("optimizer.betas", beta))?;
                positive("optimizer.eps", eps)?;
            }
            Optimizer::Rmsprop { alpha, eps, momentum } => {
                share("optimizer.alpha", alpha)?;
                positive("optimizer.eps", eps)?;
                share("optimizer.momentum", momentum)?;
            }
        }
        Ok(())
    }

    fn check_preprocessing(&self) -> Result<()> {
        let of = &self.preprocessing;
        if !(of.crop_pct > 0.0 && of.crop_pct <= 1.0) {
            return Err(Error::recipe("preprocessing.crop_pct", of.crop_pct, "above 0 and at most 1"));
        }
        let [mean, std] = [of.mean, of.std].map(|values| values.into_iter().flatten());
        mean.map(f64::from).try_for_each(|mean| finite("preprocessing.mean", mean))?;
        std.map(f64::from).try_for_each(|std| positive("preprocessing.std", std))
    }

    fn check_schedule(&self) -> Result<()> {
        match &self.schedule {
            Schedule::Cosine { min } if !(0.0..=1.0).contains(min) => {
                Err(Error::recipe("schedule.min", min, "a share from 0 to 1"))
            }
            Schedule::Step { milestones, gamma } => {
                if !(*gamma > 0.0 && *gamma <= 1.0) {
                    return Err(Error::recipe("schedule.gamma", gamma, "above 0 and at most 1"));
                }
                milestones.iter().try_for_each(|&epoch| not_negative("schedule.milestones", epoch))?;
                match milestones.is_sorted() {
                    true => Ok(()),
                    false => Err(Error::recipe("schedule.milestones", format!("{milestones:?}"), "rising epochs")),
                }
            }
            Schedule::Cosine { .. } | Schedule::Constant {} => Ok(()),
        }
    }
}

fn count(field: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("a whole number from {} to {}", range.start(), range.end());
    Err(Error::recipe(field, value, expected))
}

fn test(field: &'static str, value: f64, holds: bool, expected: &str) -> Result<()> {
    if holds && value.is_finite() { Ok(()) } else { Err(Error::recipe(field, value, expected)) }
}

fn share(field: &'static str, value: f64) -> Result<()> {
    test(field, value, (0.0..1.0).contains(&value), "at least 0 and below 1")
}

fn positive(field: &'static str, value: f64) -> Result<()> {
    test(field, value, value > 0.0, "a number above 0")
}

fn not_negative(field: &'static str, value: f64) -> Result<()> {
    test(field, value, value >= 0.0, "a number of at least 0")
}

fn finite(field: &'static str, value: f64) -> Result<()> {
    test(field, value, true, "a finite number")
}
