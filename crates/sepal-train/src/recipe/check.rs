//! Whether every number of a recipe is in its range.

use std::ops::RangeInclusive;

use sepal_data::{Pipeline, Preprocess};
use sepal_graph::limits::MAX_DIM;

use super::{ClassWeights, Optimizer, Recipe, Schedule};
use crate::error::{Error, Result};
use crate::groups::{Globs, PATHS};

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
        count("accumulate", self.accumulate, BATCH)?;
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
        if let Some(ClassWeights { c }) = self.class_weights {
            test("class_weights.c", c, c > 1.0, "a number above 1")?;
        }
        if let Some(stop) = &self.early_stopping {
            count("early_stopping.patience", stop.patience, EPOCHS)?;
            not_negative("early_stopping.min_delta", stop.min_delta)?;
        }
        for group in &self.groups {
            if group.paths.is_empty() {
                return Err(Error::recipe(PATHS, "empty", "a list of globs"));
            }
            Globs::new(PATHS, &group.paths)?;
            positive("groups.lr_factor", group.lr_factor)?;
            not_negative("groups.weight_decay", group.weight_decay.unwrap_or_default())?;
        }
        self.check_optimizer()?;
        self.check_schedule()?;
        self.check_preprocessing()?;
        // Sampling and transforms know their own ranges.
        self.sampling.validate()?;
        Pipeline::train(Preprocess::default(), &self.augment)?;
        Globs::new("freeze", &self.freeze)?;
        if let Some(ortho) = &self.ortho {
            positive("ortho.alpha", ortho.alpha)?;
            Globs::new("ortho.paths", &ortho.globs())?;
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
            Optimizer::Adam { betas, eps } | Optimizer::Adamw { betas, eps } => {
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
        let within_one = |field, value: f64| test(field, value, value > 0.0 && value <= 1.0, "above 0 and at most 1");
        let share_to_one = |field, value: f64| test(field, value, (0.0..=1.0).contains(&value), "a share from 0 to 1");
        let at_least_one = |field, value: f64| test(field, value, value >= 1.0, "at least 1");
        match &self.schedule {
            Schedule::Cosine { min } => share_to_one("schedule.min", *min),
            Schedule::Step { milestones, gamma } => {
                within_one("schedule.gamma", *gamma)?;
                milestones.iter().try_for_each(|&epoch| not_negative("schedule.milestones", epoch))?;
                match milestones.is_sorted() {
                    true => Ok(()),
                    false => Err(Error::recipe("schedule.milestones", format!("{milestones:?}"), "rising epochs")),
                }
            }
            Schedule::Exponential { gamma, every } => {
                within_one("schedule.gamma", *gamma)?;
                positive("schedule.every", *every)
            }
            Schedule::Polynomial { power, min } => {
                positive("schedule.power", *power)?;
                share_to_one("schedule.min", *min)
            }
            Schedule::OneCycle { rise, div, final_div } => {
                test("schedule.rise", *rise, *rise > 0.0 && *rise < 1.0, "a share above 0 and below 1")?;
                at_least_one("schedule.div", *div)?;
                at_least_one("schedule.final_div", *final_div)
            }
            Schedule::Constant {} => Ok(()),
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
